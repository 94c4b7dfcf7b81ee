"""``torch.autograd.variable``: torch's old name for a tensor."""

from __future__ import annotations

from typing import Any

from jtorch._core.backward.backward_pass import queue_callback
from jtorch._core.storage.bare_tensor import Tensor

__all__ = ["Variable", "VariableMeta"]


class VariableMeta(type):
    """Every tensor is an instance."""

    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, Tensor)


class _Engine:
    """What programs ask of torch's engine object."""

    @staticmethod
    def queue_callback(callback: Any) -> None:
        """Call ``callback`` when the backward pass that is under way is done. RuntimeError outside of one."""
        queue_callback(callback)


class Variable(metaclass=VariableMeta):
    """``Variable(t, requires_grad=True)`` gives a tensor."""

    _execution_engine = _Engine()

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool | None = None) -> Any:
        from jtorch._core.tensor.autograd_methods import require_grad
        from jtorch._core.tensor.creation import tensor

        t = data.detach() if isinstance(data, Tensor) else tensor(data)
        return require_grad(t) if requires_grad else t
