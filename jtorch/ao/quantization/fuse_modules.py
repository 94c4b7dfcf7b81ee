"""``torch.ao.quantization.fuse_modules``: modules that follow each other become one, in a model's own places."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from jtorch import nn
from jtorch.ao.nn import intrinsic as nni
from jtorch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

__all__ = ["fuse_known_modules", "fuse_modules", "fuse_modules_qat", "get_fuser_method"]


def _same_mode(is_qat: bool, *modules: Any) -> None:
    if len({m.training for m in modules}) > 1:
        first = "Linear" if isinstance(modules[0], nn.Linear) else "ConvTranspose" if "Transpose" in type(modules[0]).__name__ else "Conv"
        raise AssertionError(f"{first} and BN both must be in the same mode (train or eval).")
    if is_qat:
        layer, bn = modules[:2]
        what, name, size = ("features of Linear", "BatchNorm1d", "out_features") if isinstance(layer, nn.Linear) else ("channel of Conv2d", "BatchNorm2d", "out_channels")
        if bn.num_features != getattr(layer, size):
            raise AssertionError(f"Output {what} must match num_features of {name}" + ("." if size == "out_channels" and len(modules) == 2 else ""))
        if not bn.affine:
            raise AssertionError(f"Only support fusing {name} with affine set to True")
        if not bn.track_running_stats:
            raise AssertionError(f"Only support fusing {name} with tracking_running_stats set to True")


def _conv_bn(pair: Any, rectified: Any, is_qat: bool, conv: Any, bn: Any, relu: Any = None) -> Any:
    """The chain for training; otherwise the normalisation is put into the weight."""
    _same_mode(is_qat, conv, bn, *([] if relu is None else [relu]))
    if is_qat:
        return pair(*(m for m in (conv, bn, relu) if m is not None))
    fused = fuse_conv_bn_eval(conv, bn)
    return fused if relu is None else rectified(fused, relu)


def _linear_bn(is_qat: bool, linear: Any, bn: Any) -> Any:
    _same_mode(is_qat, linear, bn)
    if is_qat:
        return nni.LinearBn1d(linear, bn)
    return fuse_linear_bn_eval(linear, bn)


def _transposed_bn(is_qat: bool, convt: Any, bn: Any) -> Any:
    _same_mode(False, convt, bn)
    if is_qat:
        raise Exception("Fusing ConvTranspose+BatchNorm not yet supported in QAT.")  # noqa: TRY002 - torch's
    return fuse_conv_bn_eval(convt, bn, transpose=True)


def _chain(kind: Any) -> Callable[..., Any]:
    return lambda is_qat, *modules: kind(*modules)


_METHODS: dict[tuple[Any, ...], Callable[..., Any]] = {
    (nn.Linear, nn.BatchNorm1d): _linear_bn, (nn.Linear, nn.ReLU): _chain(nni.LinearReLU), (nn.BatchNorm2d, nn.ReLU): _chain(nni.BNReLU2d), (nn.BatchNorm3d, nn.ReLU): _chain(nni.BNReLU3d),
}  # fmt: skip
for _dims in (1, 2, 3):
    _c, _t, _b = (getattr(nn, f"{name}{_dims}d") for name in ("Conv", "ConvTranspose", "BatchNorm"))
    _pair, _three, _relu = (getattr(nni, f"{name}{_dims}d") for name in ("ConvBn", "ConvBnReLU", "ConvReLU"))
    _METHODS |= {
        (_c, _b): functools.partial(_conv_bn, _pair, None), (_c, _b, nn.ReLU): functools.partial(_conv_bn, _three, _relu), (_c, nn.ReLU): _chain(_relu), (_t, _b): _transposed_bn,
    }  # fmt: skip


def get_fuser_method(op_list: Any, additional_fuser_method_mapping: Any = None) -> Callable[..., Any]:
    """The function ``(is_qat, *modules)`` that makes one of modules of these classes; AssertionError if there is none."""
    method = {**_METHODS, **(additional_fuser_method_mapping or {})}.get(op_list)
    if method is None:
        raise AssertionError(f"did not find fuser method for: {op_list} ")
    return method


def fuse_known_modules(mod_list: Any, is_qat: bool, additional_fuser_method_mapping: Any = None) -> Any:
    """The one module, and an Identity for each of the others. Hooks before the first and after the last go with it."""
    fused = get_fuser_method(tuple(map(type, mod_list)), additional_fuser_method_mapping)(is_qat, *mod_list)
    for hook in mod_list[0]._forward_pre_hooks.values():
        fused.register_forward_pre_hook(hook)
    mod_list[0]._forward_pre_hooks.clear()
    for hook in mod_list[-1]._forward_hooks.values():
        fused.register_forward_hook(hook)
    mod_list[-1]._forward_hooks.clear()
    rest = [nn.Identity() for _ in mod_list[1:]]
    for identity in rest:
        identity.training = mod_list[0].training
    return [fused, *rest]


def _fuse(model: Any, modules_to_fuse: Any, is_qat: bool, inplace: bool, fuser_func: Any, config: Any) -> Any:
    if not inplace:
        model = copy.deepcopy(model)
    more = (config or {}).get("additional_fuser_method_mapping", {})
    for names in [modules_to_fuse] if all(isinstance(m, str) for m in modules_to_fuse) else modules_to_fuse:
        for name, made in zip(names, fuser_func([model.get_submodule(n) for n in names], is_qat, more), strict=True):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, made)
    return model


def fuse_modules(model: Any, modules_to_fuse: Any, inplace: bool = False, fuser_func: Any = fuse_known_modules, fuse_custom_config_dict: Any = None) -> Any:
    """A model in which the modules of these names (a list, or a list of lists) are one: batch normalisation is put into the weight, so the model has to be in eval mode."""
    return _fuse(model, modules_to_fuse, False, inplace, fuser_func, fuse_custom_config_dict)


def fuse_modules_qat(model: Any, modules_to_fuse: Any, inplace: bool = False, fuser_func: Any = fuse_known_modules, fuse_custom_config_dict: Any = None) -> Any:
    """The same for training: each list becomes a module of ``torch.ao.nn.intrinsic``."""
    return _fuse(model, modules_to_fuse, True, inplace, fuser_func, fuse_custom_config_dict)
