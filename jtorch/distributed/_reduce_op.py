"""How values are reduced."""

from __future__ import annotations

import enum
from typing import Any

__all__ = ["ReduceOp", "RedOpType", "premultiplied"]


class RedOpType(enum.Enum):
    """A kind of reduction."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8
    UNUSED = 9

    def __str__(self) -> str:
        return f"RedOpType.{self.name}"

    def __int__(self) -> int:
        return int(self.value)


RedOpType.__qualname__ = "ReduceOp.RedOpType"


class _Kinds(type):
    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, RedOpType) or type.__instancecheck__(cls, x)


class ReduceOp(metaclass=_Kinds):
    """A reduction: ``ReduceOp.SUM`` and so on, or one with a factor."""

    RedOpType = RedOpType
    SUM, AVG, PRODUCT, MIN, MAX = RedOpType.SUM, RedOpType.AVG, RedOpType.PRODUCT, RedOpType.MIN, RedOpType.MAX
    BAND, BOR, BXOR, PREMUL_SUM, UNUSED = RedOpType.BAND, RedOpType.BOR, RedOpType.BXOR, RedOpType.PREMUL_SUM, RedOpType.UNUSED

    def __init__(self, op: Any = RedOpType.SUM, factor: Any = None) -> None:
        self.op: RedOpType = op.op if type(op) is ReduceOp else op
        self.factor = factor

    def __eq__(self, other: Any) -> bool:
        return self.op is (other.op if type(other) is ReduceOp else other)

    def __hash__(self) -> int:
        return hash(self.op)

    def __repr__(self) -> str:
        return repr(self.op)


ReduceOp.__module__ = RedOpType.__module__ = "torch.distributed"


def premultiplied(factor: Any) -> ReduceOp:
    """The sum of what was multiplied by ``factor`` (a number) first."""
    return ReduceOp(RedOpType.PREMUL_SUM, factor)
