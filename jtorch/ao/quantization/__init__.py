"""``torch.ao.quantization``: observers, fake quantisation, stubs and configurations. A conversion to integers with scales is declined."""

from __future__ import annotations

import copy
from collections import namedtuple
from typing import Any

from jtorch import nn
from jtorch._errors import not_implemented

from . import fake_quantize as fake_quantize, observer as observer, utils as utils
from .fake_quantize import *  # noqa: F403
from .fake_quantize import __all__ as _fake
from .observer import *  # noqa: F403
from .observer import __all__ as _observers
from .qconfig_mapping import QConfigMapping

__all__ = [
    *_fake, *_observers, "DeQuantStub", "QConfig", "QConfigAny", "QConfigMapping", "QuantStub", "QuantWrapper", "convert", "default_qconfig", "get_default_qat_qconfig", "get_default_qconfig", "prepare",
    "prepare_qat", "quantize", "quantize_dynamic", "quantize_qat",
]  # fmt: skip

_INSTEAD = "quantised tensors are not carried; FakeQuantize simulates them"


class QConfig(namedtuple("QConfig", ["activation", "weight"])):
    """Which observers a module's results and its weight get: classes, or functions that make them."""

    __slots__ = ()

    def __new__(cls, activation: Any, weight: Any) -> Any:
        if isinstance(activation, nn.Module) or isinstance(weight, nn.Module):
            raise ValueError("QConfig received observer instance, please pass observer class instead. Use MyObserver.with_args(x=1) to override arguments to constructor if needed")
        return super().__new__(cls, activation, weight)


QConfigAny = QConfig | None
default_qconfig = QConfig(observer.default_observer, observer.default_weight_observer)


def get_default_qconfig(backend: str = "x86", version: int = 0) -> QConfig:
    """The configuration of a backend of torch's, for observing after training."""
    per_channel = backend in ("x86", "fbgemm", "onednn")
    return QConfig(observer.HistogramObserver.with_args(reduce_range=backend in ("x86", "fbgemm")), observer.default_per_channel_weight_observer if per_channel else observer.default_weight_observer)


def get_default_qat_qconfig(backend: str = "x86", version: int = 1) -> QConfig:
    """The configuration of a backend of torch's, for training."""
    per_channel = backend in ("x86", "fbgemm", "onednn")
    return QConfig(
        fake_quantize.FakeQuantize.with_args(observer=observer.MovingAverageMinMaxObserver, quant_min=0, quant_max=255, reduce_range=backend in ("x86", "fbgemm")),
        fake_quantize.default_per_channel_weight_fake_quant if per_channel else fake_quantize.default_weight_fake_quant,
    )


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


_OBSERVED = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.ReLU6, nn.Hardswish, nn.ELU, nn.LeakyReLU, nn.PReLU, nn.Embedding, nn.EmbeddingBag,
)  # fmt: skip


def prepare(model: Any, inplace: bool = False, allow_list: Any = None, observer_non_leaf_module_list: Any = None, prepare_custom_config_dict: Any = None) -> Any:
    """Give every leaf with a ``qconfig`` (its own, or that of a module around it) an observer ``activation_post_process`` that sees its results."""
    if not inplace:
        model = copy.deepcopy(model)
    from jtorch.ao.nn.quantized import FloatFunctional

    def walk(module: Any, config: Any) -> None:
        config = getattr(module, "qconfig", config)
        for child in list(module.children()):
            own = getattr(child, "qconfig", config)
            if own is not None and isinstance(child, FloatFunctional):
                child.activation_post_process = own.activation()
            elif own is not None and (isinstance(child, QuantStub) and not isinstance(child, DeQuantStub) or isinstance(child, tuple(allow_list or _OBSERVED)) and not list(child.children())):  # type: ignore[attr-defined]
                child.qconfig = own  # type: ignore[attr-defined]
                child.add_module("activation_post_process", own.activation())  # type: ignore[attr-defined]
                child.register_forward_hook(lambda self, args, result: self.activation_post_process(result))  # type: ignore[attr-defined]
            else:
                walk(child, own)

    walk(model, None)
    return model


def prepare_qat(model: Any, mapping: Any = None, inplace: bool = False) -> Any:
    """Modules whose weights are rounded while they train."""
    not_implemented("torch.ao.quantization.prepare_qat", "put FakeQuantize modules on weights with torch.nn.utils.parametrize, and on results")


def convert(module: Any, mapping: Any = None, inplace: bool = False, remove_qconfig: bool = True, is_reference: bool = False, convert_custom_config_dict: Any = None, use_precomputed_fake_quant: bool = False) -> Any:
    """A module of integers with scales."""
    not_implemented("torch.ao.quantization.convert", _INSTEAD)


def quantize(model: Any, run_fn: Any, run_args: Any, mapping: Any = None, inplace: bool = False) -> Any:
    """Observe, then convert."""
    not_implemented("torch.ao.quantization.quantize", _INSTEAD)


def quantize_dynamic(model: Any, qconfig_spec: Any = None, dtype: Any = None, mapping: Any = None, inplace: bool = False) -> Any:
    """Weights as integers, and inputs as they come."""
    not_implemented("torch.ao.quantization.quantize_dynamic", _INSTEAD)


def quantize_qat(model: Any, run_fn: Any, run_args: Any, inplace: bool = False) -> Any:
    """Train, then convert."""
    not_implemented("torch.ao.quantization.quantize_qat", _INSTEAD)
