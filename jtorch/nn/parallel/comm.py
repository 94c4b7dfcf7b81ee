"""``torch.nn.parallel.comm``: copies, parts and sums over devices. (``devices`` and ``destination``: devices, or numbers of GPUs, -1 for the cpu.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch._public import torch

from .scatter_gather import _device

__all__ = ["broadcast", "broadcast_coalesced", "gather", "reduce_add", "reduce_add_coalesced", "scatter"]


def broadcast(tensor: Any, devices: Sequence[Any] | None = None, *, out: Sequence[Any] | None = None) -> tuple[Any, ...]:
    """``tensor`` on each of ``devices``, or written into the tensors of ``out``. RuntimeError unless just one of both is given."""
    _one_of("devices", devices, out)
    if out is not None:
        return tuple(into.copy_(tensor) for into in out)
    return tuple(tensor.to(_device(d)) for d in devices or ())


def broadcast_coalesced(tensors: Sequence[Any], devices: Sequence[Any], buffer_size: int = 10485760) -> tuple[list[Any], ...]:
    """For each device a list of all ``tensors``."""
    return tuple([t.to(_device(d)) for t in tensors] for d in devices)


def reduce_add(inputs: Sequence[Any], destination: Any = None) -> Any:
    """The sum of tensors of one shape, on ``destination`` (without: where the first is). RuntimeError for no tensors, ValueError for unlike shapes."""
    if not inputs:
        raise RuntimeError("reduce_add expects a non-empty sequence of input tensors")
    for i, x in enumerate(inputs):
        if x.shape != inputs[0].shape:
            raise ValueError(f"input {i} has invalid size: got {'x'.join(map(str, x.shape))}, but expected {'x'.join(map(str, inputs[0].shape))}")
    where = inputs[0].device if destination is None else _device(destination)
    total = inputs[0].to(where)
    for x in inputs[1:]:
        total = total + x.to(where)
    return total


def reduce_add_coalesced(inputs: Sequence[Sequence[Any]], destination: Any = None, buffer_size: int = 10485760) -> tuple[Any, ...]:
    """:func:`reduce_add` of the first tensors of all lists, of the second, and so on."""
    return tuple(reduce_add(list(these), destination) for these in zip(*inputs, strict=True))


def scatter(
    tensor: Any, devices: Sequence[Any] | None = None, chunk_sizes: Sequence[int] | None = None, dim: int = 0, streams: Any = None, *, out: Sequence[Any] | None = None
) -> tuple[Any, ...]:
    """Parts of ``tensor`` along ``dim``, one for each device, of like size or of ``chunk_sizes``; or written into the tensors of ``out``."""
    _one_of("devices", devices, out)
    if out is not None:
        if chunk_sizes is not None:
            raise RuntimeError(f"'chunk_sizes' must not be specified when 'out' is specified, but got chunk_sizes={chunk_sizes}")
        return tuple(into.copy_(part) for into, part in zip(out, tensor.split([o.shape[dim] for o in out], dim), strict=True))
    where = list(devices or ())
    parts = torch.chunk(tensor, len(where), dim) if chunk_sizes is None else tensor.split(list(chunk_sizes), dim)
    return tuple(part.to(_device(d)) for part, d in zip(parts, where, strict=False))


def gather(tensors: Sequence[Any], dim: int = 0, destination: Any = None, *, out: Any = None) -> Any:
    """``tensors`` joined along ``dim``, on ``destination`` (without: where the first is), or written into ``out``."""
    if out is not None:
        if destination is not None:
            raise RuntimeError(f"'destination' must not be specified when 'out' is specified, but got destination={destination}")
        return out.copy_(torch.cat([t.to(out.device) for t in tensors], dim))
    where = tensors[0].device if destination is None else _device(destination)
    return torch.cat([t.to(where) for t in tensors], dim)


def _one_of(name: str, devices: Any, out: Any) -> None:
    if (devices is None) == (out is None):
        raise RuntimeError(f"Exactly one of '{name}' and 'out' must be specified, but got {name}={devices} and out={out}")
