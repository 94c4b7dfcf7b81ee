"""What stands for the array of an input of a function that is being recorded (``_engine/recording/bodies.py``)."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["NotKnown", "Symbol"]

NOT_KNOWN = (
    "a value is looked at inside a branch or a loop's body (torch.cond, while_loop, scan, map), which is one program for all values: "
    "compute with tensors there (torch.where, another torch.cond) instead of item(), bool() or print()"
)


class NotKnown(RuntimeError):
    """A value is looked at where any is meant."""

    def __init__(self) -> None:
        super().__init__(NOT_KNOWN)


class Symbol:
    """Any value of its aval."""

    __slots__ = ()

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise NotKnown
