"""``torch.ao.quantization.quantize``: observers and rounding put into a model, and its layers changed for others."""

from __future__ import annotations

import copy
import warnings
from typing import Any

from jtorch import nn
from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.ao.nn import intrinsic as nni
from jtorch.ao.nn import qat
from jtorch.ao.nn.intrinsic import _FusedModule
from jtorch.ao.nn.intrinsic import qat as nniqat
from jtorch.ao.nn.quantized import FloatFunctional, dynamic

from .fake_quantize import FakeQuantizeBase
from .observer import ObserverBase
from .qconfig import default_dynamic_qconfig, float16_dynamic_qconfig
from .stubs import DeQuantStub, QuantStub

__all__ = ["convert", "get_default_dynamic_quant_module_mappings", "get_default_qat_module_mappings", "prepare", "prepare_qat", "propagate_qconfig_", "quantize", "quantize_dynamic", "quantize_qat", "swap_module"]

_INSTEAD = "quantised tensors are not carried; FakeQuantize simulates them, and quantize_dynamic computes with integers"
_QAT: dict[Any, Any] = {
    nn.Conv2d: qat.Conv2d, nn.Conv3d: qat.Conv3d, nn.Linear: qat.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear: qat.Linear,
    **{getattr(nni, name): getattr(nniqat, name) for name in nniqat.__all__ if name[0].isupper() and name != "ConvReLU1d"},
}  # fmt: skip
_DYNAMIC: dict[Any, Any] = {
    nn.Linear: dynamic.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear: dynamic.Linear,
    **{getattr(nn, name): getattr(dynamic, name) for name in ("LSTM", "GRU", "LSTMCell", "GRUCell", "RNNCell")},
}  # fmt: skip
_OBSERVED = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.ReLU6, nn.Hardswish, nn.ELU, nn.LeakyReLU, nn.PReLU, nn.Embedding, nn.EmbeddingBag, QuantStub,
)  # fmt: skip


def get_default_qat_module_mappings() -> dict[Any, Any]:
    """From layers to those that round their weight."""
    return dict(_QAT)


def get_default_dynamic_quant_module_mappings() -> dict[Any, Any]:
    """From layers to those of integers."""
    return dict(_DYNAMIC)


def propagate_qconfig_(module: Any, qconfig_dict: Any = None, prepare_custom_config_dict: Any = None) -> None:
    """Give every module a ``qconfig``: its own, that of its name or class in ``qconfig_dict``, or that of the module around it."""

    def walk(module: Any, around: Any, prefix: str) -> None:
        given = qconfig_dict or {}
        module.qconfig = getattr(module, "qconfig", given.get(prefix, given.get(type(module), around)))
        for name, child in module.named_children():
            walk(child, module.qconfig, f"{prefix}.{name}" if prefix else name)

    walk(module, None, "")


def _observer_forward_hook(self: Any, input: Any, output: Any) -> Any:
    return self.activation_post_process(output)


def _observe(module: Any) -> None:
    module.add_module("activation_post_process", module.qconfig.activation())
    module.register_forward_hook(_observer_forward_hook, prepend=True)


def prepare(model: Any, inplace: bool = False, allow_list: Any = None, observer_non_leaf_module_list: Any = None, prepare_custom_config_dict: Any = None) -> Any:
    """Give every leaf with a ``qconfig`` (its own, or that of a module around it) an observer ``activation_post_process`` that sees its results."""
    if not inplace:
        model = copy.deepcopy(model)
    propagate_qconfig_(model)
    if not any(getattr(m, "qconfig", None) for m in model.modules()):
        warnings.warn("None of the submodule got qconfig applied. Make sure you passed correct configuration through `qconfig_dict` or by assigning the `.qconfig` attribute directly on submodules", stacklevel=2)
    leaves, whole = set(_OBSERVED if allow_list is None else allow_list), tuple(observer_non_leaf_module_list or ())

    def walk(module: Any) -> None:
        for child in list(module.children()):
            if type(child) is nn.Dropout:
                continue
            if isinstance(child, FloatFunctional):
                if child.qconfig:
                    child.activation_post_process = child.qconfig.activation()
            elif isinstance(child, _FusedModule) or type(child) in whole:
                if child.qconfig:
                    _observe(child)
            else:
                walk(child)
        if not list(module.children()) and not isinstance(module, (nn.Sequential, DeQuantStub)) and type(module) in leaves and module.qconfig:
            _observe(module)

    walk(model)
    return model


