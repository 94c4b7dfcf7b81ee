"""``torch.ao.quantization.utils``: small questions about configurations and names."""

from __future__ import annotations

import functools
from typing import Any

from jtorch._public import torch

__all__ = ["MatchAllNode", "get_qparam_dict", "getattr_from_fqn", "is_per_channel", "is_per_tensor", "to_underlying_dtype", "weight_dtype", "weight_is_quantized"]


class MatchAllNode:
    """A pattern that any node of a graph fits."""


def is_per_tensor(qscheme: Any) -> bool:
    """Whether one scale holds for a whole tensor."""
    return qscheme in (torch.per_tensor_affine, torch.per_tensor_symmetric)


def is_per_channel(qscheme: Any) -> bool:
    """Whether each channel has a scale."""
    return qscheme in (torch.per_channel_affine, torch.per_channel_affine_float_qparams, torch.per_channel_symmetric)


def getattr_from_fqn(obj: Any, fqn: str) -> Any:
    """The attribute of a dotted name."""
    return functools.reduce(getattr, fqn.split("."), obj)


def to_underlying_dtype(qdtype: Any) -> Any:
    """The type of the integers of a quantised type; AssertionError for one that is none."""
    kinds = {torch.quint8: torch.uint8, torch.qint8: torch.int8, torch.qint32: torch.int32, torch.quint4x2: torch.uint8, torch.quint2x4: torch.uint8}
    for kind in (torch.uint8, torch.int8, torch.uint16, torch.int16, torch.int32, torch.float8_e5m2, torch.float8_e4m3fn):
        kinds[kind] = kind
    if qdtype not in kinds:
        raise AssertionError("Unsupported dtype: " + str(qdtype))
    return kinds[qdtype]


def _parent_name(target: str) -> tuple[str, str]:
    """``"a.b.c"`` as ``("a.b", "c")``."""
    parent, _, name = target.rpartition(".")
    return parent, name


def get_qparam_dict(observer_or_fake_quant: Any) -> dict[str, Any]:
    """What an observer found: scheme, type, scale, zero point, the axis of channels and the bounds. RuntimeError for an unknown scheme."""
    from .observer import PlaceholderObserver

    scheme, dtype = getattr(observer_or_fake_quant, "qscheme", None), observer_or_fake_quant.dtype
    if not scheme or isinstance(observer_or_fake_quant, PlaceholderObserver):
        return {"qscheme": None, "dtype": dtype}
    if not is_per_tensor(scheme) and not is_per_channel(scheme):
        raise RuntimeError(f"Unrecognized qscheme: {scheme}")
    found = {"qscheme": torch.per_tensor_affine if is_per_tensor(scheme) else torch.per_channel_affine if scheme == torch.per_channel_symmetric else scheme, "dtype": dtype}
    if is_per_channel(scheme):
        found["axis"] = observer_or_fake_quant.ch_axis
    found["scale"], found["zero_point"] = observer_or_fake_quant.calculate_qparams()
    return found | {name: getattr(observer_or_fake_quant, name) for name in ("quant_min", "quant_max") if hasattr(observer_or_fake_quant, name)}


def weight_dtype(qconfig: Any) -> Any:
    """The type that a configuration gives a weight. AssertionError for none."""
    if qconfig is None:
        raise AssertionError("qconfig must be provided to determine weight dtype")
    return qconfig.weight().dtype


def weight_is_quantized(qconfig: Any) -> bool:
    """Whether a configuration makes a weight a number of fewer bits."""
    kinds = (torch.quint8, torch.qint8, torch.float16, torch.quint4x2, torch.uint8, torch.int8, torch.int16, torch.int32, torch.float8_e5m2, torch.float8_e4m3fn)
    return weight_dtype(qconfig) in kinds
