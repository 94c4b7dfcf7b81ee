"""``reduction="mean"`` as torch's number, and the old ``size_average`` and ``reduce``."""

from __future__ import annotations

from jtorch._errors import warn

_NUMBERS = {"none": 0, "mean": 1, "sum": 2}


def get_enum(reduction: str) -> int:
    """0, 1, 2 for none, mean, sum. ValueError for other words; ``elementwise_mean`` is an old name of mean."""
    if reduction == "elementwise_mean":
        warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.")
        return 1
    found = _NUMBERS.get(reduction, -1) if isinstance(reduction, str) else -1
    if found < 0:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return found


def legacy_get_string(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> str:
    """The reduction that the two old flags ask for, with torch's warning that they are old."""
    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    found = ("mean" if size_average else "sum") if reduce else "none"
    if emit_warning:
        warn(f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.")
    return found


def legacy_get_enum(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> int:
    """:func:`legacy_get_string` as a number."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))


def chosen(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction in force: the old flags win where one of them is given."""
    if size_average is not None or reduce is not None:
        return legacy_get_string(size_average, reduce)
    return reduction


def number(size_average: bool | None, reduce: bool | None, reduction: str) -> int:
    """:func:`chosen` as a number."""
    return get_enum(chosen(size_average, reduce, reduction))
