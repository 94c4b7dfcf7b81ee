"""Python numbers that change from call to call, followed through arithmetic: learning rates, step counts, counters.

A tracked number is a float or an int that knows how it was computed. What decides something by its value (a comparison, a truth test, text, a hash) is written down as a guard;
what reads the value past it (C code) is never given one: see ``watching.py``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

__all__ = ["Tracked", "TrackedFloat", "TrackedInt", "expression", "made", "plain", "program", "untracked"]

Expression = Any  # ("slot", i), ("const", value), or (function, expression, ...)

noted: Callable[[Expression, Any], None] = lambda e, v: None  # told of each decision: the expression and what it was; set by watching.py


class Tracked:
    """What tracked floats and ints have in common."""

    __slots__ = ()
    how: Expression

    def pinned(self) -> Any:
        """The plain value, which is a guard from now on."""
        value = plain(self)
        noted(self.how, value)
        return value


class TrackedFloat(Tracked, float):
    """A float that knows where it comes from."""

    __slots__ = ("how",)

    def __float__(self) -> float:
        return float(self.pinned())


class TrackedInt(Tracked, int):
    """An int that knows where it comes from."""

    def __index__(self) -> int:
        return int(self.pinned())


def plain(x: Any) -> Any:
    """The number itself."""
    if x.__class__ is TrackedFloat:
        return float.__pos__(x)
    return int.__pos__(x) if x.__class__ is TrackedInt else x


def untracked(x: Any, seen: set[int] | None = None) -> Any:
    """The same with plain numbers, in tuples, lists and dicts at any depth, too; lists and dicts stay the objects that they are."""
    if isinstance(x, Tracked):
        return plain(x)
    cls = x.__class__
    if cls is tuple or isinstance(x, tuple) and hasattr(x, "_make"):
        parts = [untracked(v, seen) for v in x]
        return x if all(map(operator.is_, parts, x)) else cls(parts) if cls is tuple else cls._make(parts)
    if cls is list or isinstance(x, dict):
        seen = set() if seen is None else seen
        if id(x) not in seen:
            seen.add(id(x))
            for k, v in list(enumerate(x) if cls is list else x.items()):
                found = untracked(v, seen)
                if found is not v:
                    x[k] = found
    return x


def expression(x: Any) -> Expression:
    """How a number is computed."""
    return x.how if isinstance(x, Tracked) else ("const", x)


def made(value: Any, how: Expression) -> Any:
    """A number that knows how it was computed; what is neither int nor float is a decision."""
    if value.__class__ is float:
        found: Any = float.__new__(TrackedFloat, value)
    elif value.__class__ is int:
        found = int.__new__(TrackedInt, value)
    else:
        noted(how, value)
        return value
    found.how = how
    return found


def _binary(apply: Any, swapped: bool) -> Any:
    def method(self: Any, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            self.pinned()
            return NotImplemented
        a, b = (other, self) if swapped else (self, other)
        return made(apply(plain(a), plain(b)), (apply, expression(a), expression(b)))

    return method


def _decision(apply: Any) -> Any:
    def method(self: Any, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            self.pinned()
            return NotImplemented
        found = apply(plain(self), plain(other))
        noted((apply, expression(self), expression(other)), found)
        return found

    return method


def _unary(apply: Any) -> Any:
    def method(self: Any) -> Any:
        return made(apply(plain(self)), (apply, self.how))

    return method


def _value(apply: Any) -> Any:
    def method(self: Any, *args: Any) -> Any:
        return apply(self.pinned(), *args)

    return method


def _truth(x: Any) -> bool:
    found = bool(plain(x))
    noted((bool, x.how), found)
    return found


for _cls in (TrackedFloat, TrackedInt):
    for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
        setattr(_cls, f"__{_name}__", _binary(getattr(operator, _name), False))
        setattr(_cls, f"__r{_name}__", _binary(getattr(operator, _name), True))
    for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(_cls, f"__{_name}__", _decision(getattr(operator, _name)))
    for _name, _fn in (("neg", operator.neg), ("pos", operator.pos), ("abs", abs)):
        setattr(_cls, f"__{_name}__", _unary(_fn))
    for _name, _fn in (("hash", hash), ("repr", repr), ("str", str), ("format", format), ("round", round), ("divmod", divmod), ("rdivmod", lambda a, b: divmod(b, a)), ("trunc", math.trunc), ("floor", math.floor), ("ceil", math.ceil)):
        setattr(_cls, f"__{_name}__", _value(_fn))
    _cls.__bool__ = _truth  # type: ignore[method-assign,assignment]
    _cls.__reduce__ = lambda self: (float if isinstance(self, float) else int, (self.pinned(),))  # type: ignore[method-assign,assignment]
TrackedFloat.__int__ = lambda self: int(self.pinned())  # type: ignore[attr-defined]
TrackedInt.__int__ = lambda self: self.pinned()  # type: ignore[method-assign]
TrackedInt.__float__ = lambda self: float(self.pinned())  # type: ignore[method-assign]
for _name in ("lshift", "rshift", "and", "or", "xor"):
    for _form in (f"__{_name}__", f"__r{_name}__"):
        setattr(TrackedInt, _form, _value(getattr(int, _form)))
TrackedInt.__invert__ = lambda self: ~self.pinned()  # type: ignore[method-assign]


class program:
    """Expressions as one function of the slots' values: ``program(wanted)(slots) -> [values]``. Equal parts are computed once."""

    def __init__(self, wanted: list[Expression]) -> None:
        self._lines: list[str] = []
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []
        self._constants: dict[str, Any] = {}
        results = [self._name(e) for e in wanted]
        text = "def compute(slots):\n" + "".join(f"    {line}\n" for line in self._lines) + f"    return [{', '.join(results)}]\n"
        scope: dict[str, Any] = dict(self._constants)
        exec(compile(text, "<numbers>", "exec"), scope)
        self.compute: Callable[[list[Any]], list[Any]] = scope["compute"]

    def _constant(self, x: Any) -> str:
        name = f"c{len(self._constants)}"
        self._constants[name] = x
        return name

    def _name(self, e: Expression) -> str:
        found = self._names.get(id(e))
        if found is not None:
            return found
        self._kept.append(e)
        if e[0] == "slot":
            name = f"slots[{e[1]}]"
        elif e[0] == "const":
            name = self._constant(e[1])
        else:
            args = ", ".join(self._name(part) for part in e[1:])
            name = f"v{len(self._lines)}"
            self._lines.append(f"{name} = {self._constant(e[0])}({args})")
        self._names[id(e)] = name
        return name
