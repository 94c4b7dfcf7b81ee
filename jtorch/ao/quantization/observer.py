"""``torch.ao.quantization.observer``: modules that see tensors go by and say which scale and zero point fit them."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import Any

from jtorch import nn
from jtorch._errors import not_implemented
from jtorch._public import torch

__all__ = [
    "FixedQParamsObserver", "HistogramObserver", "MinMaxObserver", "MovingAverageMinMaxObserver", "MovingAveragePerChannelMinMaxObserver", "NoopObserver", "ObserverBase", "PerChannelMinMaxObserver",
    "PlaceholderObserver", "UniformQuantizationObserverBase", "default_observer", "default_dynamic_quant_observer", "default_per_channel_weight_observer",
    "default_placeholder_observer", "default_weight_observer",
]  # fmt: skip


class _Partial:
    """A class with some of its arguments, which can be given more: what a QConfig holds. ``callable_args`` are called for each instance."""

    def __init__(self, p: functools.partial[Any], callable_args: dict[str, Any] | None = None) -> None:
        self.p, self.callable_args = p, callable_args or {}

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        made = {name: fn() for name, fn in self.callable_args.items() if name not in keywords}
        return self.p(*args, **keywords, **made)

    def __repr__(self) -> str:
        return repr(self.p) + repr(self.callable_args)

    def with_args(self, **kwargs: Any) -> _Partial:
        """With these as well."""
        return _Partial(functools.partial(self, **kwargs))

    def with_callable_args(self, **kwargs: Any) -> _Partial:
        """With what these give, called anew for each instance."""
        return _Partial(functools.partial(self), {**self.callable_args, **kwargs})


class ObserverBase(ABC, nn.Module):
    """Sees tensors in ``forward``; tells ``calculate_qparams``."""

    def __init__(self, dtype: Any, is_dynamic: bool = False) -> None:
        super().__init__()
        self.dtype, self.is_dynamic = dtype, is_dynamic

    @abstractmethod
    def forward(self, x: Any) -> Any:
        """See ``x`` and give it back."""

    @abstractmethod
    def calculate_qparams(self, **kwargs: Any) -> Any:
        """(scale, zero point)."""

    @classmethod
    def with_args(cls, **kwargs: Any) -> _Partial:
        """The class with these arguments."""
        return _Partial(functools.partial(cls, **kwargs))


def _range(dtype: Any, reduce_range: bool) -> tuple[int, int]:
    kinds: dict[Any, tuple[int, int]] = {torch.qint32: (-(2**31), 2**31 - 1), torch.int32: (-(2**31), 2**31 - 1), torch.int16: (-(2**15), 2**15 - 1), torch.uint16: (0, 2**16 - 1)}
    if dtype in (torch.qint8, torch.int8):
        return (-64, 63) if reduce_range else (-128, 127)
    if dtype in (torch.quint8, torch.uint8):
        return (0, 127) if reduce_range else (0, 255)
    return kinds.get(dtype, (0, 15))


class UniformQuantizationObserverBase(ObserverBase):
    """Equal steps between the smallest and the largest value seen."""

    min_val: Any
    max_val: Any

    def __init__(
        self, dtype: Any = None, qscheme: Any = None, reduce_range: bool = False, quant_min: int | None = None, quant_max: int | None = None, factory_kwargs: Any = None,
        eps: float = torch.finfo(torch.float32).eps, is_dynamic: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        dtype, qscheme = torch.quint8 if dtype is None else dtype, torch.per_tensor_affine if qscheme is None else qscheme
        super().__init__(dtype, is_dynamic, **kwargs)
        allowed = (torch.per_tensor_affine, torch.per_tensor_symmetric, torch.per_channel_affine, torch.per_channel_symmetric, torch.per_channel_affine_float_qparams)
        if qscheme not in allowed:
            raise AssertionError("Default Observer only works for per_tensor_affine, per_tensor_symmetric, per_channel_affine, per_channel_symmetric and per_channel_float_qparams quantization scheme")
        self.qscheme, self.reduce_range = qscheme, reduce_range
        self.register_buffer("eps", torch.tensor([eps], **nn.factory_kwargs(factory_kwargs)))
        self.has_customized_qrange = quant_min is not None and quant_max is not None
        if self.has_customized_qrange:
            half = 2 if reduce_range else 1
            self.quant_min, self.quant_max = quant_min // half, quant_max // half  # type: ignore[operator]
        else:
            self.quant_min, self.quant_max = _range(dtype, reduce_range)
        if self.quant_min >= self.quant_max:
            raise AssertionError("qmin must be less than qmax.")

    def _reset(self, factory_kwargs: Any = None) -> None:
        made = nn.factory_kwargs(factory_kwargs)
        self.register_buffer("min_val", torch.tensor(float("inf"), **made))
        self.register_buffer("max_val", torch.tensor(float("-inf"), **made))

    def reset_min_max_vals(self) -> None:
        """Nothing has been seen."""
        self.min_val.copy_(torch.tensor(float("inf")))
        self.max_val.copy_(torch.tensor(float("-inf")))

    def calculate_qparams(self, **kwargs: Any) -> Any:
        """(scale, zero point): a number each, or one a channel."""
        low, high = self.min_val, self.max_val
        if low.numel() == 0 or high.numel() == 0 or bool((low > high).any()):
            return torch.tensor([1.0], device=low.device.type), torch.tensor([0], device=low.device.type)
        steps = float(self.quant_max - self.quant_min)  # type: ignore[operator]
        below, above = torch.minimum(low, torch.zeros_like(low)), torch.maximum(high, torch.zeros_like(high))
        zero_point = torch.zeros(below.size(), dtype=torch.int64, device=below.device)
        if self.qscheme in (torch.per_tensor_symmetric, torch.per_channel_symmetric):
            scale = torch.maximum(torch.maximum(-below, above) / (steps / 2), self.eps)
            if self.dtype in (torch.quint8, torch.uint8):
                middle = (self.quant_min + self.quant_max) // 2 if self.has_customized_qrange else 128  # type: ignore[operator]
                zero_point = zero_point.new_full(zero_point.size(), middle)
            elif self.dtype == torch.uint16:
                zero_point = zero_point.new_full(zero_point.size(), 2**15)
        elif self.qscheme == torch.per_channel_affine_float_qparams:
            scale = (high - low) / steps
            scale = torch.where(scale > self.eps, scale, torch.ones_like(scale))
            zero_point = -low / scale
        else:
            scale = torch.maximum((above - below) / steps, self.eps)
            zero_point = torch.clamp(self.quant_min - torch.round(below / scale).to(torch.int), self.quant_min, self.quant_max)
        return scale.reshape(-1) if scale.dim() == 0 else scale, zero_point.reshape(-1) if zero_point.dim() == 0 else zero_point

    def extra_repr(self) -> str:
        """The range that has been seen."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class MinMaxObserver(UniformQuantizationObserverBase):
    """The smallest and the largest value of all tensors."""

    def __init__(self, dtype: Any = None, qscheme: Any = None, reduce_range: bool = False, quant_min: int | None = None, quant_max: int | None = None, factory_kwargs: Any = None, **kwargs: Any) -> None:
        super().__init__(dtype, qscheme, reduce_range, quant_min, quant_max, factory_kwargs, **kwargs)
        self._reset(factory_kwargs)

    def _join(self, low: Any, high: Any) -> tuple[Any, Any]:
        return torch.minimum(low, self.min_val), torch.maximum(high, self.max_val)

    def forward(self, x_orig: Any) -> Any:
        """See ``x_orig`` and give it back."""
        if x_orig.numel():
            low, high = self._join(*torch.aminmax(x_orig.detach().to(self.min_val.dtype)))
            self.min_val.copy_(low)
            self.max_val.copy_(high)
        return x_orig


