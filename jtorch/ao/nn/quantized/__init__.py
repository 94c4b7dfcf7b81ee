"""``torch.ao.nn.quantized``: what stands in a model before it is converted. Converted modules hold integers with scales, which are not carried."""

from __future__ import annotations

from typing import Any

from jtorch import nn
from jtorch._public import torch

from . import dynamic as dynamic

__all__ = ["FXFloatFunctional", "FloatFunctional"]


def __getattr__(name: str) -> Any:
    from jtorch._private.machinery import CONVERTED, found

    part = next((part for part, names in CONVERTED.items() if name in names.split()), None)
    if part is None:
        raise AttributeError(f"module 'torch.ao.nn.quantized' has no attribute {name!r}")
    return getattr(found(f"torch.ao.nn.quantized.modules.{part}"), name)


class FXFloatFunctional(nn.Module):
    """Arithmetic as calls of a module, so that its results can be observed; without an observer."""

    def forward(self, x: Any) -> Any:
        """RuntimeError: call one of the operations."""
        raise RuntimeError("FloatFunctional is not intended to use the forward. Please use the underlying operation")

    def _seen(self, x: Any) -> Any:
        return x

    def add(self, x: Any, y: Any) -> Any:
        """``x + y``"""
        return self._seen(torch.add(x, y))

    def add_scalar(self, x: Any, y: Any) -> Any:
        """``x + y``, a number."""
        return torch.add(x, y)

    def mul(self, x: Any, y: Any) -> Any:
        """``x * y``"""
        return self._seen(torch.mul(x, y))

    def mul_scalar(self, x: Any, y: Any) -> Any:
        """``x * y``, a number."""
        return torch.mul(x, y)

    def cat(self, x: Any, dim: int = 0) -> Any:
        """Tensors joined."""
        return self._seen(torch.cat(x, dim=dim))

    def add_relu(self, x: Any, y: Any) -> Any:
        """``relu(x + y)``"""
        return self._seen(torch.nn.functional.relu(torch.add(x, y)))

    def matmul(self, x: Any, y: Any) -> Any:
        """``x @ y``"""
        return self._seen(torch.matmul(x, y))


class FloatFunctional(FXFloatFunctional):
    """The same with ``activation_post_process``, which sees every result."""

    def __init__(self) -> None:
        super().__init__()
        self.activation_post_process = nn.Identity()

    def _seen(self, x: Any) -> Any:
        return self.activation_post_process(x)
