"""Seeing what a call reads and does, while it runs for real.

The functions that a rewritten function calls (``Helper``) do what the language would have done, and tell the watch of this thread: which slots of which objects were read and what was
in them, which containers, which tensors, what was written. What cannot be followed ends the watching (``stop``): the call goes on as an ordinary one. What runs past the rewritten functions
is seen by a profile function, so that nothing is missed.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from jtorch._compile import numbers
from jtorch._compile.calling import Calls
from jtorch._compile.errors import unsupported
from jtorch._compile.knowledge import (
    ABSENT,
    CHECK,
    CONTAINERS,
    PLAIN_TYPES,
    TRUTH,
    inside_library,
    named,
    pinned,
    static_of,
    to_be_seen,
    verdict_of,
)
from jtorch._compile.numbers import Tracked, plain, untracked
from jtorch._compile.reading import Reads, Seen
from jtorch._compile.replaying import array_of
from jtorch._core.state import generator as _generator
from jtorch._core.storage import view_steps
from jtorch._core.storage.bare_tensor import Storage, Tensor
from jtorch._engine.running.replay import Recorded
from jtorch._engine.values.thread_state import state
from jtorch.nn.modules.module import Module
from jtorch.nn.parameter import Parameter

__all__ = ["ABSENT", "HELPER", "Helper", "Seen", "Watch", "current"]


LOOKED = 8  # values that are asked for their truth in one call


class Watch(Reads, Calls):
    """One call that is watched. ``gone`` says why it no longer is."""

    def __init__(self, dynamic: set[tuple[int, Any]], fullgraph: bool, looks: bool = True) -> None:
        self.gone: str | None = None
        self.ends = False
        self.fullgraph, self.looks = fullgraph, looks
        self.looked: list[tuple[Any, bool]] = []  # values that were computed here and asked for their truth
        self.dynamic = dynamic
        self.reads: dict[Any, tuple[Any, Any, Any]] = {}  # (id of a dict, key) -> (the dict, key, what was there)
        self.starts: dict[Any, tuple[Any, Any, Any]] = {}  # the same of what was written
        self.overlay: dict[Any, Any] = {}  # tracked numbers that stand in slots
        self.containers: dict[int, tuple[Any, Any]] = {}  # id -> (the container, what was in it)
        self.others: dict[Any, tuple[Callable[[], Any], Any]] = {}  # reads of other kinds: how to read again, and what was read
        self.tensors: dict[int, Seen] = {}
        self.values: dict[int, Seen] = {}  # by the value that was read
        self.slots: list[tuple[Any, Any]] = []
        self.decisions: list[tuple[Any, Any]] = []
        self.raw: dict[int, tuple[float, Any]] = {}
        self.grads_read: set[int] = set()
        self.draws: list[tuple[Any, Any]] = []
        self.counts: list[tuple[list[Storage], int, Any]] = []
        self.fresh: dict[int, Any] = {}
        self.functions: dict[int, tuple[Any, Any]] = {}  # functions that ran, and their code where it is the program's
        self.of_objects: dict[int, Any] = {}  # the __dict__ of objects, of which only what is read is guarded
        self.trace: Any = None
        self.reading = False
        self.code_ok: dict[Any, str] = {}
        self.first_seq = 0
        self.before: set[int] = set()
        self.arguments: dict[int, Any] = {}  # the tensors among the arguments, by the ids of their storages
        self.pinned: set[int] = set()  # the ids of those that were found elsewhere, too
        self.dynamic_found: list[tuple[int, Any]] = []

    # ---- the end of watching

    def stop(self, why: str, ends: bool = False) -> None:
        """The call goes on as an ordinary one. ``ends``: as in torch, the graph ends here, which ``fullgraph=True`` refuses."""
        if self.gone is None:
            self.gone, self.ends = why, ends
            if self.fullgraph and ends:
                raise unsupported(why)

    def cut(self) -> None:
        """The engine is about to run what was recorded."""
        self.stop("a value is looked at", True)

    def look(self, t: Tensor) -> bool | None:
        """The truth of a value that was computed here, where it is little work to know it: a replay finds out whether it is the same. None if the watching ends with it."""
        if not self.can_look(t):
            return None
        tr = self.trace
        self.reading = True
        try:
            v = view_steps.read(t)
            inputs = tr.inputs[: tr.input_count]
            recorded = Recorded(list(tr.nodes), [x.aval for x in inputs], list(tr.scalars[: tr.scalar_count]), set(), tr.device)
            if v.trace is not tr or not recorded._small():
                return None
            found, _ = recorded.run(list(map(array_of, inputs)), inputs, recorded.scalars, (v.pos,))
            truth = bool(np.asarray(found[0]))
        finally:
            self.reading = False
        self.looked.append((v, truth))
        return truth

    def can_look(self, t: Tensor) -> bool:
        """Whether the truth of this may be asked, for all that is known without computing anything."""
        if self.gone is not None or self.fullgraph or not self.looks or self.reading or len(self.looked) >= LOOKED or self.trace is not state.trace:
            return False
        v = t._s.value if t._view is None else None
        return v is None or v.trace is self.trace

    def decided(self, how: Any, value: Any) -> None:
        self.decisions.append((how, value))

    def drawn(self, value: Any, redraw: Any) -> None:
        self.draws.append((value, redraw))

    def profile(self, frame: Any, event: str, arg: Any) -> None:
        """Each call of a Python function while the watch is on: was it to be seen?"""
        if event != "call" or self.gone is not None:
            return
        code = frame.f_code
        verdict = self.code_ok.get(code)
        if verdict is None:
            verdict = self.code_ok[code] = verdict_of(code)
        if not verdict:
            return
        if verdict == "force":
            if frame.f_locals.get("why") != "thread":
                v = frame.f_locals["v"]
                if v.trace is not None or not self.reading and frame.f_back.f_code is not CHECK:
                    self._from_profile("a value is looked at", True)
        elif code is TRUTH and self.can_look(frame.f_locals["self"]):
            return
        elif not self.reading and not inside_library(frame):
            self._from_profile(verdict, verdict in ("a value is looked at",) or verdict.startswith("Tensor."))

    def _from_profile(self, why: str, ends: bool = False) -> None:
        if self.gone is None:
            sys.setprofile(None)  # an exception from a profile function ends it too
            self.stop(why, ends)

    def plainly(self, result: Any) -> Any:
        """What the call returns, when it is over: no number that is followed is left in it, or in what it has written."""
        known: set[int] = set()
        for held, key, _ in self.starts.values():
            if key in held:
                found = untracked(held[key], known)
                if found is not held[key]:
                    held[key] = found
        for c, _ in self.containers.values():
            untracked(c, known)
        return untracked(result, known)

    # ---- writes

    def _write(self, held: Any, key: Any, v: Any) -> None:
        k = (id(held), key)
        if k not in self.starts:
            known = self.reads.get(k)
            self.starts[k] = known if known is not None else (held, key, held.get(key, ABSENT))
        if isinstance(v, Tracked):
            self.overlay[k] = v
        else:
            self.overlay.pop(k, None)

    def _set(self, obj: Any, name: str, v: Any) -> None:
        """The assignment itself."""
        before, self.reading = self.reading, True
        try:
            setattr(obj, name, v)
        finally:
            self.reading = before

    def store_attr(self, v: Any, obj: Any, name: str, bare: bool = False) -> None:
        cls = type(obj)
        if isinstance(obj, Tensor):
            self.see(obj)
            if isinstance(v, Tensor):
                self.see(v)
            if name in ("data", "requires_grad"):
                self.stop(f"an assignment to Tensor.{name}")
            elif name != "grad" and not name.startswith("_"):
                self._write(obj.__dict__, name, v)
            self._set(obj, name, pinned(v) if name == "grad" else plain(v))
            return
        if isinstance(obj, (type, ModuleType)):
            self.stop(f"an assignment to {named(obj)}.{name}")
            self._set(obj, name, pinned(v))
            return
        static, setter = static_of(cls, name), static_of(cls, "__setattr__")
        if type(static) is property and static.fset is not None:
            self.call(static.fset, obj, v)
            return
        held = getattr(obj, "__dict__", None)
        if held is None:
            if id(obj) not in self.fresh:
                self.stop(f"an assignment to a slot of {cls.__name__}")
            self._set(obj, name, pinned(v))
            return
        if setter is Module.__setattr__ and not bare:
            if id(obj) not in self.fresh and (isinstance(v, (Parameter, Module)) or name in held.get("_parameters", ()) or name in held.get("_modules", ())):
                self.stop(f"an assignment to a parameter or module of {cls.__name__}")
            elif name in held.get("_buffers", ()):
                self._write(held["_buffers"], name, v)
            else:
                self._write(held, name, v)
            self._set(obj, name, plain(v))
            return
        if isinstance(setter, FunctionType) and not bare:
            self.call(setter, obj, name, v)
            return
        if static is not ABSENT and isinstance(getattr(type(static), "__set__", None), FunctionType):
            self.stop(f"the descriptor {cls.__name__}.{name}")
        self._write(held, name, v)
        if bare:
            object.__setattr__(obj, name, plain(v))
        else:
            self._set(obj, name, plain(v))

    def store_item(self, v: Any, obj: Any, i: Any) -> None:
        if isinstance(obj, Tensor):
            self.see(obj)
            self._each(i)
            self._each(v)
            obj[pinned(i)] = pinned(v)
            return
        i = pinned(i)
        if obj.__class__ in CONTAINERS:
            k = (id(obj), i + len(obj) if obj.__class__ is list and i.__class__ is int and i < 0 else i) if i.__class__ in PLAIN_TYPES and i.__class__ is not slice else None
            if k is not None:
                if isinstance(v, Tracked):
                    self.overlay[k] = v
                else:
                    self.overlay.pop(k, None)
            obj[i] = plain(v)
            return
        method = static_of(obj.__class__, "__setitem__")
        if isinstance(method, FunctionType):
            self.call(method, obj, i, v)
            return
        self.stop(f"an assignment to an element of a {obj.__class__.__name__}")
        obj[i] = pinned(v)


class Helper:
    """What rewritten functions call."""

    slice = staticmethod(slice)

    @staticmethod
    def attr(obj: Any, name: str) -> Any:
        w = current()
        return getattr(obj, name) if w is None else w.attr(obj, name)

    @staticmethod
    def item(a: Any, i: Any) -> Any:
        w = current()
        return a[i] if w is None else w.item(a, i)

    @staticmethod
    def call(fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        w = state.observed
        return fn(*args, **kwargs) if w is None else w.call(fn, *args, **kwargs)

    @staticmethod
    def binary(name: str, a: Any, b: Any) -> Any:
        w = current()
        return getattr(operator, name)(untracked(a), untracked(b)) if w is None else w.binary(name, a, b)

    @staticmethod
    def chain(names: tuple[str, ...], *operands: Any) -> Any:
        w = current()
        if w is not None:
            return w.chain(names, operands)
        found: Any = True
        for name, a, b in zip(names, operands, operands[1:], strict=False):
            found = getattr(operator, name)(untracked(a), untracked(b))
            if not found:
                break
        return found

    @staticmethod
    def contains(a: Any, x: Any) -> bool:
        w = current()
        return x in a if w is None else w.contains(a, x)

    @staticmethod
    def iter(it: Any) -> Any:
        w = current()
        return it if w is None else w.iterated(it)

    @staticmethod
    def manager(cm: Any) -> Any:
        w = current()
        if w is None:
            return cm
        enter = static_of(cm.__class__, "__enter__")
        if isinstance(enter, FunctionType) and to_be_seen(enter):
            return _Manager(cm)
        return cm

    @staticmethod
    def store_attr(v: Any, obj: Any, name: str) -> None:
        w = current()
        if w is None:
            setattr(obj, name, untracked(v))
        else:
            w.store_attr(v, obj, name)

    @staticmethod
    def store_item(v: Any, obj: Any, i: Any) -> None:
        w = current()
        if w is None:
            obj[untracked(i)] = untracked(v)
        else:
            w.store_item(v, obj, i)

    @staticmethod
    def delete_attr(obj: Any, name: str) -> None:
        w = current()
        if w is not None:
            w.stop("an attribute is deleted")
        delattr(obj, name)

    @staticmethod
    def delete_item(obj: Any, i: Any) -> None:
        w = current()
        if w is not None and obj.__class__ not in CONTAINERS:
            w.stop("an element is deleted")
        del obj[plain(i)]

    @staticmethod
    def made(fn: Any) -> Any:
        w = current()
        if w is not None:
            w._is_fresh(fn)
        return fn


HELPER = Helper()
Watch.helper = HELPER


class _Manager:
    """A context manager of the program's own, whose two methods are seen."""

    def __init__(self, cm: Any) -> None:
        self.cm = cm

    def __enter__(self) -> Any:
        return HELPER.call(type(self.cm).__enter__, self.cm)

    def __exit__(self, *error: Any) -> Any:
        return HELPER.call(type(self.cm).__exit__, self.cm, *error)


def current() -> Watch | None:
    """The watch that is on in this thread."""
    w = state.observed
    return w if w is not None and w.gone is None else None


def _noted(how: Any, value: Any) -> None:
    w = state.observed
    if w is not None:
        w.decided(how, value)


numbers.noted = _noted


def _drawn(value: Any, redraw: Any) -> None:
    w = current()
    if w is not None:
        w.drawn(value, redraw)


_generator.observers.append(_drawn)
