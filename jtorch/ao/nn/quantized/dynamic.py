"""``torch.ao.nn.quantized.dynamic``: layers whose weight is integers of 8 bits (or halves), and whose inputs are rounded by each call's own range."""

from __future__ import annotations

from typing import Any

from jtorch import nn
from jtorch._api.quantize import dynamic_linear
from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.ao.nn.intrinsic import LinearReLU

__path__: list[str] = []  # torch has a package here; what is below it stands in the table of _private/machinery.py
__all__ = ["GRU", "LSTM", "GRUCell", "LSTMCell", "Linear", "RNNCell"]


class LinearPackedParams(nn.Module):
    """A weight as it is computed with: integers (out, in) of int8, with a scale and a zero point for all or for each row, or halves; and the bias."""

    def __init__(self, dtype: Any = None) -> None:
        super().__init__()
        self.dtype = torch.qint8 if dtype is None else dtype
        self._packed_params: Any = None

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "dtype"], destination[prefix + "_packed_params"] = self.dtype, self._packed_params

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        self.dtype, self._packed_params = state_dict.pop(prefix + "dtype"), state_dict.pop(prefix + "_packed_params")
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, x: Any) -> Any:
        """``x``"""
        return x


class Linear(nn.Module):
    """Linear whose product is one of integers: the input (..., in_features) becomes seven bits by its smallest and largest value."""

    _version = 4

    def __init__(self, in_features: int, out_features: int, bias_: bool = True, dtype: Any = None) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.scale, self.zero_point, self.version = 1.0, 0, 4
        self._packed_params = LinearPackedParams(dtype)
        self.set_weight_bias(torch.zeros(out_features, in_features), torch.zeros(out_features) if bias_ else None, 1.0, 0)

    def set_weight_bias(self, weight: Any, bias: Any, scale: Any, zero_point: Any) -> None:
        """Round a weight of floats (out, in) to the steps ``scale``, a number or one a row."""
        packed = self._packed_params
        self.per_channel = isinstance(scale, torch.Tensor) and scale.numel() > 1
        if packed.dtype == torch.float16:
            packed._packed_params = (weight.detach().clamp(-65504.0, 65504.0).to(torch.float16), bias)
            return
        bias = None if bias is None else bias.detach()
        scale, zero_point = (torch.as_tensor(v).reshape(-1, 1) for v in (scale, zero_point))
        whole = torch.clamp(torch.round(weight.detach() * (1 / scale.float())) + zero_point, -128, 127)
        packed._packed_params = (whole.to(torch.int8), bias, scale.float(), zero_point.to(torch.int32))

    def forward(self, x: Any) -> Any:
        """``x`` (..., in_features) times the weight, of its own type."""
        weight, bias, *steps = self._packed_params._packed_params
        if not steps:
            return nn.functional.linear(x, weight.float(), bias).to(x.dtype)
        return dynamic_linear(x, weight, steps[0], steps[1], bias).to(x.dtype)

    def weight(self) -> Any:
        """Refused: the weight is no tensor of floats any more."""
        not_implemented("torch.ao.nn.quantized.dynamic.Linear.weight", "its integers and their scale are _packed_params._packed_params")

    def bias(self) -> Any:
        """The bias, of floats, or None."""
        return self._packed_params._packed_params[1]

    def _get_name(self) -> str:
        return "DynamicQuantizedLinear"

    def extra_repr(self) -> str:
        """Sizes and types."""
        text = f"in_features={self.in_features}, out_features={self.out_features}, dtype={self._packed_params.dtype}"
        if self._packed_params.dtype == torch.qint8:
            text += f", qscheme={torch.per_channel_affine if self.per_channel else torch.per_tensor_affine}"
        return text

    def __repr__(self) -> str:
        return f"{self._get_name()}({self.extra_repr()})"

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "scale"], destination[prefix + "zero_point"] = torch.tensor(self.scale), torch.tensor(self.zero_point)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        self.scale, self.zero_point = float(state_dict.pop(prefix + "scale")), int(state_dict.pop(prefix + "zero_point"))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @classmethod
    def from_float(cls, mod: Any, use_precomputed_fake_quant: bool = False) -> Any:
        """From a layer of floats, whose ``qconfig.weight`` finds the scale."""
        if type(mod) not in (nn.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear, LinearReLU):
            raise AssertionError(f"nn.quantized.dynamic.Linear.from_float only works for one of{['Linear', 'NonDynamicallyQuantizableLinear', 'LinearReLU', 'Linear']}, got {type(mod)}")
        if not hasattr(mod, "qconfig"):
            raise AssertionError("Input float module must have qconfig defined")
        mod = mod[0] if type(mod) is LinearReLU else mod
        observer = mod.qconfig.weight()
        if observer.dtype not in (torch.qint8, torch.float16):
            raise AssertionError(f"The only supported dtypes for dynamic quantized linear are qint8 and float16, got: {observer.dtype}")
        observer(mod.weight)
        made = cls(mod.in_features, mod.out_features, dtype=observer.dtype)
        scale, zero_point = observer.calculate_qparams() if observer.dtype == torch.qint8 else (1.0, 0)
        made.set_weight_bias(mod.weight.float(), mod.bias, scale, zero_point)
        return made


class _Declined(nn.Module):
    """A layer of torch's of this name that is not written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        not_implemented(f"torch.ao.nn.quantized.dynamic.{type(self).__name__}", "leave it out of qconfig_spec: quantize_dynamic(model, {torch.nn.Linear})")

    @classmethod
    def from_float(cls, mod: Any, use_precomputed_fake_quant: bool = False) -> Any:
        """Refused."""
        return cls(mod)


class LSTM(_Declined):
    """Refused."""


class GRU(_Declined):
    """Refused."""


class LSTMCell(_Declined):
    """Refused."""


class GRUCell(_Declined):
    """Refused."""


class RNNCell(_Declined):
    """Refused."""
