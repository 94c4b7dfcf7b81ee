"""The sum of sparse tensors over processes: all get each other's places and values, as many as each has, and add them up."""

from __future__ import annotations

from typing import Any

from jtorch._core.storage.bare_tensor import new_tensor
from jtorch._core.storage.view_steps import read
from jtorch._engine.running import collectives
from jtorch._engine.values.values import value_of
from jtorch._public import torch

from ._groups import ProcessGroup
from ._work import Work, described, device_kind, launch

__all__ = ["all_reduce_sparse"]


def all_reduce_sparse(g: ProcessGroup, tensor: Any, reduction: str) -> Work:
    """Begin to add up a COO tensor over the processes, in place; it is coalesced then. RuntimeError for other layouts and reductions, and where shapes differ."""
    if tensor.layout is not torch.sparse_coo:
        raise RuntimeError("ProcessGroupGloo::allreduce: unsupported layout")
    if reduction != "SUM":
        raise RuntimeError("ProcessGroupGloo::allreduce: unsupported reduction operation (allreduce of sparse tensors only works with ReduceOp.SUM)")
    with torch.no_grad():
        mine = tensor.detach().coalesce()
        values = [read(mine.indices()), read(mine.values())]
    places, numbers = collectives.arrays_of(values)
    kind, device, count = device_kind(values[1]), values[1].aval.device, places.shape[1]

    def begin(payloads: list[bytes]) -> Any:
        counts = [int(p) for p in payloads] or [count]
        more = max(counts) - count
        rows = [collectives.lengthened(x, d, more) for x, d in ((places, 1), (numbers, 0))]
        every = [collectives.run("all_gather", x, g.ranks, kind).reshape(len(counts), *x.shape) for x in rows]
        return [x[:, :n] for x, n in zip(every[0], counts, strict=True)], [x[:n] for x, n in zip(every[1], counts, strict=True)]

    def finish(found: Any) -> None:
        with torch.no_grad():
            at, what = (torch.cat([new_tensor(value_of(x, device)) for x in part], d) for part, d in zip(found, (1, 0), strict=True))
            tensor.copy_(torch.sparse_coo_tensor(at, what, tuple(tensor.shape)).coalesce())

    shown = f"all_reduce(sparse {described(values[1]).split('[')[0]}{list(tensor.shape)} with {mine.sparse_dim()} sparse dims, {reduction})"
    return launch(g, shown, values, begin, finish, str(count).encode(), [tensor])
