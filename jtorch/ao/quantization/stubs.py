"""``torch.ao.quantization.stubs``: where a model's values would become integers, and floating-point again."""

from __future__ import annotations

from typing import Any

from jtorch import nn

__all__ = ["DeQuantStub", "QuantStub", "QuantWrapper"]


class QuantStub(nn.Module):
    """Where a model's input would become integers: until it is converted, the input itself."""

    def __init__(self, qconfig: Any = None) -> None:
        super().__init__()
        if qconfig:
            self.qconfig = qconfig

    def forward(self, x: Any) -> Any:
        """``x``"""
        return x


class DeQuantStub(QuantStub):
    """Where a model's result would become floating-point again."""


class QuantWrapper(nn.Module):
    """A module between a :class:`QuantStub` and a :class:`DeQuantStub`."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        qconfig = getattr(module, "qconfig", None)
        self.add_module("quant", QuantStub(qconfig))
        self.add_module("dequant", DeQuantStub(qconfig))
        self.add_module("module", module)
        self.train(module.training)

    def forward(self, X: Any) -> Any:  # noqa: N803 - torch's name
        """The module's result."""
        return self.dequant(self.module(self.quant(X)))
