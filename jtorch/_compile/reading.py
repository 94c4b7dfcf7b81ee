"""The reads of a watch: attributes, elements, containers, tensors, arithmetic."""

from __future__ import annotations

import functools
import operator
import sys
import types
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from jtorch._compile import numbers
from jtorch._compile.knowledge import (
    ABSENT,
    COMPARISONS,
    CONTAINERS,
    LOOKS,
    MACHINE,
    MOST,
    PLAIN_TYPES,
    class_again,
    ours,
    ours_class,
    pinned,
    read_again,
    static_of,
)
from jtorch._compile.numbers import Tracked, made, plain
from jtorch._core.storage import view_steps
from jtorch._core.storage.bare_tensor import PLAIN, Storage, Tensor
from jtorch._engine.recording.trace import put
from jtorch._engine.values.lanes import Lanes, bare
from jtorch._engine.values.placed import behind
from jtorch._engine.values.sparse_values import SparseValue
from jtorch._engine.values.symbols import Symbol
from jtorch.nn.modules.module import Module


class Seen:
    """A tensor as it was when it was first seen. ``base``: stands for the storage's own value, of which the tensor is a view."""

    __slots__ = ("tensor", "storage", "view", "edge", "grad", "version", "aval", "value", "base", "strides")

    def __init__(self, t: Any, value: Any, base: bool = False) -> None:
        self.tensor, self.storage, self.view, self.edge, self.grad = t, t._s, t._view, t._edge, t._grad
        self.version, self.aval, self.value, self.base, self.strides = t._s.version, value.aval, value, base, t._s.strides


