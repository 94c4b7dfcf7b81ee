"""``torch._ops``: the classes of ``torch.ops``."""

from __future__ import annotations

from typing import Any

from jtorch import ops as ops
from jtorch.library.operators import OpOverload as OpOverload
from jtorch.library.operators import OpOverloadPacket as OpOverloadPacket

__all__ = ["HigherOrderOperator", "OpOverload", "OpOverloadPacket", "OperatorBase", "ops"]


class OperatorBase:
    """What can be called as an operator."""


class HigherOrderOperator(OperatorBase):
    """An operator that takes functions: declared by subclassing; torch's compiler looks for them."""

    def __init__(self, name: str, *, cacheable: bool = False) -> None:
        self._name = self.__name__ = name
        self.namespace = "higher_order"

    def name(self) -> str:
        """Its name."""
        return self._name

    def py_impl(self, key: Any) -> Any:
        """A decorator that keeps what the operator does for a key."""
        return lambda fn: fn
