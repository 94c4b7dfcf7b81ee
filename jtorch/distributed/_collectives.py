"""Collectives over tensors. Source: https://docs.pytorch.org/docs/stable/distributed.html#collective-functions"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from jtorch import _dtypes
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, read
from jtorch._engine.running import collectives
from jtorch._public import torch

from ._groups import GroupMember, ProcessGroup, get_global_rank, get_group_rank, get_rank, resolve, warn_not_member
from ._reduce_op import RedOpType, ReduceOp
from ._sparse import all_reduce_sparse
from ._work import Work, described, device_kind, launch, point_to_point, put

__all__ = [
    "P2POp", "all_gather", "all_gather_coalesced", "all_gather_into_tensor", "all_gather_single", "all_reduce", "all_to_all", "all_to_all_single", "batch_isend_irecv", "broadcast", "gather", "gather_into_tensor", "gather_single", "irecv", "isend",
    "recv", "reduce", "reduce_scatter", "reduce_scatter_single", "reduce_scatter_tensor", "scatter", "send",
]  # fmt: skip

_GLOO = frozenset(getattr(_dtypes, n) for n in "bool_ uint8 int8 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split())


def _check(t: Any, name: str) -> None:
    if not isinstance(t, Tensor):
        raise TypeError(f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor\n             but got {type(t)} instead.")


def _check_list(ts: Any, name: str) -> None:
    if not isinstance(ts, (list, tuple)) or not all(isinstance(t, Tensor) for t in ts):
        shown = type(ts) if not isinstance(ts, (list, tuple)) else f"{type(ts)} with elements of type {[type(t) for t in ts]}"
        raise TypeError(f"Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor]\n             but got {shown} instead.")


def _same_types(*ts: Any) -> None:
    kinds = [t.dtype for x in ts for t in (x if isinstance(x, (list, tuple)) else (x,))]
    for kind in kinds:
        if kind is not kinds[0]:
            raise ValueError(f"Invalid usage of tensors with different dtypesFound {kinds[0]} and  {kind}")


def _member(group: Any, name: str) -> ProcessGroup | None:
    """The group; None, with torch's warning, if this process is not in it."""
    if group == GroupMember.NON_GROUP_MEMBER:
        warn_not_member(name)
        return None
    return resolve(group)


def _typed(g: ProcessGroup, t: Any) -> None:
    if "gloo" in g.backend and device_kind(read(t)) == "cpu" and t.dtype not in _GLOO:
        raise RuntimeError("Invalid scalar type")


def _op(op: Any, t: Any, g: ProcessGroup, name: str) -> tuple[Any, ...]:
    """(name of the reduction, its factor), checked as torch does."""
    kind = op.op if type(op) is ReduceOp else op
    if not isinstance(kind, RedOpType):
        raise TypeError(f"{name}(): incompatible function arguments: op must be a ReduceOp, not {type(op).__name__}")
    if t.dtype.is_complex and kind not in (RedOpType.SUM, RedOpType.AVG, RedOpType.PREMUL_SUM):
        raise ValueError(f"{name} does not support {kind} on complex tensors") if name == "all_reduce" else RuntimeError(f"all_reduce does not support {kind} on complex tensors")
    _typed(g, t)
    if kind in (RedOpType.BAND, RedOpType.BOR, RedOpType.BXOR) and (t.dtype.is_floating_point or t.dtype.is_complex):
        raise RuntimeError(f"Cannot use ReduceOp.{kind.name} with non-integral dtype")
    if kind is RedOpType.AVG and not (t.dtype.is_floating_point or t.dtype.is_complex):
        raise RuntimeError(f"result type Float can't be cast to the desired output type {t.dtype.legacy}")
    if kind is RedOpType.UNUSED:
        raise RuntimeError("Unhandled ReduceOp")
    if kind is RedOpType.PREMUL_SUM:
        if type(op) is not ReduceOp or op.factor is None:
            raise TypeError("(): incompatible function arguments. ReduceOp.PREMUL_SUM needs its factor: torch.distributed._make_nccl_premul_sum(factor)")
        if "gloo" in g.backend and device_kind(read(t)) == "cpu":
            raise RuntimeError("Cannot use ReduceOp.PREMUL_SUM with Gloo")
    return (kind.name,) if type(op) is not ReduceOp or op.factor is None else (kind.name, float(op.factor))