class Reads:
    """The part of :class:`watching.Watch` that reads."""

    # ---- reads

    def attr(self, obj: Any, name: str) -> Any:
        cls = obj.__class__ if obj.__class__ is type(obj) else type(obj)
        if isinstance(obj, Tensor):
            return self._tensor_attr(obj, name)
        if cls is ModuleType or issubclass(cls, ModuleType) or cls.__module__ == "jtorch._public":
            value = getattr(obj, name)
            held = getattr(obj, "__dict__", {})
            if name in held and not ours(obj):
                return self.read(held, name)
            return value
        if isinstance(obj, type):
            self._class_reads(obj, name)
            before, self.reading = self.reading, self.reading or (obj.__module__ or "").startswith("jtorch.")  # what ours give for the class depends on nothing
            try:
                return self.value(getattr(obj, name))
            finally:
                self.reading = before
        if cls in PLAIN_TYPES or cls in CONTAINERS or isinstance(obj, (FunctionType, MethodType, super, types.BuiltinFunctionType)):
            return self.value(getattr(obj, name))
        if isinstance(obj, Tracked):
            return getattr(obj.pinned(), name)
        if cls.__module__.startswith(MACHINE):
            return getattr(obj, name)
        if type.__getattribute__(cls, "__getattribute__") not in (object.__getattribute__, Module.__getattribute__):
            self.stop(f"{cls.__name__} has a __getattribute__ of its own")
            return getattr(obj, name)
        static = static_of(cls, name)
        held = getattr(obj, "__dict__", None)
        if static is not ABSENT and hasattr(type(static), "__set__"):
            if isinstance(static, property) and type(static).__get__ is property.__get__:
                self._class_reads(cls, name)
                return self.call(static.fget, obj) if static.fget is not None else getattr(obj, name)
            if isinstance(type(static).__set__, FunctionType):
                self.stop(f"the descriptor {cls.__name__}.{name}")
            value = getattr(obj, name)
            if name == "__dict__":
                if id(obj) not in self.fresh:
                    self.of_objects[id(value)] = value
                return value
            self._other(obj, name, value)
            return self.value(value)
        if held is not None and name in held:
            return self.read(held, name, obj)
        if static is not ABSENT:
            if held is not None and id(obj) not in self.fresh:
                self._absent(held, name)
            self._class_reads(cls, name)
            if isinstance(static, FunctionType):
                return MethodType(static, obj)
            if isinstance(getattr(type(static), "__get__", None), FunctionType):
                return self.call(type(static).__get__, static, obj, cls)
            return self.value(getattr(obj, name))
        hook = static_of(cls, "__getattr__")
        if hook is Module.__getattr__:
            for registry in ("_parameters", "_modules", "_buffers"):
                members = held.get(registry) if held is not None else None
                if members is not None and name in members:
                    self._absent(held, name)
                    return self.read(members, name, obj)
            return getattr(obj, name)
        if isinstance(hook, FunctionType):
            if held is not None:
                self._absent(held, name)
            return self.call(hook, obj, name)
        if held is not None:
            self._absent(held, name)
        return getattr(obj, name)

    def _tensor_attr(self, t: Any, name: str) -> Any:
        self.see(t)
        if name in LOOKS:
            self.stop(f"Tensor.{name}", True)
        held = t.__dict__
        if name in held:
            return self.read(held, name)
        value = getattr(t, name)
        if name == "grad":
            self.grads_read.add(id(t))
            if value is not None:
                self.see(value)
        return value

    def _other(self, obj: Any, name: str, value: Any) -> None:
        if id(obj) not in self.fresh:
            self.others.setdefault((id(obj), name), (functools.partial(read_again, obj, name), value))

    def _class_reads(self, cls: Any, name: str) -> None:
        for c in type.mro(cls) if cls is type else cls.__mro__:
            if name in c.__dict__:
                if not (c.__module__ or "").startswith("jtorch") and c.__module__ not in sys.stdlib_module_names:
                    self.others.setdefault((id(c), name), (functools.partial(class_again, c, name), c.__dict__[name]))
                return

    def lends(self, held: Any, key: Any, owner: Any, *names: str) -> None:
        """The library is about to put something else into a slot of a dict, and will put back what is there (as ``fully_shard`` does with parameters). What it does hangs on these attributes of ``owner`` besides."""
        k = (id(held), key)
        if k not in self.starts:
            self._contents(held)  # as it is now: it is read while something else is in it
            self.starts[k] = self.reads.setdefault(k, (held, key, held[key]))
        for name in names:
            self._other(owner, name, getattr(owner, name))

    def _absent(self, held: Any, name: Any) -> None:
        k = (id(held), name)
        if k not in self.starts:
            self.reads.setdefault(k, (held, name, ABSENT))

    def read(self, held: Any, key: Any, owner: Any = None) -> Any:
        """What stands in a slot of a dict."""
        value = held[key]
        k = (id(held), key)
        found = self.overlay.get(k)
        if found is not None and plain(found) == value:
            return found
        if owner is not None and id(owner) in self.fresh:
            return value
        if k not in self.starts and k not in self.reads:
            self.reads[k] = (held, key, value)
        if k in self.dynamic and value.__class__ in (int, float) and k not in self.starts:
            return self._slot(k, held, key, value)
        return self.value(value)

    def _slot(self, k: Any, held: Any, key: Any, value: Any) -> Any:
        self.slots.append((held, key))
        found = self.overlay[k] = made(value, ("slot", len(self.slots) - 1))
        return found

    def value(self, x: Any) -> Any:
        """Something that was there before the call: what it holds is guarded."""
        cls = x.__class__
        if cls in PLAIN_TYPES:
            return x
        if cls in PLAIN or isinstance(x, Tensor):
            if id(x._s) in self.arguments:
                self._also_an_argument(x)
            self.see(x)
        elif cls in CONTAINERS:
            self._contents(x)
        elif isinstance(x, (list, dict, set)) and not isinstance(x, Module):
            self.stop(f"a container of the class {cls.__name__}")
        elif isinstance(x, np.ndarray):
            self.stop("a numpy array, whose elements nobody can watch")
        return x

    def _also_an_argument(self, x: Any) -> None:
        """A tensor that was found elsewhere is one of the arguments: a replay is for this argument alone."""
        if self.arguments[id(x._s)] is x:
            self.pinned.add(id(x))
        else:
            self.stop("a tensor that shares memory with an argument")

    def _contents(self, x: Any) -> None:
        if id(x) in self.containers or id(x) in self.fresh:
            return
        if len(x) > MOST:
            self.stop(f"a container of {len(x)} elements")
            return
        self.containers[id(x)] = x, (tuple(x.items()) if isinstance(x, dict) else tuple(x))
        if isinstance(x, dict):
            for key, v in x.items():
                self.value(key)
                self.value(v)
        else:
            for v in x:
                self.value(v)

    def see(self, t: Any) -> None:
        """A tensor takes part."""
        if id(t) in self.tensors or self.arguments.get(id(t._s), t) is not t:  # (a part of an argument, or another name for it, made here)
            return
        if t.__class__ not in PLAIN:
            self.stop(f"a tensor of the class {t.__class__.__name__}")
            return
        self.reading = True
        try:
            s = t._s
            v = s.value if t._view is None else view_steps.read(t)
            inner = bare(v)
            if t._view is not None:
                self._see_above(t)
            if inner.trace is self.trace or inner.array.__class__ is Symbol or inner.trace is not None and inner.trace.symbolic:
                return
            if v.__class__ is SparseValue or v.array.__class__ is Lanes or s.host is not None or s.__class__ is not Storage or inner.trace is not None or inner.array is None:
                self.stop("a tensor that is sparse, shared with numpy, on the meta device, pending or another one in each rank")
                return
            if inner.array.__class__ is np.ndarray:
                put(inner)  # what an operator requires of it is checked by the program then
            seen = Seen(t, v)
            self.tensors[id(t)] = seen
            known = self.values.get(id(inner))
            if known is None or known.base:
                self.values[id(inner)] = seen
            if t._grad is not None:
                self.see(t._grad)
        finally:
            self.reading = False

    def _see_above(self, t: Any) -> None:
        """What a tensor is a view of, and the steps between, are no constants if they were there before."""
        above, view = [t._s.value], t._view.parent
        while view is not None:
            above.append(view.value)
            view = view.parent
        for v in above:
            if v is not None and behind(v).trace is not self.trace:
                self.values.setdefault(id(behind(v)), Seen(t, v, True))

    # ---- elements

    def item(self, a: Any, i: Any) -> Any:
        if isinstance(a, Tensor):
            self.see(a)
            self._each(i)
            return a[pinned(i)]
        cls = a.__class__
        if isinstance(a, dict) and cls in CONTAINERS:
            i = pinned(i)
            if id(a) in self.of_objects:
                return self.read(a, i) if i in a else a[i]
            k = (id(a), i) if i.__class__ in PLAIN_TYPES and i.__class__ is not slice else None
            if k is not None and i in a:
                found = self.overlay.get(k)
                if found is not None and plain(found) == a[i]:
                    return found
                if k in self.dynamic and a[i].__class__ in (int, float) and id(a) in self.containers:
                    return self._slot(k, a, i, a[i])
            return self.value(a[i]) if id(a) in self.containers else a[i]
        if cls in CONTAINERS:
            i = pinned(i)
            if cls is list and i.__class__ is int:
                k = (id(a), i + len(a) if i < 0 else i)
                found = self.overlay.get(k)
                if found is not None and plain(found) == a[i]:
                    return found
                if k in self.dynamic and a[i].__class__ in (int, float) and id(a) in self.containers:
                    return self._slot(k, a, k[1], a[i])
            return a[i]
        if cls in PLAIN_TYPES or isinstance(a, (tuple, type)):
            return a[pinned(i)]
        method = static_of(cls, "__getitem__")
        if isinstance(method, FunctionType):
            return self.call(method, a, i)
        self.stop(f"an element of a {cls.__name__}")
        return a[pinned(i)]

    def contains(self, a: Any, x: Any) -> bool:
        """``x in a``."""
        if id(a) in self.of_objects and isinstance(x, str):
            if x in a:
                self.read(a, x)
            else:
                self._absent(a, x)
        elif isinstance(a, Tensor):
            self.stop("a value is looked at", True)
        elif a.__class__ not in CONTAINERS and a.__class__ not in PLAIN_TYPES:
            method = static_of(a.__class__, "__contains__")
            if isinstance(method, FunctionType):
                return bool(self.call(method, a, x))
        return pinned(x) in pinned(a)

    def _each(self, x: Any) -> None:
        if isinstance(x, Tensor):
            self.see(x)
        elif isinstance(x, (list, tuple)):
            for part in x:
                self._each(part)

    def iterated(self, it: Any) -> Any:
        if isinstance(it, Tensor):
            self.see(it)
            return it
        if it.__class__ in CONTAINERS:
            self._pin_slots(it)
            return it
        method = static_of(it.__class__, "__iter__")
        if isinstance(method, FunctionType):
            return self.call(method, it)
        return it

    def _pin_slots(self, c: Any) -> None:
        """A container is read past us: its numbers are guards."""
        if self.dynamic and isinstance(c, (dict, list)):
            for key, v in list(c.items() if isinstance(c, dict) else enumerate(c)):
                if v.__class__ in (int, float):
                    k = (id(c), key)
                    found = self.overlay.get(k)
                    if found is not None:
                        found.pinned()
                    elif k in self.dynamic:
                        self._slot(k, c, key, v).pinned()

    # ---- arithmetic

    def binary(self, name: str, a: Any, b: Any) -> Any:
        apply = getattr(operator, name)
        ta, tb = isinstance(a, Tracked), isinstance(b, Tracked)
        for x in (a, b):
            if isinstance(x, Tensor):
                self.see(x)
            elif not isinstance(x, Tracked) and x.__class__ not in PLAIN_TYPES and x.__class__ not in CONTAINERS:
                self._operand(name, x)
        if (ta or tb) and isinstance(a, (int, float)) and isinstance(b, (int, float)):
            # Not left to the language: a float takes an int for what it is, whatever its class.
            return made(apply(plain(a), plain(b)), (apply, numbers.expression(a), numbers.expression(b)))
        if ta and isinstance(b, Tensor):
            return apply(self.handed(a), b)
        if tb and isinstance(a, Tensor):
            return apply(a, self.handed(b))
        if ta and not isinstance(b, (int, float)):
            return apply(a.pinned(), b)
        if tb and not isinstance(a, (int, float)):
            return apply(a, b.pinned())
        if name in COMPARISONS and (a.__class__ in CONTAINERS or b.__class__ in CONTAINERS):
            self._pin_slots(a)
            self._pin_slots(b)
            return apply(pinned(a), pinned(b))
        return apply(a, b)

    def chain(self, names: tuple[str, ...], operands: tuple[Any, ...]) -> Any:
        """``a < b < c``."""
        found: Any = True
        for name, a, b in zip(names, operands, operands[1:], strict=False):
            found = self.binary(name, a, b)
            if not found:
                break
        return found

    def _operand(self, name: str, x: Any) -> None:
        if isinstance(static_of(x.__class__, f"__{name.strip('_')}__"), FunctionType) and not ours_class(x.__class__):
            self.stop(f"{x.__class__.__name__} has operators of its own")
        elif isinstance(x, np.ndarray):
            self.stop("a numpy array")

    def handed(self, x: Any) -> Any:
        """A tracked number as an operator takes it, which it may stay through to the recorded program."""
        if x.__class__ is not numbers.TrackedFloat:
            return x.pinned()
        raw = float.__add__(x, 0.0) if x != 0 else x.pinned()
        if raw.__class__ is float and id(raw) not in self.raw:
            self.raw[id(raw)] = raw, x.how
        return raw
