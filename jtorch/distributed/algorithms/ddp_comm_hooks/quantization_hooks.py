"""Communication hooks that send gradients as bytes, with a scale and a zero point of each process. Source: torch.distributed.algorithms.ddp_comm_hooks.quantization_hooks."""

from __future__ import annotations

from typing import Any

from jtorch._public import torch
from jtorch.ao.quantization import MinMaxObserver, PerChannelMinMaxObserver
from jtorch.distributed import _collectives
from jtorch.distributed._groups import resolve
from jtorch.futures import Future

__all__ = ["quantization_perchannel_hook", "quantization_pertensor_hook"]


def _every(t: Any, group: Any) -> list[Any]:
    """What each process has."""
    found = [torch.zeros_like(t) for _ in range(group.size())]
    _collectives.all_gather(found, t, group=group)
    return found


def _average(rows: Any, observer: Any, process_group: Any) -> Any:
    """The mean over processes of what they send of (channels x elements), a scale and a zero point for each channel."""
    group = resolve(process_group)
    observer(rows)
    scale, zero = observer.calculate_qparams()
    every = _every(torch.stack((scale.float().reshape(-1, 1), zero.float().reshape(-1, 1))).to(rows.device), group)
    mine = every[group.rank()]
    sent = torch.clamp(torch.round(rows / mine[0]) + mine[1], 0, 255).to(torch.uint8)
    total = torch.zeros(rows.shape, dtype=torch.float32, device=rows.device)
    for told, part in zip(every, _every(sent, group), strict=True):
        total += told[0] * (part.to(torch.float32) - told[1])
    return total / group.size()


def _done(x: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(x)
    return future


def quantization_pertensor_hook(process_group: Any, bucket: Any) -> Future[Any]:
    """The average, sent as bytes: one scale for all elements of the bucket."""
    flat = bucket.buffer()
    return _done(_average(flat.reshape(1, -1), MinMaxObserver().to(flat.device), process_group).reshape(-1))


def quantization_perchannel_hook(process_group: Any, bucket: Any, bucket_size: int = 512) -> Future[Any]:
    """The average, sent as bytes: one scale for each ``bucket_size`` elements."""
    flat = bucket.buffer()
    rows = torch.nn.functional.pad(flat, (0, bucket_size - len(flat) % bucket_size)).view(-1, bucket_size)
    return _done(_average(rows, PerChannelMinMaxObserver().to(flat.device), process_group).reshape(-1)[: len(flat)])
