"""``torch.nn.quantized``: the older name of ``torch.ao.nn.quantized``."""

from typing import Any

from jtorch.ao.nn import quantized as _ao
from jtorch.ao.nn.quantized import FloatFunctional as FloatFunctional
from jtorch.ao.nn.quantized import FXFloatFunctional as FXFloatFunctional
from jtorch.ao.nn.quantized import dynamic as dynamic

__all__ = ["FXFloatFunctional", "FloatFunctional"]


def __getattr__(name: str) -> Any:
    return getattr(_ao, name)
