"""``torch.utils._foreach_utils``: lists of tensors sorted by device and type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch._public import torch

__all__: list[str] = []


def _get_foreach_kernels_supported_devices() -> list[str]:
    """Where ``torch._foreach_*`` gain something in torch."""
    return ["cuda", "xpu", "mtia", "privateuseone"]


def _get_fused_kernels_supported_devices() -> list[str]:
    """Where optimizers have fused updates."""
    return ["mps", "cuda", "xpu", "hpu", "cpu", "mtia", "privateuseone"]


def _device_has_foreach_support(device: Any) -> bool:
    """Whether that is so on this device."""
    return device.type in (*_get_foreach_kernels_supported_devices(), "cpu")


def _has_foreach_support(tensors: Sequence[Any], device: Any) -> bool:
    """Likewise, of plain tensors."""
    return _device_has_foreach_support(device) and all(t is None or type(t) is torch.Tensor for t in tensors)


def _group_tensors_by_device_and_dtype(tensorlistlist: Sequence[Sequence[Any]], with_indices: bool = False) -> dict[tuple[Any, Any], tuple[list[list[Any]], list[int]]]:
    """By (device, type) of the first list: the tensors of each list that stand at these places, and the places."""
    if not tensorlistlist or not tensorlistlist[0]:
        return {}
    length = len(tensorlistlist[0])
    for other in tensorlistlist[1:]:
        if len(other) not in (0, length):
            raise RuntimeError("Tensors of the same index must be on the same device and the same dtype except `step` tensors that can be CPU and float32/64 notwithstanding")
    groups: dict[tuple[Any, Any], tuple[list[list[Any]], list[int]]] = {}
    for i, first in enumerate(tensorlistlist[0]):
        lists, places = groups.setdefault((first.device, first.dtype), ([[] for _ in tensorlistlist], []))
        for found, source in zip(lists, tensorlistlist):
            if source:
                found.append(source[i])
        if with_indices:
            places.append(i)
    return groups
