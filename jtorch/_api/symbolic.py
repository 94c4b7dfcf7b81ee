"""``torch.sym_*``: arithmetic on sizes. Sizes are Python numbers here, so these are Python's own; and control flow on a tensor's truth."""

from __future__ import annotations

import math
from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._errors import not_implemented
from jtorch._namespace import torch

_MOST = 2**63 - 1


class _Symbol:
    """No size is ever symbolic, so there are no instances: ``isinstance(n, torch.SymInt)`` is False."""

    def __init__(self, node: Any) -> None:
        not_implemented(f"torch.Sym{type(self).__name__.removeprefix('Sym')}", "sizes are numbers here, never symbols")


class SymInt(_Symbol):
    pass


class SymFloat(_Symbol):
    pass


class SymBool(_Symbol):
    pass


@compose("torch")
def sym_int(a: Any) -> Any:
    """The number without its fraction."""
    return math.floor(a) if a >= 0 else math.ceil(a)


@compose("torch")
def sym_float(a: Any) -> float:
    """``float(a)``; symbolic numbers are Python numbers here."""
    return float(a)


@compose("torch")
def sym_max(a: Any, b: Any) -> Any:
    """The larger; a float if one of them is."""
    return float(max(a, b)) if isinstance(a, float) or isinstance(b, float) else max(a, b)


@compose("torch")
def sym_min(a: Any, b: Any) -> Any:
    """The smaller; a float if one of them is."""
    return float(min(a, b)) if isinstance(a, float) or isinstance(b, float) else min(a, b)


@compose("torch")
def sym_not(a: Any) -> bool:
    """``not a``."""
    return not a


@compose("torch")
def sym_ite(b: Any, t: Any, f: Any) -> Any:
    """``t if b else f``, of one type."""
    if not isinstance(b, bool) or type(t) is not type(f):
        raise AssertionError(f"expected a bool and two values of one type, got {type(b)}, {type(t)}, {type(f)}")
    return t if b else f


@compose("torch")
def sym_sum(args: Any) -> Any:
    """The sum of a sequence of Python numbers."""
    return sum(args)


@compose("torch")
def sym_sqrt(a: Any) -> float:
    """The square root of a Python number."""
    return math.sqrt(a)


def sym_constrain_range(size: Any, *, min: int | None = None, max: int | None = None) -> None:
    """RuntimeError if ``size`` is not between the two."""
    low, high = -_MOST - 1 if min is None else min, _MOST if max is None else max
    if high < low:
        raise RuntimeError(f"Max must be greater than or equal to min. Got min={low} max={high}")
    if not low <= size <= high:
        raise RuntimeError(f"Invalid value range for {size} between [{low}, {high}].")


def sym_constrain_range_for_size(size: Any, *, min: int | None = None, max: int | None = None) -> None:
    """As ``sym_constrain_range``, of a size: not negative."""
    if max is not None and max <= 2:
        raise RuntimeError(f"Max value to constrain_range_for_size must be greater than 2. got: {max}")
    sym_constrain_range(size, min=0 if min is None else min, max=max)


for _fn in (sym_constrain_range, sym_constrain_range_for_size, SymInt, SymFloat, SymBool):
    setattr(torch, _fn.__name__, _fn)
