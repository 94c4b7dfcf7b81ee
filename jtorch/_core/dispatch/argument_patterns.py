"""What a call's arguments come to, remembered: binding checks and sorts them once for each pattern of arguments.

The pattern of ``f(x, y, 1.5, dim=2)`` is: a tensor, a tensor, some float where a runtime scalar goes, ``dim`` the int 2. Calls of equal pattern are the
same :class:`Bound`; which of the arguments are tensors and runtime scalars, and in which order the operator wants them, stands in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch import _device, _dtypes, _types
from jtorch._engine.recording.call import Call
from jtorch._engine.recording.forgetting import remembered
from jtorch._registry import Op, Signature

from jtorch._core.dispatch.signature_binding import FROM_NUMPY, SLOT_KINDS
from jtorch._core.storage.bare_tensor import PLAIN, Tensor

__all__ = ["Bound", "cache_for_function", "pattern", "remember"]

_CONSTANTS = frozenset((int, float, bool, complex, str, type(None), _dtypes.dtype, _device.device))
_NUMBERS = frozenset((int, float, bool, complex))
_SEQUENCES = frozenset((tuple, list, _types.Size))
_LARGEST = 512  # patterns that are kept for one function


class Slots:
    """Where a function's runtime scalars go: positions and names that are one in every overload."""

    __slots__ = ("positions", "names")

    def __init__(self, signatures: list[Signature]) -> None:
        def everywhere(kinds: list[str]) -> bool:
            return all(k in SLOT_KINDS for k in kinds)

        most = max(len(s.positional) for s in signatures)
        at = [[s.positional[i].kind for s in signatures if i < len(s.positional)] for i in range(most)]
        self.positions = frozenset(i for i, kinds in enumerate(at) if everywhere(kinds))
        names = {p.name for s in signatures for p in s.params}
        self.names = frozenset(n for n in names if everywhere([s.by_name[n].kind for s in signatures if n in s.by_name]))


class Bound:
    """An operator's call, and where its tensors and runtime scalars come from: ``take(args, kwargs)`` is the list of them.

    ``rest`` is the structure after the tensor if nothing else changes from call to call, else None.
    """

    __slots__ = ("op", "call", "descriptors", "take", "wrap", "rest")

    def __init__(self, op: Op, call: Call, descriptors: Any, take: Callable[[Any, Any], Any], wrap: Any) -> None:
        self.op, self.call, self.descriptors, self.take, self.wrap = op, call, descriptors, take, wrap
        self.rest = tuple([d[2] for d in descriptors[1:]]) if all(d[0] == "V" for d in descriptors[1:]) else None


def pattern(args: tuple[Any, ...], kwargs: dict[str, Any], slots: Slots) -> Any:
    """What of the arguments decides how they are bound. None where something takes part that must be looked at each time."""
    key: list[Any] = []
    add = key.append
    i = 0
    for a in args:
        c = a.__class__
        if c is Tensor or c in PLAIN:
            add(Tensor)
        elif c in _CONSTANTS:
            add(c)
            if i not in slots.positions or c not in _NUMBERS:
                if c is float and (a == 0 or a != a):  # 0.0 == -0.0, and nan is never found again
                    return None
                add(a)
        elif c in _SEQUENCES:
            if not _sequence(a, add):
                return None
        else:
            return None
        i += 1
    for name, a in kwargs.items():
        add(name)
        c = a.__class__
        if c is Tensor or c in PLAIN:
            add(Tensor)
        elif c in _CONSTANTS:
            add(c)
            if name not in slots.names or c not in _NUMBERS:
                if c is float and (a == 0 or a != a):
                    return None
                add(a)
        elif c in _SEQUENCES:
            if not _sequence(a, add):
                return None
        else:
            return None
    return tuple(key)


def _sequence(a: Any, add: Callable[[Any], None]) -> bool:
    """A sequence of ints is its elements; one of tensors its length."""
    for x in a:
        if x.__class__ is not int:
            if x.__class__ in PLAIN and all([y.__class__ in PLAIN for y in a]):
                add(list)
                add(len(a))
                return True
            return False
    add(tuple)
    add(tuple(a))
    return True


def cache_for_function() -> dict[Any, Bound]:
    """A cache of patterns for one function: emptied when what is known of calls is forgotten."""
    cache: dict[Any, Bound] = {}
    remembered.append(cache)
    return cache


def remember(cache: dict[Any, Bound], key: Any, bound: Bound) -> None:
    if len(cache) >= _LARGEST:
        cache.clear()
    cache[key] = bound


def sources(op: Op, sig: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[Any, Any], Any] | None:
    """How to take the tensors and runtime scalars of a call from its arguments, in the operator's order; None where that is not by place."""
    if not FROM_NUMPY.keys().isdisjoint(kwargs):
        return None
    places: list[tuple[str, Any]] = []
    for fp in op.fn_params:
        p = sig.by_name.get(fp.name)
        if p is None:
            continue
        at = sig.params.index(p)
        where: Any
        if at < len(args) and not p.keyword_only:
            kind, where, v = "arg", at, args[at]
        elif p.name in kwargs:
            kind, where, v = "name", p.name, kwargs[p.name]
        elif p.required:
            return None
        else:
            kind, where, v = "default", p.default, p.default
        if v is None:
            continue
        tensor = isinstance(v, Tensor)
        if p.kind == "Tensor" or (p.kind == "Tensor|Scalar" and tensor):
            if not tensor:
                return None
            places.append((kind, where))
        elif p.kind in SLOT_KINDS:
            if kind == "default":
                continue
            if v.__class__ not in _NUMBERS:
                return None
            places.append((kind, where))
        elif p.kind == "index[]":
            if kind == "default" or tensor:
                return None
            places.append((kind if v.__class__ is int else kind + "s", where))
        elif p.kind in ("Tensor[]", "Tensor?[]"):
            if kind == "default" or tensor or any(x.__class__ not in PLAIN for x in v):
                return None
            places.append((kind + "s", where))
        elif tensor:
            return None  # a number that is part of the structure, given as a tensor
    return _taker(places)


def _taker(places: list[tuple[str, Any]]) -> Callable[[Any, Any], Any]:
    kinds = [k for k, _ in places]
    if kinds == ["args"]:
        only = places[0][1]
        return lambda args, kwargs: args[only]
    if all(k == "arg" for k in kinds):
        at = [w for _, w in places]
        if at == [0]:
            return lambda args, kwargs: args[:1]
        if at == [0, 1]:
            return lambda args, kwargs: args[:2]
        if at == [0, 1, 2]:
            return lambda args, kwargs: args[:3]
        return lambda args, kwargs: [args[i] for i in at]

    def take(args: Any, kwargs: Any) -> list[Any]:
        flat: list[Any] = []
        for kind, where in places:
            if kind == "arg":
                flat.append(args[where])
            elif kind == "name":
                flat.append(kwargs[where])
            else:
                flat += args[where] if kind == "args" else kwargs[where]
        return flat

    return take
