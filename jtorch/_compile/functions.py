"""What ``torch.compile`` returns: a callable that replays what it has seen, and runs the Python where no replay fits."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from jtorch import _autocast, _config, _dtypes
from jtorch._compile.guarding import same
from jtorch._compile.observed import Refused, replay_of
from jtorch._compile.packing import replayed
from jtorch._compile.replaying import AGAIN, OTHERWISE, Replay
from jtorch._compile.watching import HELPER, Watch
from jtorch._core.dispatch.torch_function import MODES
from jtorch._core.graph.node import next_seq
from jtorch._core.storage.bare_tensor import PLAIN, Tensor
from jtorch._core.storage.view_steps import read
from jtorch._engine.recording import trace as _trace
from jtorch._engine.values.heard import listeners
from jtorch._engine.values.log import _say
from jtorch._engine.values.thread_state import GRAD, state

__all__ = ["CompiledFunction", "stance"]

LIMIT = 8  # replays of one function
ANSWERS = 4  # replays that are of one answer each to what was asked
SIZES = 3  # shapes that are replayed
TRIES = 3  # calls that could not be replayed, after which none is watched any more


class _Stance(threading.local):
    value = "default"
    off = 0


stance = _Stance()
_every: list[Any] = []  # weak references to all that was compiled, for reset()


class CompiledFunction:
    """A function and its replays. Called from :func:`jtorch.compiler.compile`'s wrapper."""

    def __init__(self, fn: Callable[..., Any], fullgraph: bool = False, limit: int | None = None) -> None:
        self.fn, self.fullgraph, self.limit = fn, fullgraph, LIMIT if limit is None else limit
        self.looks = True  # whether values are asked for their truth, and replays are of one answer each
        self.exact = False  # ``dynamic=False``: a replay for each shape
        self.replays: list[Any] = []
        self.dynamic: set[Any] = set()
        self.failed = self.runs = 0
        self.why = ""
        self.broken: set[str] = set()

    def has(self, args: Any, kwargs: Any) -> bool:
        """Whether there is a replay for arguments of these shapes, or there is none at all."""
        given = _flat(args, kwargs)
        return given is not None and (not self.replays or any(_fits(form[0], given[0]) and _alike(form[2], given[1]) for form, _ in self.replays))

    def replay_for(self, args: Any, kwargs: Any) -> Any:
        """(the replay of this call, the tensors among its arguments), if it is known to be one; None for calls that follow numbers or answers, too."""
        if stance.off or stance.value == "force_eager" or state.observed is not None or _busy():
            return None
        given = _flat(args, kwargs)
        if given is None:
            return None
        structure, tensors = given
        modes = _modes()
        for form, replay in self.replays:
            if form[1] == modes and len(form[0]) == len(structure) and (not structure or _fits(form[0], structure)) and (not tensors or _alike(form[2], tensors)):
                if not replay.looked and not replay.slots and not replay.decisions and replay.ready(tensors) is not None:
                    return replay, tensors
        return None

    def reset(self) -> None:
        """Forget everything."""
        self.replays, self.dynamic, self.failed, self.why, self.looks = [], set(), 0, "", True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if stance.off or stance.value == "force_eager" or state.observed is not None or _busy():
            return self.fn(*args, **kwargs)
        if args or kwargs:
            given = _flat(args, kwargs)
            if given is None or (len(given[1]) > 1 and len({id(t._s) for t in given[1]}) != len(given[1])):  # what shares memory is as many cases
                return self.fn(*args, **kwargs)
            structure, tensors = given
        else:
            structure, tensors = [], []
        modes = _modes()
        for i, (form, replay) in enumerate(self.replays):
            if form[1] != modes or structure and not _fits(form[0], structure) or len(form[0]) != len(structure) or tensors and not _alike(form[2], tensors):
                continue
            chosen = replay.packed
            values = chosen.ready(tensors) if chosen is not None and chosen.there() else None
            if values is None:
                chosen, values = replay, replay.ready(tensors)
                if values is None:
                    continue
            numbers = chosen.numbers()
            if numbers is None:
                continue
            result = chosen.run(tensors, values, numbers)
            if result is AGAIN:
                return self(*args, **kwargs)
            if result is OTHERWISE:
                values = None
                continue
            if i:
                self.replays.insert(0, self.replays.pop(i))
            self.runs += 1
            if chosen is replay:
                values = None
                replayed(replay)
            return result
        others = sum(form[1] == modes and _fits(form[0], structure) and not _alike(form[2], tensors) for form, _ in self.replays)
        if others >= SIZES and not self.exact:  # sizes that go on changing: one program for all of them is made of what Python records
            return self.fn(*args, **kwargs)
        if self.failed >= TRIES or len(self.replays) >= self.limit or stance.value in ("eager_on_recompile",):
            if stance.value == "fail_on_recompile":
                raise RuntimeError("Detected recompile when torch.compile stance is 'fail_on_recompile'")
            return self.fn(*args, **kwargs)
        if stance.value == "fail_on_recompile":
            raise RuntimeError("Detected recompile when torch.compile stance is 'fail_on_recompile'")
        if "recompiles" in _config.LOG and self.replays:
            form, replay = self.replays[0]
            why = "modes or arguments" if form[1] != modes or not _fits(form[0], structure) or not _alike(form[2], tensors) else replay.why_not(tensors)
            _say(f"recompile: {getattr(self.fn, '__qualname__', self.fn.__class__.__name__)}: {why}")
        if sum(bool(replay.looked) for _, replay in self.replays) >= ANSWERS:
            self.looks, self.replays = False, [x for x in self.replays if not x[1].looked]
        for _, replay in self.replays:
            self.dynamic.update(replay.guards.changed())
        return self._watched(args, kwargs, structure, tensors, modes)

    def _watched(self, args: Any, kwargs: Any, structure: Any, tensors: list[Any], modes: Any) -> Any:
        forms = [_form(t) for t in tensors]  # this reads views, which must not be a part of what is watched
        _trace.flush("asked")
        w = Watch(self.dynamic, self.fullgraph, self.looks)
        w.first_seq = next_seq()
        w.before = set()
        given = [(c, _copied(c)) for c in _containers(args, kwargs)]
        w.fresh.update((id(c), c) for c, _ in given)
        w.dynamic_found = []
        w.trace = state.trace
        w.arguments = {id(t._s): t for t in tensors}
        for t in tensors:
            w.see(t)
        if w.gone is not None:
            self._failed(w.gone)
            return self.fn(*args, **kwargs)
        state.observed = w
        profiled = sys.getprofile()
        if profiled is not None:
            state.observed = None
            return self.fn(*args, **kwargs)
        replay: Replay | None = None
        why: str | None = None
        try:
            collects = gc.isenabled()
            try:
                gc.disable()  # what it would finalize is no part of the function
                sys.setprofile(w.profile)
                result = HELPER.call(self.fn, *args, **kwargs)
            finally:
                sys.setprofile(None)
                if collects:
                    gc.enable()
            why = w.gone
            if why is None and (w.trace is not state.trace or state.traces and any(t.nodes for t in state.traces.values())):
                why = "several devices, or a value that was looked at"
            if why is None and _modes() != modes:
                why = "a mode was changed"
            if why is None:
                w.reading = True
                try:
                    if not all(_copied(c) == was for c, was in given):
                        raise Refused("a container among the arguments is written")
                    replay = replay_of(w, tensors, result)
                except Refused as error:
                    why = str(error)
                self.dynamic.update(w.dynamic_found)
                if replay is not None and w.dynamic_found:
                    replay, why = None, ""
        finally:
            state.observed = None
            w.tensors.clear()
            w.values.clear()
        result = w.plainly(result)
        backward = replay is not None and replay.backward is not None
        stepped = bool(w.trace.backwards)
        if why:
            self._failed(why)
        if replay is not None:
            forms = [(*f, t) if id(t) in w.pinned else f for f, t in zip(forms, tensors, strict=True)]
            self.replays.insert(0, ((structure, modes, forms), replay))
        del w
        if stepped and not backward and state.trace.nodes:
            state.steps = True
            _trace.flush("step")
        return result

    def _failed(self, why: str) -> None:
        self.failed += 1
        self.why = why
        if ("graph_breaks" in _config.LOG or "recompiles" in _config.LOG) and why not in self.broken:
            self.broken.add(why)
            _say(f"graph break: {why}; {getattr(self.fn, '__qualname__', self.fn.__class__.__name__)} runs in Python")