class MovingAverageMinMaxObserver(MinMaxObserver):
    """Their moving averages."""

    def __init__(self, averaging_constant: float = 0.01, dtype: Any = None, qscheme: Any = None, reduce_range: bool = False, **kwargs: Any) -> None:
        self.averaging_constant = averaging_constant
        super().__init__(dtype, qscheme, reduce_range, **kwargs)
        self.averaging_constant = averaging_constant

    def _join(self, low: Any, high: Any) -> tuple[Any, Any]:
        first = (self.min_val == float("inf")) & (self.max_val == float("-inf"))
        c = self.averaging_constant
        return torch.where(first, low, self.min_val + c * (low - self.min_val)), torch.where(first, high, self.max_val + c * (high - self.max_val))


class PerChannelMinMaxObserver(UniformQuantizationObserverBase):
    """The smallest and the largest value of each channel."""

    def __init__(self, ch_axis: int = 0, dtype: Any = None, qscheme: Any = None, reduce_range: bool = False, quant_min: int | None = None, quant_max: int | None = None, factory_kwargs: Any = None, **kwargs: Any) -> None:
        super().__init__(dtype, torch.per_channel_affine if qscheme is None else qscheme, reduce_range, quant_min, quant_max, factory_kwargs, **kwargs)
        self.ch_axis = ch_axis
        self.register_buffer("min_val", torch.tensor([]))
        self.register_buffer("max_val", torch.tensor([]))

    def _join(self, low: Any, high: Any) -> tuple[Any, Any]:
        return torch.minimum(low, self.min_val), torch.maximum(high, self.max_val)

    def forward(self, x_orig: Any) -> Any:
        """See ``x_orig`` and give it back."""
        if x_orig.numel():
            rows = x_orig.detach().to(self.min_val.dtype).transpose(0, self.ch_axis).flatten(start_dim=1)
            low, high = torch.aminmax(rows, dim=1)
            if self.min_val.numel():
                low, high = self._join(low, high)
            else:
                self.min_val.resize_(low.shape)
                self.max_val.resize_(high.shape)
            self.min_val.copy_(low)
            self.max_val.copy_(high)
        return x_orig

    def reset_min_max_vals(self) -> None:
        """Nothing has been seen."""
        self.min_val, self.max_val = torch.rand(0), torch.rand(0)


