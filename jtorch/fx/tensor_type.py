"""Types of tensors by their sizes, for gradual typing of graphs."""

from __future__ import annotations

from typing import Any

__all__ = ["Dyn", "TensorType", "is_consistent", "is_more_precise"]


class TensorType:
    """A tensor of these sizes; each an int, a symbol or :data:`Dyn`."""

    def __init__(self, dim: Any) -> None:
        self.__origin__ = TensorType
        self.__args__ = dim

    def __repr__(self) -> str:
        return f"TensorType[{self.__args__}]"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self.__class__) and list(self.__args__) == list(other.__args__)

    __hash__ = None  # type: ignore[assignment]

    @staticmethod
    def __class_getitem__(*args: Any) -> TensorType:
        return TensorType(tuple(args[0]))


class _DynType:
    """Any size, or any tensor."""

    def __init__(self) -> None:
        self.__name__ = "_DynType"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self.__class__)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return "Dyn"

    __repr__ = __str__


Dyn = _DynType()


def _both(t1: Any, t2: Any, holds: Any) -> bool:
    return isinstance(t1, TensorType) and isinstance(t2, TensorType) and len(t1.__args__) == len(t2.__args__) and all(map(holds, t1.__args__, t2.__args__))


def is_consistent(t1: Any, t2: Any) -> bool:
    """Whether one tensor could have both types."""
    return t1 == t2 or t1 == Dyn or t2 == Dyn or _both(t1, t2, is_consistent)


def is_more_precise(t1: Any, t2: Any) -> bool:
    """Whether ``t1`` says at least what ``t2`` says."""
    return t1 == t2 or isinstance(t2, _DynType) or _both(t1, t2, is_more_precise)
