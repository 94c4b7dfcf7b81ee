"""The calls of a watch: functions that are seen, functions of the library, of C, and classes."""

from __future__ import annotations

import builtins
import functools
import operator
import types
import weakref
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from jtorch._compile import numbers
from jtorch._compile.knowledge import (
    CONTAINERS,
    FOLLOWED,
    LIBRARY,
    LOOKS,
    MANAGER_CODE,
    NOT_SEEN,
    OF_NUMBERS,
    PLAIN_TYPES,
    PURE,
    ROOT,
    SAFE,
    SCALARS_FOLLOWED,
    SEEN_INSIDE,
    cell_again,
    generator_manager,
    named,
    names_in,
    ours_class,
    pinned,
    static_of,
    to_be_seen,
)
from jtorch._compile.numbers import Tracked, made, plain, untracked
from jtorch._compile.rewriting import REWRITTEN, CannotRewrite, rewritten
from jtorch._core.state import generator as _generator
from jtorch._core.state.optimizer_updates import add_number
from jtorch._core.state.step_state import one_value
from jtorch._core.storage.bare_tensor import Tensor
from jtorch.nn.modules.module import Module


class Calls:
    """The part of :class:`watching.Watch` that calls."""

    helper: Any = None  # what rewritten functions call; set by watching.py

    # ---- calls

    def call(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        if self.gone is not None:
            return fn(*untracked(args), **untracked(kwargs))
        cls = fn.__class__
        if cls is MethodType:
            return self.call(fn.__func__, fn.__self__, *args, **kwargs)
        if cls is FunctionType:
            return self._function(fn, args, kwargs)
        if isinstance(fn, type):
            return self._make(fn, args, kwargs)
        if cls is functools.partial:
            self.value(fn.args)
            self.value(fn.keywords)
            return self.call(fn.func, *fn.args, *args, **{**fn.keywords, **kwargs})
        if fn is builtins.getattr and len(args) in (2, 3) and isinstance(args[1], str):
            try:
                return self.attr(args[0], args[1])
            except AttributeError:
                if len(args) == 3:
                    return args[2]
                raise
        if fn is builtins.hasattr and isinstance(args[1], str):
            try:
                self.attr(args[0], args[1])
                return True
            except AttributeError:
                return False
        if fn is builtins.setattr:
            return self.store_attr(args[2], args[0], args[1])
        if fn in (len, isinstance, callable, bool) and args and not isinstance(args[0], (Tracked, Tensor)):
            method = static_of(args[0].__class__, {len: "__len__", bool: "__bool__"}.get(fn, "__len__")) if fn in (len, bool) else None
            if isinstance(method, FunctionType):
                return fn(self.call(method, *args))
            return fn(*args)
        if isinstance(fn, (types.BuiltinFunctionType, types.MethodWrapperType, types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)):
            return self._builtin(fn, args, kwargs)
        if isinstance(fn, weakref.ref):
            return fn()
        original = (getattr(fn, "__dict__", None) or {}).get("_torchdynamo_orig_callable")
        if original is not None:
            return self.call(original, *args, **kwargs)
        method = static_of(cls, "__call__")
        if isinstance(method, FunctionType):
            return self.call(method, fn, *args, **kwargs)
        if cls.__module__.startswith("jtorch"):
            return self.leaf(fn, args, kwargs)
        self.stop(f"a call of {named(fn)}")
        return fn(*pinned(args), **pinned(kwargs))

    def _function(self, fn: FunctionType, args: Any, kwargs: Any) -> Any:
        original = fn.__dict__.get("_torchdynamo_orig_callable")
        if original is not None:
            return self.call(original, *args, **kwargs)
        if fn.__dict__.get("_torchdynamo_disable"):
            self.stop(f"{fn.__qualname__} is not to be compiled", True)
        code = fn.__code__
        if code in REWRITTEN:
            if id(fn) not in self.fresh:
                self._entered(fn)
            return fn(*args, **kwargs)
        path = code.co_filename
        if code is MANAGER_CODE and fn.__closure__:
            inner = fn.__dict__.get("__wrapped__")
            if isinstance(inner, FunctionType) and to_be_seen(inner):
                return generator_manager(self._seen(inner), args, kwargs)
        if path.startswith(ROOT) and (not path.startswith(SEEN_INSIDE) or path in NOT_SEEN):
            return self.leaf(fn, args, kwargs)
        if path.startswith(LIBRARY) and "site-packages" not in path and "dist-packages" not in path:
            return self.leaf(fn, args, kwargs)
        if path.startswith("<string>"):  # made by dataclasses and namedtuples
            return fn(*args, **kwargs)
        return self._seen(fn)(*args, **kwargs)

    def _seen(self, fn: FunctionType) -> Any:
        """The function with its reads seen; itself if that cannot be, and the watch is over."""
        try:
            found = rewritten(fn, self.helper)
        except CannotRewrite as error:
            self.stop(str(error))
            return fn
        self._entered(fn)
        return found

    def _entered(self, fn: FunctionType) -> None:
        """What a function reads without our seeing it: its globals, its closure, its defaults."""
        if id(fn) in self.functions:
            return
        mine = fn.__code__.co_filename.startswith(ROOT)
        self.functions[id(fn)] = fn, None if mine else fn.__code__
        for name in names_in(fn.__code__):
            if name in fn.__globals__:
                value = fn.__globals__[name]
                if mine and (isinstance(value, (FunctionType, type, ModuleType)) or value.__class__ in PLAIN_TYPES):
                    continue
                k = (id(fn.__globals__), name)
                if k not in self.reads and k not in self.starts:
                    self.reads[k] = (fn.__globals__, name, value)
                self.value(value)
        for cell, name in zip(fn.__closure__ or (), fn.__code__.co_freevars, strict=True):
            if name in ("__class__", "__jt__"):
                continue
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            self.others.setdefault((id(cell), "cell"), (functools.partial(cell_again, cell), value))
            self.value(value)
        for value in (*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values()):
            self.value(value)

    def _make(self, cls: Any, args: Any, kwargs: Any) -> Any:
        """An object of a class."""
        if cls in (float, int) and len(args) == 1 and isinstance(args[0], Tracked):
            return made(cls(plain(args[0])), (cls, args[0].how))
        if cls is type and len(args) == 1 and isinstance(args[0], Tracked):
            return args[0].__class__.__mro__[2]
        if cls in SAFE or issubclass(cls, BaseException):
            for a in args:
                self._each(a)
                if cls not in (map, filter) and a.__class__ in CONTAINERS:
                    self._pin_slots(a)
            if cls is bool and args and isinstance(args[0], Tensor) and not self.can_look(args[0]):
                self.stop("a value is looked at", True)
            if cls in (enumerate, zip, list, tuple, set, frozenset, map, filter):
                first = 1 if cls in (map, filter) else 0
                args = (*args[:first], *[a if a.__class__ in CONTAINERS or a.__class__ in PLAIN_TYPES else self.iterated(a) for a in args[first:]])
            if cls in (map, filter):
                args = (self._callback(args[0]), *args[1:])
            out = cls(*args, **kwargs) if cls in FOLLOWED else cls(*pinned(args), **pinned(kwargs))
            self._is_fresh(out)
            return out
        init, new, meta = static_of(cls, "__init__"), static_of(cls, "__new__"), static_of(type(cls), "__call__")
        if issubclass(cls, Tensor) or ours_class(cls) and not (isinstance(init, FunctionType) and to_be_seen(init)):
            return self.leaf(cls, args, kwargs)
        self._class_reads(cls, "__init__")
        if isinstance(init, FunctionType) and new is object.__dict__["__new__"] and not isinstance(meta, FunctionType):
            obj = object.__new__(cls)
            self._is_fresh(obj)
            self.call(init, obj, *args, **kwargs)
            return obj
        if new is object.__dict__["__new__"] or (issubclass(cls, tuple) and hasattr(cls, "_fields")):
            out = cls(*args, **kwargs)
            self._is_fresh(out)
            return out
        self.stop(f"an object of {cls.__name__}")
        return cls(*pinned(args), **pinned(kwargs))

    def _is_fresh(self, x: Any) -> None:
        if x.__class__ not in PLAIN_TYPES:
            self.fresh[id(x)] = x

    def _callback(self, fn: Any) -> Any:
        """A function that C code or the library will call."""
        if isinstance(fn, MethodType) and isinstance(fn.__func__, FunctionType) and to_be_seen(fn.__func__):
            return MethodType(self._seen(fn.__func__), fn.__self__)
        if isinstance(fn, FunctionType) and to_be_seen(fn):
            return self._seen(fn)
        return fn

    def _builtin(self, fn: Any, args: Any, kwargs: Any) -> Any:
        owner = getattr(fn, "__self__", None)
        if owner is not None and not isinstance(owner, ModuleType):
            cls = owner if isinstance(owner, type) else owner.__class__
            if isinstance(owner, Tensor):
                return self.leaf(fn, args, kwargs)
            if cls in CONTAINERS:
                return self._method(fn, owner, args, kwargs)
            if cls in PLAIN_TYPES or cls in (FunctionType, type, object, super) or issubclass(cls, (BaseException, types.GeneratorType, tuple)) or cls.__module__ in ("itertools", "builtins"):
                return fn(*pinned(args), **pinned(kwargs))
            if fn.__name__ in ("__init__", "__setattr__", "__init_subclass__", "__enter__", "__exit__"):
                if fn.__name__ == "__setattr__":
                    return self.store_attr(args[1], owner, args[0], True)
                return fn(*args, **kwargs)
            self.stop(f"a call of {cls.__name__}.{fn.__name__}")
            return fn(*pinned(args), **pinned(kwargs))
        if fn is object.__setattr__:
            return self.store_attr(args[2], args[0], args[1], True)
        if fn is object.__getattribute__:
            return self.attr(args[0], args[1])
        if (fn in PURE or fn in OF_NUMBERS) and any(isinstance(a, Tracked) for a in args) and not kwargs and all(isinstance(a, (int, float)) for a in args):
            return made(fn(*map(plain, args)), (fn, *map(numbers.expression, args)))
        if fn in SAFE or (getattr(fn, "__objclass__", None) in CONTAINERS | PLAIN_TYPES):
            for a in args:
                self._each(a)
                if a.__class__ in CONTAINERS:
                    self._pin_slots(a)
            if fn is sorted or fn in (max, min):
                kwargs = {k: self._callback(v) for k, v in kwargs.items()}
            return fn(*args, **kwargs) if fn in FOLLOWED else fn(*pinned(args), **pinned(kwargs))
        if (getattr(fn, "__module__", None) or "").startswith("jtorch"):
            return self.leaf(fn, args, kwargs)
        self.stop(f"a call of {named(fn)}", fn in (print, input, open))
        return fn(*pinned(args), **pinned(kwargs))

    def _method(self, fn: Any, owner: Any, args: Any, kwargs: Any) -> Any:
        """A method of a container."""
        name = fn.__name__
        if id(owner) in self.of_objects:
            if name == "get" and isinstance(args[0], str):
                return self.read(owner, args[0]) if self.contains(owner, args[0]) else (args[1] if len(args) > 1 else None)
            if name not in ("pop", "setdefault", "__setitem__"):
                self._contents(owner)
            else:
                self.stop("__dict__ of an object")
        if isinstance(owner, dict) and name == "get" and args and args[0].__class__ in PLAIN_TYPES:
            return self.item(owner, args[0]) if args[0] in owner else (args[1] if len(args) > 1 else None)
        if name == "sort":
            kwargs = {k: self._callback(v) for k, v in kwargs.items()}
        if name in ("items", "values", "copy", "pop", "popitem", "setdefault", "__eq__", "count", "index"):
            self._pin_slots(owner)
        if name in ("append", "extend", "insert", "update", "add") and id(owner) in self.fresh:
            return fn(*args, **kwargs)
        return fn(*pinned(args), **pinned(kwargs))

    def leaf(self, fn: Any, args: Any, kwargs: Any) -> Any:
        """A function of the library that reads nothing but its arguments, tensors and modes."""
        module, name = getattr(fn, "__module__", "") or "", getattr(fn, "__name__", "")
        if module == "jtorch.optim._apply":
            if name == "advance":
                return self._advance(fn, args, kwargs)
            if name == "factors" and any(isinstance(a, Tracked) for a in args) and all(isinstance(a, (int, float)) for a in args[1:]):
                return self._factors(fn, args)
            if name == "alike" and len(set(map(id, args[0]))) == 1:
                return [(args[0][0], None)]
            if name in ("number", "put_number"):
                self.stop("an optimizer that counts in Python")
        if name in LOOKS or module.removeprefix("j").startswith(("torch.random", "torch.serialization")) or "seed" in name or name.startswith(("set_rng", "set_default", "load", "save")):
            self.stop(f"a call of {name}")
        if isinstance(getattr(fn, "__self__", None), _generator.Generator) or isinstance(args[0] if args else None, _generator.Generator):
            self.stop("a generator's state")
        if name in ("in_a_step", "with_gradients"):  # hands on what it is given to a function that is seen
            return fn(*[self._callback(a) for a in args], **kwargs)
        follow = name in SCALARS_FOLLOWED
        given = [self._given(a, follow) for a in args]
        named = {k: self._given(v, follow) for k, v in kwargs.items()}
        return fn(*given, **named)

    def _given(self, x: Any, follow: bool) -> Any:
        if isinstance(x, Tracked):
            return self.handed(x) if follow else x.pinned()
        if isinstance(x, Tensor):
            self.see(x)
            return x
        cls = x.__class__
        if cls in CONTAINERS:
            self._pin_slots(x)
            if cls in (list, tuple):
                parts = [self._given(v, follow) for v in x]
                return x if all(map(operator.is_, parts, x)) else cls(parts)
            if isinstance(x, dict):
                parts = [self._given(v, follow) for v in x.values()]
                return x if all(map(operator.is_, parts, x.values())) else dict(zip(x, parts, strict=True))
            return x
        if isinstance(x, (FunctionType, MethodType, Module)) or cls is functools.partial:
            return self._callback(x)
        if isinstance(x, np.ndarray):
            self.stop("a numpy array")
        return x

    def _advance(self, fn: Any, args: Any, kwargs: Any) -> Any:
        steps, graph = args[0], args[1] if len(args) > 1 else kwargs.get("graph")
        for t in steps:
            self.see(t)
        if graph or not steps:
            return fn(*args, **kwargs)
        storages = [t._s for t in steps]
        if any(t._view is not None for t in steps) or not one_value(storages):
            self.stop("step counts that differ")
            return fn(*args, **kwargs)
        self.reading = True
        try:
            totals = add_number(list(steps), 1.0)
        finally:
            self.reading = False
        self.slots.append((storages, None))
        how = (operator.add, ("slot", len(self.slots) - 1), ("const", 1.0))
        self.counts.append((storages, len(self.slots) - 1, how))
        return [made(totals[0], how)] * len(steps)

    def _factors(self, fn: Any, args: Any) -> Any:
        found = fn(args[0], *map(plain, args[1:]))
        how = (functools.partial(fn, args[0]), *map(numbers.expression, args[1:]))
        if not isinstance(found, tuple):
            return made(found, how)
        return tuple(made(x, (operator.itemgetter(i), how)) for i, x in enumerate(found))