class MovingAveragePerChannelMinMaxObserver(PerChannelMinMaxObserver):
    """Their moving averages."""

    def __init__(self, averaging_constant: float = 0.01, ch_axis: int = 0, dtype: Any = None, qscheme: Any = None, **kwargs: Any) -> None:
        super().__init__(ch_axis, dtype, qscheme, **kwargs)
        self.averaging_constant = averaging_constant

    def _join(self, low: Any, high: Any) -> tuple[Any, Any]:
        c = self.averaging_constant
        return self.min_val + c * (low - self.min_val), self.max_val + c * (high - self.max_val)


class PlaceholderObserver(ObserverBase):
    """Sees nothing: says only which type is wanted."""

    def __init__(self, dtype: Any = None, custom_op_name: str = "", compute_dtype: Any = None, quant_min: int | None = None, quant_max: int | None = None, qscheme: Any = None, eps: float | None = None, is_dynamic: bool = False) -> None:
        super().__init__(torch.float32 if dtype is None else dtype, bool(is_dynamic or compute_dtype))
        self.custom_op, self.quant_min, self.quant_max, self.eps = custom_op_name, quant_min, quant_max, eps
        self.qscheme = torch.per_tensor_affine if qscheme is None else qscheme

    def forward(self, x: Any) -> Any:
        """``x``"""
        return x

    def calculate_qparams(self, **kwargs: Any) -> Any:
        """Exception: nothing was seen."""
        raise Exception("calculate_qparams should not be called for PlaceholderObserver")  # noqa: TRY002 - torch's


class NoopObserver(PlaceholderObserver):
    """Sees nothing, and wants a type of fewer bits."""

    def __init__(self, dtype: Any = None, custom_op_name: str = "") -> None:
        super().__init__(torch.float16 if dtype is None else dtype, custom_op_name)


class HistogramObserver(UniformQuantizationObserverBase):
    """A histogram of what is seen, from which the range with the least error is searched."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        not_implemented("torch.ao.quantization.HistogramObserver", "MinMaxObserver and MovingAverageMinMaxObserver find a range without a search")

    def forward(self, x_orig: Any) -> Any:
        """``x_orig``"""
        return x_orig


class FixedQParamsObserver(ObserverBase):
    """A scale and a zero point that are known."""

    def __init__(self, scale: float, zero_point: int, dtype: Any = None, qscheme: Any = None, quant_min: int = 0, quant_max: int = 255, is_dynamic: bool = False, **kwargs: Any) -> None:
        super().__init__(torch.quint8 if dtype is None else dtype, is_dynamic, **kwargs)
        self.quant_min, self.quant_max, self.qscheme = quant_min, quant_max, torch.per_tensor_affine if qscheme is None else qscheme
        self.register_buffer("scale", torch.tensor([scale], dtype=torch.float))
        self.register_buffer("zero_point", torch.tensor([zero_point], dtype=torch.int))

    def forward(self, x: Any) -> Any:
        """``x``"""
        return x

    def calculate_qparams(self, **kwargs: Any) -> Any:
        """They."""
        return self.scale, self.zero_point


default_observer = MinMaxObserver.with_args(quant_min=0, quant_max=127)
default_placeholder_observer = PlaceholderObserver
default_weight_observer = MinMaxObserver.with_args(dtype=torch.qint8, qscheme=torch.per_tensor_symmetric)
default_per_channel_weight_observer = PerChannelMinMaxObserver.with_args(dtype=torch.qint8, qscheme=torch.per_channel_symmetric)
default_dynamic_quant_observer = PlaceholderObserver.with_args(dtype=torch.quint8, quant_min=0, quant_max=255, is_dynamic=True)