def _busy() -> bool:
    """Whether what runs now is more than an ordinary call: JAX traces, lanes, modes that see each operator."""
    return state.lanes or state.keys is not None or state.host or MODES or listeners or _config.EAGER or state.backward is not None or state.mode & ~GRAD or _being_traced()  # type: ignore[no-any-return]


def _modes() -> Any:
    return (state.mode, _dtypes.default, _config.float32_matmul_precision, _autocast.snapshot() if state.mode & ~GRAD else None)


class _Same:
    """An argument that must be the same object."""

    __slots__ = ("x",)

    def __init__(self, x: Any) -> None:
        self.x = x


def _flat(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """(structure, tensors) of a call's arguments; None if there is something that cannot be."""
    tensors: list[Any] = []
    try:
        structure: list[Any] = [_part(a, tensors) for a in args]
        for k, v in kwargs.items():
            structure += (k, _part(v, tensors))
    except _Odd:
        return None
    return structure, tensors


class _Odd(Exception):
    pass


def _part(x: Any, tensors: list[Any]) -> Any:
    cls = x.__class__
    if cls in PLAIN:
        tensors.append(x)
        return Tensor
    if isinstance(x, Tensor):
        raise _Odd
    if cls is tuple or cls is list:
        return (cls, [_part(v, tensors) for v in x])
    if cls is dict:
        return (cls, list(x), [_part(v, tensors) for v in x.values()])
    return x


def _fits(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if a.__class__ is not b.__class__:
        return False
    if a.__class__ is list or a.__class__ is tuple:
        return len(a) == len(b) and all(map(_fits, a, b))
    return same(a, b)


def _form(t: Any) -> Any:
    v = read(t)
    return (v.aval, t.__class__, t._view is None, t._s.strides if t._view is None else t._view.strides, _edge_kind(t), t._grad is None, t._s.host is None)


def _edge_kind(t: Any) -> int:
    e = t._edge
    return 0 if e is None else 1 if t.is_leaf else 2


def _alike(forms: list[Any], tensors: list[Any]) -> bool:
    for f, t in zip(forms, tensors, strict=True):
        if len(f) > 7 and f[7] is not t:  # the very tensor
            return False
        if t._view is None:
            v = t._s.value
            if (
                v.aval is not f[0]
                or not f[2]
                or t._s.strides is not f[3]
                and t._s.strides != f[3]
                or t.__class__ is not f[1]
                or _edge_kind(t) != f[4]
                or (t._grad is None) is not f[5]
                or t._s.host is not None
            ):
                return False
            if v.array is None and v.trace is None:
                return False
        elif _form(t) != f[:7]:
            return False
    return True


def _containers(args: Any, kwargs: Any) -> list[Any]:
    """Lists and dicts among the arguments, at any depth: they are new for each call."""
    found: list[Any] = []
    stack = [*args, *kwargs.values()]
    while stack:
        x = stack.pop()
        if x.__class__ in (list, tuple, dict):
            if x.__class__ is not tuple:
                found.append(x)
            stack += x.values() if x.__class__ is dict else x
    return found


def _copied(c: Any) -> Any:
    return [(k, id(v)) for k, v in c.items()] if c.__class__ is dict else list(map(id, c))