def _begin(g: ProcessGroup, name: str, what: str, t: Any, finish: Any, tensors: Any, *options: Any) -> Work:
    v = read(t)
    (array,) = collectives.arrays_of([v])
    shown = f"{what}({described(v)}{''.join(f', {o}' for o in options)})"
    return launch(g, shown, [v], lambda _: collectives.run(name, array, g.ranks, device_kind(v), *options), finish, tensors=tensors)


def _done(work: Work, async_op: bool) -> Work | None:
    if async_op:
        return work
    work.wait()
    return None


def all_reduce(tensor: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """Reduce ``tensor`` over the processes, in place; all get the result."""
    _check(tensor, "tensor")
    g = _member(group, "all_reduce")
    if g is None:
        return None
    if tensor.layout is not torch.strided:
        return _done(all_reduce_sparse(g, tensor, _op(op, tensor, g, "all_reduce")[0]), async_op)
    return _done(_begin(g, "all_reduce", "all_reduce", tensor, lambda out: put(tensor, out), [tensor], *_op(op, tensor, g, "all_reduce")), async_op)


def all_reduce_coalesced(tensors: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """:func:`all_reduce` of several tensors of one type, end to end."""
    _check_list(tensors, "tensors")
    _same_types(tensors)
    g = _member(group, "all_reduce_coalesced")
    if g is None:
        return None
    options = _op(op, tensors[0], g, "all_reduce")
    values = [read(t) for t in tensors]
    arrays = collectives.arrays_of(values)
    kind = device_kind(values[0])

    def finish(flat: Any) -> None:
        for t, part in zip(tensors, collectives.unpack(flat, [a.shape for a in arrays]), strict=True):
            put(t, part.reshape(-1))

    what = f"all_reduce_coalesced({described(*values)}, {options})"
    return _done(launch(g, what, values, lambda _: collectives.run("all_reduce", collectives.pack(arrays), g.ranks, kind, *options), finish, tensors=tensors), async_op)


def _one_of(rank: int | None, group_rank: int | None) -> None:
    if group_rank is None and rank is None:
        raise ValueError("Must specify global_rank or group_rank")
    if group_rank is not None and rank is not None:
        raise ValueError("Can't specify both group_rank and global_rank")


def _root(g: ProcessGroup, group: Any, rank: int | None, group_rank: int | None, name: str, kernel: str) -> int:
    """The place in the group of a source or destination."""
    _one_of(rank, group_rank)
    if group_rank is not None:
        return group_rank
    if (group is None or group is GroupMember.WORLD) and rank not in g.ranks:  # torch asks the backend
        raise RuntimeError(f"ProcessGroupGloo::{kernel}: invalid root rank: {rank}")
    return get_group_rank(g, rank)  # type: ignore[arg-type]


def broadcast(tensor: Any, src: int | None = None, group: Any = None, async_op: bool = False, group_src: int | None = None) -> Work | None:
    """``tensor`` of the process ``src`` to all, in place."""
    _check(tensor, "tensor")
    g = _member(group, "broadcast")
    if g is None:
        return None
    root = _root(g, group, src, group_src, "src", "broadcast")
    _typed(g, tensor)
    return _done(_begin(g, "broadcast", "broadcast", tensor, lambda out: put(tensor, out), [tensor], root), async_op)


def reduce(tensor: Any, dst: int | None = None, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False, group_dst: int | None = None) -> Work | None:
    """Reduce over the processes; ``dst`` alone gets the result, in place."""
    _check(tensor, "tensor")
    g = _member(group, "reduce")
    if g is None:
        return None
    root = _root(g, group, dst, group_dst, "dst", "reduce")
    options = _op(op, tensor, g, "reduce")

    def finish(out: Any) -> None:
        if g.rank() == root:
            put(tensor, out)

    return _done(_begin(g, "all_reduce", f"reduce to {root}", tensor, finish, [tensor], *options), async_op)


def _to_rows(tensors: Sequence[Any]) -> Any:
    """What comes back: one row for each process, into its tensor."""

    def finish(out: Any) -> None:
        rows = out.reshape(len(tensors), -1)
        for i, t in enumerate(tensors):
            put(t, rows[i])

    return finish


def _fits(g: ProcessGroup, name: str, side: str, tensors: Sequence[Any], like: Any) -> None:
    if len(tensors) != g.size():
        raise RuntimeError(f"ProcessGroupGloo::{name}: invalid {side} tensor list at index 0 (expected length {g.size()}, got {len(tensors)})")
    for i, t in enumerate(tensors):
        if t.shape != like.shape:
            raise RuntimeError(f"ProcessGroupGloo::{name}: invalid tensor size at index {i} (expected ({', '.join(map(str, like.shape))}), got ({', '.join(map(str, t.shape))}))")


def all_gather(tensor_list: Any, tensor: Any, group: Any = None, async_op: bool = False) -> Work | None:
    """The ``tensor`` of each process into ``tensor_list``, one a process, everywhere."""
    _check_list(tensor_list, "tensor_list")
    _check(tensor, "tensor")
    _same_types(tensor_list, tensor)
    g = _member(group, "all_gather")
    if g is None:
        return None
    _typed(g, tensor)
    _fits(g, "allgather", "output", tensor_list, tensor)
    return _done(_begin(g, "all_gather", "all_gather", tensor, _to_rows(tensor_list), tensor_list), async_op)


def all_gather_coalesced(output_tensor_lists: Any, input_tensor_list: Any, group: Any = None, async_op: bool = False) -> Work | None:
    """Of each process its list of tensors (of one type) into one of the ``output_tensor_lists``, everywhere. ValueError unless there is a list for each process, of as many tensors."""
    g = _member(group, "all_gather_coalesced")
    if g is None:
        return None
    _check_list(input_tensor_list, "tensor_list")
    _same_types(input_tensor_list)
    if not isinstance(output_tensor_lists, list):
        raise TypeError("Invalid function argument: output_tensor_lists should be a list")
    for tensors in output_tensor_lists:
        _check_list(tensors, "output_tensor_lists")
        _same_types(tensors)
    if len(output_tensor_lists) != g.size() or any(len(tensors) != len(input_tensor_list) for tensors in output_tensor_lists):
        raise ValueError(f"all_gather_coalesced: output_tensor_lists must be {g.size()} lists of {len(input_tensor_list)} tensors")
    values = [read(t) for t in input_tensor_list]
    arrays, kind = collectives.arrays_of(values), device_kind(values[0])

    def finish(flat: Any) -> None:
        for row, tensors in zip(flat.reshape(g.size(), -1), output_tensor_lists, strict=True):
            for t, part in zip(tensors, collectives.unpack(row, [a.shape for a in arrays]), strict=True):
                put(t, part.reshape(-1))

    what = f"all_gather_coalesced({described(*values)})"
    return _done(launch(g, what, values, lambda _: collectives.run("all_gather", collectives.pack(arrays), g.ranks, kind), finish, tensors=output_tensor_lists), async_op)


def all_gather_single(output_tensor: Any, input_tensor: Any, group: Any = None, async_op: bool = False) -> Work | None:
    """The ``input_tensor`` of each process, joined along the first dim (or stacked) in ``output_tensor``."""
    _check(input_tensor, "input_tensor")
    _check(output_tensor, "output_tensor")
    _same_types(output_tensor, input_tensor)
    g = _member(group, "all_gather_into_tensor")
    if g is None:
        return None
    _typed(g, input_tensor)
    if output_tensor.numel() != input_tensor.numel() * g.size():
        _fits(g, "allgather", "output", output_tensor.chunk(g.size()), input_tensor)
    return _done(_begin(g, "all_gather", "all_gather_into_tensor", input_tensor, lambda out: put(output_tensor, out), [output_tensor]), async_op)


def reduce_scatter_single(output: Any, input: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """Reduce ``input`` over the processes; each gets its part along the first dim in ``output``."""
    _check(output, "output")
    _check(input, "input")
    _same_types(output, input)
    g = _member(group, "reduce_scatter_tensor")
    if g is None:
        return None
    options = _op(op, input, g, "reduce_scatter_tensor")
    if output.numel() * g.size() != input.numel():
        raise RuntimeError("input tensor must be the same size as output size times world size")
    rows = input.detach().reshape(g.size(), -1)
    return _done(_begin(g, "reduce_scatter", "reduce_scatter_tensor", rows, lambda out: put(output, out), [output], *options), async_op)


def _renamed(old: str, new: str) -> None:
    warnings.warn(f"`torch.distributed.{old}` is deprecated. Please use `torch.distributed.{new}` instead.", FutureWarning, stacklevel=3)


def all_gather_into_tensor(output_tensor: Any, input_tensor: Any, group: Any = None, async_op: bool = False) -> Work | None:
    """The old name of :func:`all_gather_single`."""
    _renamed("all_gather_into_tensor", "all_gather_single")
    return all_gather_single(output_tensor, input_tensor, group, async_op)


def reduce_scatter_tensor(output: Any, input: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """The old name of :func:`reduce_scatter_single`."""
    _renamed("reduce_scatter_tensor", "reduce_scatter_single")
    return reduce_scatter_single(output, input, op, group, async_op)


def reduce_scatter(output: Any, input_list: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """Reduce each tensor of the list over the processes; process i gets the i-th."""
    _check(output, "output")
    _check_list(input_list, "input_list")
    _same_types(output, input_list)
    g = _member(group, "reduce_scatter")
    if g is None:
        return None
    options = _op(op, output, g, "reduce_scatter")
    _fits(g, "reduce_scatter", "input", input_list, output)
    rows = torch.stack([t.detach().reshape(-1) for t in input_list])
    return _done(_begin(g, "reduce_scatter", "reduce_scatter", rows, lambda out: put(output, out), [output], *options), async_op)


def gather(tensor: Any, gather_list: Any = None, dst: int | None = None, group: Any = None, async_op: bool = False, group_dst: int | None = None) -> Work | None:
    """The ``tensor`` of each process into the ``gather_list`` of ``dst`` (0)."""
    found = _one_side("gather", tensor, gather_list, group, dst, group_dst)
    if found is None:
        return None
    g, root, gather_list = found
    finish = _to_rows(gather_list) if g.rank() == root else (lambda out: None)
    return _done(_begin(g, "all_gather", f"gather to {root}", tensor, finish, gather_list), async_op)


def gather_single(tensor: Any, gather_tensor: Any = None, dst: int | None = None, group: Any = None, async_op: bool = False, group_dst: int | None = None) -> Work | None:
    """The ``tensor`` of each process into parts of the one ``gather_tensor`` of ``dst`` (0), which has as many elements as all of them (in torch since 2.15)."""
    _check(tensor, "tensor")
    g = _member(group, "gather_single")
    if g is None:
        return None
    root = _root(g, group, 0 if dst is None and group_dst is None else dst, group_dst, "dst", "gather_single")
    if g.rank() == root:
        if gather_tensor is None:
            raise ValueError("gather_tensor must be specified on the destination rank")
        _check(gather_tensor, "gather_tensor")
        _same_types(tensor, gather_tensor)
        if gather_tensor.numel() != tensor.numel() * g.size():
            raise RuntimeError(f"gather_tensor must have {tensor.numel() * g.size()} elements, those of {g.size()} processes, but it has {gather_tensor.numel()}")
    _typed(g, tensor)
    finish = (lambda out: put(gather_tensor, out)) if g.rank() == root else (lambda out: None)
    return _done(_begin(g, "all_gather", f"gather to {root}", tensor, finish, [gather_tensor] if g.rank() == root else []), async_op)


gather_into_tensor = gather_single


def _one_side(name: str, tensor: Any, tensors: Any, group: Any, rank: int | None, group_rank: int | None) -> tuple[ProcessGroup, int, Any] | None:
    """(group, place of the process that has the list, the list) of a gather or a scatter, checked; None where this process is not in the group."""
    _check(tensor, "tensor")
    if tensors:
        _check_list(tensors, f"{name}_list")
    else:
        tensors = []
    _same_types(tensor, tensors)
    g = _member(group, name)
    if g is None:
        return None
    end, side, way = ("dst", "destination", "output") if name == "gather" else ("src", "source", "input")
    root = _root(g, group, 0 if rank is None and group_rank is None else rank, group_rank, end, name)
    _side(g, root, tensors, f"{name}_list", side)
    _typed(g, tensor)
    if g.rank() == root:
        _fits(g, name, way, tensors, tensor)
    return g, root, tensors


def _side(g: ProcessGroup, root: int, tensors: Any, name: str, side: str) -> None:
    if g.rank() == root:
        if not tensors:
            raise ValueError(f"Argument ``{name}`` must be specified on {side} rank.")
    elif tensors:
        raise ValueError(f"Argument ``{name}`` must NOT be specified on non-{side} ranks.")


def scatter(tensor: Any, scatter_list: Any = None, src: int | None = None, group: Any = None, async_op: bool = False, group_src: int | None = None) -> Work | None:
    """The i-th tensor of the ``scatter_list`` of ``src`` (0) into process i's ``tensor``."""
    found = _one_side("scatter", tensor, scatter_list, group, src, group_src)
    if found is None:
        return None
    g, root, scatter_list = found
    if g.rank() == root:
        rows = torch.stack([t.detach().reshape(-1) for t in scatter_list])
    else:
        rows = torch.zeros(g.size(), tensor.numel(), dtype=tensor.dtype, device=tensor.device)
    return _done(_begin(g, "all_to_all", f"scatter from {root}", rows, lambda out: put(tensor, out.reshape(g.size(), -1)[root]), [tensor]), async_op)


def all_to_all_single(
    output: Any, input: Any, output_split_sizes: Any = None, input_split_sizes: Any = None, group: Any = None, async_op: bool = False
) -> Work | None:
    """Parts of ``input`` along the first dim to the processes, and theirs into ``output``. Without sizes all parts are equal."""
    _check(output, "output")
    _check(input, "input")
    _same_types(output, input)
    g = _member(group, "all_to_all_single")
    if g is None:
        return None
    _typed(g, input)
    n = g.size()
    for t, splits in ((output, output_split_sizes), (input, input_split_sizes)):
        if not splits and t.shape[0] % n:
            raise RuntimeError("Tensor's dim 0 does not divide equally across group size")
        if splits and len(splits) != n:
            raise RuntimeError("Number of tensor splits not equal to group size")
        if splits and sum(splits) != t.shape[0]:
            raise RuntimeError("Split sizes doesn't match total dim 0 size")
    row = input.numel() // input.shape[0] if input.shape[0] else 1
    sends = list(input_split_sizes or [input.shape[0] // n] * n)
    takes = list(output_split_sizes or [output.shape[0] // n] * n)
    parts = [p.reshape(-1) for p in input.detach().split(sends)]
    return _exchange(g, parts, [t * row for t in takes], lambda got: put(output, collectives.pack(got)), [output], async_op, f"all_to_all_single({input.dtype}, rows of {row}")


def all_to_all(output_tensor_list: Any, input_tensor_list: Any, group: Any = None, async_op: bool = False) -> Work | None:
    """The i-th input to process i, and what comes from it into the i-th output."""
    _check_list(output_tensor_list, "output_tensor_list")
    _check_list(input_tensor_list, "input_tensor_list")
    _same_types(output_tensor_list, input_tensor_list)
    g = _member(group, "all_to_all")
    if g is None:
        return None
    for tensors, side in ((output_tensor_list, "output"), (input_tensor_list, "input")):
        if len(tensors) != g.size():
            raise RuntimeError(f"ProcessGroupGloo::alltoall: {side} tensor list size {len(tensors)} does not match world size {g.size()}")
    if "gloo" in g.backend and device_kind(read(input_tensor_list[0])) == "cpu":  # NCCL takes parts of any sizes
        _fits(g, "alltoall", "input", input_tensor_list, input_tensor_list[0])
        _fits(g, "alltoall", "output", output_tensor_list, input_tensor_list[0])
    _typed(g, input_tensor_list[0])
    parts = [t.detach().reshape(-1) for t in input_tensor_list]

    def finish(got: Any) -> None:
        for t, x in zip(output_tensor_list, got, strict=True):
            put(t, x)

    return _exchange(g, parts, [t.numel() for t in output_tensor_list], finish, output_tensor_list, async_op, f"all_to_all({parts[0].dtype}")


def _exchange(g: ProcessGroup, parts: Sequence[Any], takes: Sequence[int], finish: Any, tensors: Any, async_op: bool, what: str) -> Work | None:
    """Flat parts of any length, one for each process. All tell each other their lengths when they agree to begin."""
    values = [read(p) for p in parts]
    arrays = collectives.arrays_of(values)
    kind, me = device_kind(values[0]), g.rank()
    lengths = [int(a.size) for a in arrays]

    def begin(payloads: list[bytes]) -> Any:
        sizes = [list(map(int, p.split(b","))) for p in payloads]
        for i, row in enumerate(sizes):
            if row[me] != takes[i]:
                raise RuntimeError(f"all_to_all: rank {g.ranks[i]} sends {row[me]} elements and rank {g.ranks[me]} receives {takes[i]}")
        return collectives.move(arrays, g.ranks, kind, sizes, me)

    return _done(launch(g, what + ")", values, begin, finish, ",".join(map(str, lengths)).encode(), tensors), async_op)


def _peer(g: ProcessGroup, rank: int | None, group_rank: int | None, side: str) -> int | None:
    """The rank in the world of the other end."""
    if group_rank is not None:
        _one_of(rank, group_rank)
        rank = get_global_rank(g, group_rank)
    word = "destination" if side == "dst" else "source"
    if rank is not None and rank == get_rank():
        raise ValueError(f"Invalid {word} rank: {word} rank should not be the same as the rank of the current process.")
    if rank is not None and rank not in g.ranks:
        raise ValueError(f"Global rank {rank} is not part of group {g}")
    return rank


def isend(tensor: Any, dst: int | None = None, group: Any = None, tag: int = 0, group_dst: int | None = None) -> Work | None:
    """Send to the process ``dst``; it is under way when this returns."""
    _check(tensor, "tensor")
    g = _member(group, "isend")
    if g is None:
        return None
    _one_of(dst, group_dst)
    return point_to_point(g, True, tensor, _peer(g, dst, group_dst, "dst"), tag)


def irecv(tensor: Any, src: int | None = None, group: Any = None, tag: int = 0, group_src: int | None = None) -> Work | None:
    """Receive from the process ``src`` (None: from any) into ``tensor``, which has the elements after ``wait()``."""
    _check(tensor, "tensor")
    g = _member(group, "irecv")
    if g is None:
        return None
    return point_to_point(g, False, tensor, _peer(g, src, group_src, "src"), tag)


def send(tensor: Any, dst: int | None = None, group: Any = None, tag: int = 0, group_dst: int | None = None) -> None:
    """Send to the process ``dst``, and wait until it is received."""
    work = isend(tensor, dst, group, tag, group_dst)
    if work is not None:
        work.wait()


def recv(tensor: Any, src: int | None = None, group: Any = None, tag: int = 0, group_src: int | None = None) -> int:
    """Receive from the process ``src`` (None: from any) into ``tensor``; the sender's rank."""
    work = irecv(tensor, src, group, tag, group_src)
    if work is None:
        return -1
    work.wait()
    return work.source_rank()


class P2POp:
    """One of the operations of :func:`batch_isend_irecv`: ``op`` is :func:`isend` or :func:`irecv`."""

    def __init__(self, op: Any, tensor: Any, peer: int | None = None, group: Any = None, tag: int = 0, group_peer: int | None = None) -> None:
        if op not in (isend, irecv):
            raise ValueError("Invalid ``op``. Expected ``op`` to be of type ``torch.distributed.isend`` or ``torch.distributed.irecv``.")
        _check(tensor, "tensor")
        self.op, self.tensor, self.group, self.tag = op, tensor, resolve(group), tag
        _one_of(peer, group_peer)
        self.peer = get_global_rank(self.group, group_peer) if peer is None else peer  # type: ignore[arg-type]
        self.group_peer = get_group_rank(self.group, peer) if group_peer is None else group_peer  # type: ignore[arg-type]

    def __repr__(self) -> str:
        ends = (get_rank(self.group), self.group_peer)
        source, to = ends if self.op is isend else ends[::-1]
        return f"P2POp({self.op.__name__} pg={self.group.group_name}, group_src={source}, group_dst={to},  {self.tensor.shape}, {self.tensor.dtype})"


def batch_isend_irecv(p2p_op_list: Sequence[P2POp]) -> list[Any]:
    """Begin all of them; a list of works."""
    if not isinstance(p2p_op_list, list) or not all(isinstance(p, P2POp) for p in p2p_op_list):
        raise ValueError("Invalid ``p2p_op_list``. Each op is expected to to be of type ``torch.distributed.P2POp``.")
    first = p2p_op_list[0].group
    if not all(p.group is first for p in p2p_op_list):
        raise ValueError("All ops need to use the same group.")
    return [p.op(p.tensor, p.peer, p.group, p.tag) for p in p2p_op_list]


@contextmanager
def coalescing_manager(group: Any = None, device: Any = None, async_ops: bool = False) -> Any:
    """Collectives inside belong together. (Each is sent off as it comes.)"""
    yield _Several()


class _Several:
    def wait(self) -> None:
        """Nothing is open."""


def tensors_alike(g: ProcessGroup, tensors: Sequence[Any]) -> list[Any]:
    """By type and device: the numbers of the tensors, to be sent end to end."""
    by: dict[Any, list[int]] = {}
    for i, t in enumerate(tensors):
        a = aval_of(t)
        by.setdefault((a.dtype, a.device), []).append(i)
    return list(by.values())


def together(name: str, tensors: Sequence[Any], g: ProcessGroup, *options: Any) -> list[Work]:
    """A collective that keeps shapes, of all tensors in place, end to end: one for each type."""
    works = []
    for numbers in tensors_alike(g, tensors):
        chosen = [tensors[i] for i in numbers]
        values = [read(t) for t in chosen]
        arrays = collectives.arrays_of(values)

        def finish(flat: Any, chosen: Any = chosen, shapes: Any = tuple(a.shape for a in arrays)) -> None:
            for t, part in zip(chosen, collectives.unpack(flat, shapes), strict=True):
                put(t, part)

        kind = device_kind(values[0])
        what = f"{name}({described(*values)}{''.join(f', {o}' for o in options)})"
        works.append(launch(g, what, values, lambda _, a=arrays, k=kind: collectives.run(name, collectives.pack(a), g.ranks, k, *options), finish, tensors=chosen))  # type: ignore[misc]
    return works


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait until all processes of the group have come here."""
    g = _member(group, "barrier")
    if g is None:
        return None
    return _done(launch(g, "barrier", (), lambda payloads: None, lambda out: None), async_op)


def monitored_barrier(group: Any = None, timeout: timedelta | None = None, wait_all_ranks: bool = False) -> None:
    """A barrier that says who did not come. RuntimeError with their ranks after ``timeout``."""
    g = _member(group, "monitored_barrier")
    if g is None:
        return
    seconds = g.timeout if timeout is None else timeout.total_seconds()
    launch(g, "monitored_barrier", (), lambda payloads: None, lambda out: None, timeout=seconds).wait()
