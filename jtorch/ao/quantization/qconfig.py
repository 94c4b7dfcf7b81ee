"""``torch.ao.quantization.qconfig``: which observers the results and the weight of a module get."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from jtorch import nn
from jtorch._public import torch

from . import fake_quantize as fakes
from . import observer

__all__ = [
    "QConfig", "QConfigAny", "default_activation_only_qconfig", "default_dynamic_qat_qconfig", "default_dynamic_qconfig", "default_embedding_qat_qconfig", "default_per_channel_qconfig",
    "default_qat_qconfig", "default_qat_qconfig_v2", "default_qconfig", "default_weight_only_qconfig", "float16_dynamic_qconfig", "float16_static_qconfig", "get_default_qat_qconfig",
    "get_default_qconfig", "per_channel_dynamic_qconfig",
]  # fmt: skip
_BACKENDS = ("fbgemm", "x86", "qnnpack", "onednn")


class QConfig(namedtuple("QConfig", ["activation", "weight"])):
    """Which observers a module's results and its weight get: classes, or functions that make them."""

    __slots__ = ()

    def __new__(cls, activation: Any, weight: Any) -> Any:
        if isinstance(activation, nn.Module) or isinstance(weight, nn.Module):
            raise ValueError("QConfig received observer instance, please pass observer class instead. Use MyObserver.with_args(x=1) to override arguments to constructor if needed")
        return super().__new__(cls, activation, weight)


QConfigAny = QConfig | None
default_qconfig = QConfig(observer.default_observer, observer.default_weight_observer)
default_per_channel_qconfig = QConfig(observer.default_observer, observer.default_per_channel_weight_observer)
default_dynamic_qconfig = QConfig(observer.default_dynamic_quant_observer, observer.default_weight_observer)
float16_dynamic_qconfig = QConfig(observer.PlaceholderObserver.with_args(dtype=torch.float16, is_dynamic=True), observer.PlaceholderObserver.with_args(dtype=torch.float16))
float16_static_qconfig = QConfig(observer.PlaceholderObserver.with_args(dtype=torch.float16), observer.PlaceholderObserver.with_args(dtype=torch.float16))
per_channel_dynamic_qconfig = QConfig(observer.default_dynamic_quant_observer, observer.default_per_channel_weight_observer)
default_qat_qconfig = QConfig(fakes.default_fake_quant, fakes.default_weight_fake_quant)
default_dynamic_qat_qconfig = QConfig(fakes.default_dynamic_fake_quant, fakes.default_weight_fake_quant)
default_weight_only_qconfig = QConfig(nn.Identity, fakes.default_weight_fake_quant)
default_activation_only_qconfig = QConfig(fakes.default_fake_quant, nn.Identity)
default_qat_qconfig_v2 = QConfig(fakes.default_fused_act_fake_quant, fakes.default_fused_wt_fake_quant)
default_embedding_qat_qconfig = QConfig(observer.NoopObserver.with_args(dtype=torch.float32), fakes.default_embedding_fake_quant)


def _backend(backend: str) -> tuple[bool, bool]:
    """(whether channels have scales of their own, whether a bit is left free)."""
    if backend not in _BACKENDS:
        raise AssertionError(f"backend: {backend} not supported. backend must be one of {list(_BACKENDS)}")
    return backend != "qnnpack", backend in ("fbgemm", "x86")


def get_default_qconfig(backend: str = "x86", version: int = 0) -> QConfig:
    """The configuration of a backend of torch's, for observing after training."""
    channels, reduced = _backend(backend)
    if version != 0:
        raise AssertionError(f"Version number: {version} in get_default_qconfig is not supported. Version number must be 0")
    return QConfig(observer.HistogramObserver.with_args(reduce_range=reduced), observer.default_per_channel_weight_observer if channels else observer.default_weight_observer)


def get_default_qat_qconfig(backend: str = "x86", version: int | None = 1) -> QConfig:
    """The configuration of a backend of torch's, for training; version 1 observes and rounds in one operator."""
    channels, reduced = _backend(backend)
    if version not in (0, 1):
        raise AssertionError(f"Version number: {version}in get_default_qat_qconfig is not supported. Version number must be 0 or 1")
    fake = fakes.FusedMovingAvgObsFakeQuantize if version else fakes.FakeQuantize
    more = {} if backend == "onednn" else {"reduce_range": reduced}
    act = fake.with_args(observer=observer.MovingAverageMinMaxObserver, quant_min=0, quant_max=255, **more)
    if version:
        return QConfig(act, fakes.default_fused_per_channel_wt_fake_quant if channels else fakes.default_fused_wt_fake_quant)
    return QConfig(act, fakes.default_per_channel_weight_fake_quant if channels else fakes.default_weight_fake_quant)
