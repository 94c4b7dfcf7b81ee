"""``torch.ao.quantization.utils``: small questions about configurations and names."""

from __future__ import annotations

import functools
from typing import Any

from jtorch._public import torch

__all__ = ["MatchAllNode", "getattr_from_fqn", "is_per_channel", "is_per_tensor", "to_underlying_dtype"]


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
