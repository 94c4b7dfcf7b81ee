"""``torch.cuda.comm``: tensors copied, summed and cut up over devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch._public import torch

__all__ = ["broadcast", "broadcast_coalesced", "gather", "reduce_add", "reduce_add_coalesced", "scatter"]


def broadcast(tensor: Any, devices: Any = None, *, out: Any = None) -> Any:
    """A copy on each device, or into each of ``out``."""
    if (devices is None) == (out is None):
        raise RuntimeError(f"Exactly one of 'devices' and 'out' must be specified, but got devices={devices} and out={out}")
    if devices is not None:
        return tuple(tensor.to(torch.device(d) if not isinstance(d, int) else torch.device("cuda", d)) for d in devices)
    for t in out:
        t.copy_(tensor)
    return tuple(out)


def broadcast_coalesced(tensors: Sequence[Any], devices: Any, buffer_size: int = 10485760) -> Any:
    """Copies of all, device by device."""
    return tuple(tuple(column) for column in zip(*[broadcast(t, devices) for t in tensors]))


def reduce_add(inputs: Sequence[Any], destination: Any = None) -> Any:
    """The sum of tensors of different devices, on one of them."""
    place = inputs[0].device if destination is None else destination
    total = inputs[0].to(place)
    for t in inputs[1:]:
        if t.shape != inputs[0].shape:
            raise ValueError(f"input tensor has size {t.shape}, but expected {inputs[0].shape}")
        total = total + t.to(place)
    return total


def reduce_add_coalesced(inputs: Sequence[Sequence[Any]], destination: Any = None, buffer_size: int = 10485760) -> Any:
    """The sums of lists of tensors."""
    return tuple(reduce_add(parts, destination) for parts in zip(*inputs))


def scatter(tensor: Any, devices: Any = None, chunk_sizes: Any = None, dim: int = 0, streams: Any = None, *, out: Any = None) -> Any:
    """Pieces along a dim, one a device."""
    if out is not None:
        start = 0
        for t in out:
            t.copy_(tensor.narrow(dim, start, t.size(dim)))
            start += t.size(dim)
        return tuple(out)
    pieces = tensor.chunk(len(devices), dim) if chunk_sizes is None else tensor.split(list(chunk_sizes), dim)
    return tuple(p.to(torch.device(d) if not isinstance(d, int) else torch.device("cuda", d)) for p, d in zip(pieces, devices))


def gather(tensors: Sequence[Any], dim: int = 0, destination: Any = None, *, out: Any = None) -> Any:
    """Tensors of different devices, joined on one."""
    place = torch.device("cpu") if destination in (None, -1) else destination
    found = torch.cat([t.to(out.device if out is not None else place) for t in tensors], dim)
    return found if out is None else out.copy_(found)