def prepare_qat(model: Any, mapping: Any = None, inplace: bool = False) -> Any:
    """A model whose layers with a ``qconfig`` round their weight and their results while they train. AssertionError unless it is in training mode."""
    if not model.training:
        raise AssertionError("prepare_qat only works on models in training mode")
    mapping = get_default_qat_module_mappings() if mapping is None else mapping
    if not inplace:
        model = copy.deepcopy(model)
    propagate_qconfig_(model)
    convert(model, mapping, inplace=True, remove_qconfig=False)
    return prepare(model, inplace=True, observer_non_leaf_module_list=set(mapping.values()))


def swap_module(mod: Any, mapping: Any, custom_module_class_mapping: Any = None, use_precomputed_fake_quant: bool = False) -> Any:
    """The module that ``mapping`` has for the class of ``mod``, made of it with its hooks; or ``mod``, if it has no ``qconfig`` or no counterpart."""
    made = mod
    if getattr(mod, "qconfig", None) is not None and type(mod) in mapping:
        made = mapping[type(mod)].from_float(mod)
        for hook in mod._forward_pre_hooks.values():
            made.register_forward_pre_hook(hook)
        for hook in mod._forward_hooks.values():
            if hook is not _observer_forward_hook:
                made.register_forward_hook(hook)
    return made


def _without_configuration(module: Any) -> None:
    for child in module.children():
        _without_configuration(child)
    if hasattr(module, "qconfig"):
        del module.qconfig
    if isinstance(getattr(module, "activation_post_process", None), (ObserverBase, FakeQuantizeBase)):
        del module.activation_post_process
    for key in [k for k, hook in module._forward_hooks.items() if hook is _observer_forward_hook]:
        del module._forward_hooks[key]


def convert(module: Any, mapping: Any = None, inplace: bool = False, remove_qconfig: bool = True, is_reference: bool = False, convert_custom_config_dict: Any = None, use_precomputed_fake_quant: bool = False) -> Any:
    """A model whose modules of the classes in ``mapping`` are made anew by its values' ``from_float``. NotImplementedError without a mapping: torch's own is to modules of quantised tensors."""
    if mapping is None:
        not_implemented("torch.ao.quantization.convert", _INSTEAD)
    if not inplace:
        module = copy.deepcopy(module)

    def walk(module: Any) -> None:
        for name, child in list(module.named_children()):
            if not isinstance(child, _FusedModule):
                walk(child)
            module._modules[name] = swap_module(child, mapping)

    walk(module)
    if remove_qconfig:
        _without_configuration(module)
    return module


def quantize(model: Any, run_fn: Any, run_args: Any, mapping: Any = None, inplace: bool = False) -> Any:
    """Observe, then convert."""
    not_implemented("torch.ao.quantization.quantize", _INSTEAD)


def quantize_dynamic(model: Any, qconfig_spec: Any = None, dtype: Any = None, mapping: Any = None, inplace: bool = False) -> Any:
    """A model in eval mode whose layers hold integers of 8 bits (``dtype`` torch.qint8, the default) or halves (torch.float16) and round their inputs in each call.

    ``qconfig_spec``: a set of classes and names, or a dict to their configurations; without it Linear and the recurrent layers, of which Linear is written.
    """
    dtype = torch.qint8 if dtype is None else dtype
    if not isinstance(qconfig_spec, dict):
        if dtype in (torch.quint8, torch.quint4x2):
            not_implemented("torch.ao.quantization.quantize_dynamic of embeddings", "rows of integers with a scale each are not written")
        if dtype not in (torch.qint8, torch.float16):
            if qconfig_spec is None:
                raise ValueError(f"Don't know how to quantize with default settings for {dtype}. Provide full qconfig please")
            raise RuntimeError("Unknown dtype specified for quantize_dynamic: ", str(dtype))
        configuration = default_dynamic_qconfig if dtype == torch.qint8 else float16_dynamic_qconfig
        kinds = (nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.RNNCell, nn.GRUCell)
        qconfig_spec = dict.fromkeys(kinds if qconfig_spec is None else qconfig_spec, configuration)
    if not inplace:
        model = copy.deepcopy(model)
    model.eval()
    propagate_qconfig_(model, qconfig_spec)
    return convert(model, get_default_dynamic_quant_module_mappings() if mapping is None else mapping, inplace=True)


def quantize_qat(model: Any, run_fn: Any, run_args: Any, inplace: bool = False) -> Any:
    """Train, then convert."""
    not_implemented("torch.ao.quantization.quantize_qat", _INSTEAD)
