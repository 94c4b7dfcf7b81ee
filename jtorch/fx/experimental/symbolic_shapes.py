"""``torch.fx.experimental.symbolic_shapes``: questions about sizes that may be symbols. Here they are numbers, so each has its answer."""

from __future__ import annotations

from typing import Any

__all__ = [
    "GuardOnDataDependentSymNode", "free_symbols", "free_unbacked_symbols", "guard_int", "guard_or_false", "guard_or_true", "guard_size_oblivious", "has_free_symbols",
    "hint_int", "is_concrete_bool", "is_concrete_int", "statically_known_true", "sym_and", "sym_eq", "sym_or",
]  # fmt: skip


class GuardOnDataDependentSymNode(RuntimeError):
    """A size is not known yet."""


def guard_or_false(a: Any) -> bool:
    """Whether it holds."""
    return bool(a)


guard_or_true = guard_size_oblivious = statically_known_true = guard_or_false


def guard_int(a: Any) -> int:
    """The number."""
    return int(a)


def hint_int(a: Any, fallback: int | None = None) -> int:
    """The number."""
    return int(a)


def is_concrete_int(a: Any) -> bool:
    """Whether it is a number."""
    return isinstance(a, int)


def is_concrete_bool(a: Any) -> bool:
    """Whether it is known."""
    return isinstance(a, bool)


def free_symbols(val: Any) -> set[Any]:
    """The symbols in it: none."""
    return set()


free_unbacked_symbols = free_symbols


def has_free_symbols(val: Any) -> bool:
    """Whether there are any."""
    return False


def sym_eq(x: Any, y: Any) -> bool:
    """Whether two sizes, or lists of them, are equal."""
    return bool(tuple(x) == tuple(y)) if isinstance(x, (list, tuple)) and isinstance(y, (list, tuple)) else bool(x == y)


def sym_and(x: Any, *others: Any) -> bool:
    """Whether all hold."""
    return bool(x) and all(others)


def sym_or(x: Any, *others: Any) -> bool:
    """Whether one holds."""
    return bool(x) or any(others)
