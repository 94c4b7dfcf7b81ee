"""``loss_parallel``. Source: https://docs.pytorch.org/docs/stable/distributed.tensor.parallel.html#torch.distributed.tensor.parallel.loss_parallel"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jtorch._public import torch
from jtorch.distributed._placements import Placement, Replicate, Shard
from jtorch.distributed.tensor._api import DTensor, distribute_tensor
from jtorch.overrides import TorchFunctionMode

__all__ = ["loss_parallel"]


@contextmanager
def loss_parallel() -> Iterator[None]:
    """Within, ``cross_entropy`` of logits that are cut along the classes leaves them so: of each row its largest logit, its sum of exponentials and its target's logit go between the ranks.

    The target has class indices; it lies as the logits do without their classes, and may be an ordinary tensor where that is alike everywhere. ValueError where no dim of the mesh, or several, cut the
    classes.
    """
    with _Parallel():
        yield


class _Parallel(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.cross_entropy:
            x = args[0] if args else kwargs["input"]
            if isinstance(x, DTensor):
                return _bound(*args, **kwargs)
        return func(*args, **kwargs)


def _bound(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None, reduction: str = "mean", label_smoothing: float = 0.0
) -> Any:  # fmt: skip
    if input.shape == target.shape or label_smoothing > 0.0 or size_average is not None or reduce is not None:  # probabilities and the like: on the whole
        return torch.nn.functional.cross_entropy(input, target, weight, size_average, ignore_index, reduce, reduction, label_smoothing)
    dim = 1 if input.dim() > 1 else 0
    losses, weights, placements = _rows(input, target, weight, ignore_index, dim)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction != "mean":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    mesh, alike = input.device_mesh, [Replicate()] * len(placements)
    return losses.sum().redistribute(mesh, alike) / weights.sum().redistribute(mesh, alike)


def _cutting(placements: Any, dim: int) -> int:
    """The dim of the mesh that cuts the classes."""
    found = [m for m, p in enumerate(placements) if p.is_shard(dim)]
    if len(found) != 1:
        raise ValueError(f"loss_parallel() requires exactly one mesh dim to shard tensor dimension {dim}, but got placements {placements} with {len(found)} such mesh dim(s).")
    for m, p in enumerate(placements):
        if m != found[0] and not (p.is_shard() or p.is_replicate()):
            raise ValueError(f"loss_parallel() expects non-TP mesh dims to be Shard or Replicate, got {p} at dim {m}.")
    return found[0]


def _on_mesh(t: Any, placements: tuple[Placement, ...], mesh: Any) -> Any:
    if isinstance(t, DTensor):
        if tuple(t.placements) != placements:
            raise RuntimeError(f"Expected {placements} but got {t.placements}.")
        return t
    if not isinstance(t, torch.Tensor):
        raise TypeError(f"Unsupported type {type(t)}")
    if any(p.is_shard() for p in placements):
        raise ValueError(
            f"loss_parallel() requires a DTensor (not a plain torch.Tensor) when the derived placements {placements} contain Shard — this happens on a multi-dimensional mesh with a batch-sharded "
            "non-TP dim. Wrap the tensor with DTensor.from_local or distribute_tensor to make the sharding explicit."
        )
    return DTensor.from_local(t, mesh, placements, run_check=False)


def _rows(x: Any, target: Any, weight: Any, ignore_index: int, dim: int) -> tuple[Any, Any, tuple[Placement, ...]]:
    """(the loss of each row, how much it counts, where they lie)."""
    mesh, placements = x.device_mesh, tuple(x.placements)
    m = _cutting(placements, dim)
    kept = tuple(Replicate() if i == m else p for i, p in enumerate(placements))  # of rows, the dim of the classes being of size 1
    rows = tuple(Shard(p.dim - 1) if isinstance(p, Shard) and p.dim > dim else p for p in kept)
    t = _on_mesh(target, rows, mesh)
    kind, classes = x.dtype, x.shape[dim]
    if kind in (torch.float16, torch.bfloat16):
        x = x.float()
    shifted = x - x.detach().amax(dim, keepdim=True).redistribute(mesh, kept)
    total = shifted.exp().sum(dim, keepdim=True).redistribute(mesh, kept)
    numbers = torch.arange(classes, device=x.device).reshape([classes if d == dim else 1 for d in range(x.dim())])
    hit = distribute_tensor(numbers, mesh, [Shard(dim) if i == m else Replicate() for i in range(len(placements))], src_data_rank=None) == t.unsqueeze(dim)
    logs = torch.where(hit, shifted, torch.zeros_like(shifted)).sum(dim).redistribute(mesh, rows) - total.squeeze(dim).log()
    counts = (t != ignore_index).to(logs.dtype)
    if weight is not None:
        w = _on_mesh(weight, (Replicate(),) * len(placements), mesh)
        counts = counts * w.to(logs.dtype)[t.clamp(0, classes - 1)]
    losses = torch.where(counts != 0, -logs * counts, torch.zeros_like(logs))
    return losses.to(kind), counts.to(kind), rows
