"""Collectives as methods of a process group, as torch's C++ class has them. They give the work to wait for; ranks are places in the group."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from . import _collectives as c
from ._groups import ProcessGroup
from ._reduce_op import ReduceOp
from ._work import Work

__all__ = [
    "AllToAllOptions", "AllgatherOptions", "AllreduceCoalescedOptions", "AllreduceOptions", "BarrierOptions", "BroadcastOptions", "GatherOptions", "ReduceOptions", "ReduceScatterOptions",
    "ScatterOptions",
]  # fmt: skip


class _Options:
    """What a collective is called with. ``timeout``: below zero for the group's own."""

    __slots__ = ("asyncOp", "timeout")
    reduceOp: Any
    rootRank: Any
    _fields: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.asyncOp, self.timeout = True, timedelta(milliseconds=-1)
        for name in self._fields:
            setattr(self, name, _BEGINS[name]())


_BEGINS: dict[str, Any] = {"reduceOp": lambda: ReduceOp(ReduceOp.SUM), "rootRank": int, "rootTensor": int, "device_ids": list, "device": lambda: None}


def _options(name: str, of: str, *fields: str, base: Any = _Options) -> Any:
    """The class of the options of one collective, with these fields besides."""
    shown = f": {', '.join(f'``{f}``' for f in fields)}" if fields else ""
    return type(name, (base,), {"__slots__": fields, "_fields": base._fields + fields, "__module__": "torch.distributed", "__doc__": f"Of ``{of}``{shown}."})


AllreduceOptions = _options("AllreduceOptions", "allreduce", "reduceOp")
AllreduceCoalescedOptions = _options("AllreduceCoalescedOptions", "allreduce_coalesced", base=AllreduceOptions)
AllgatherOptions = _options("AllgatherOptions", "allgather")
AllToAllOptions = _options("AllToAllOptions", "alltoall")
BarrierOptions = _options("BarrierOptions", "barrier", "device_ids", "device")
BroadcastOptions = _options("BroadcastOptions", "broadcast", "rootRank", "rootTensor")
GatherOptions = _options("GatherOptions", "gather", "rootRank")
ReduceOptions = _options("ReduceOptions", "reduce", "reduceOp", "rootRank", "rootTensor")
ReduceScatterOptions = _options("ReduceScatterOptions", "reduce_scatter", "reduceOp")
ScatterOptions = _options("ScatterOptions", "scatter", "rootRank")


def _one(x: Any) -> Any:
    """The tensor (or the list of those of all ranks) of a list of one: the outer list is for the devices of a process, of which there is one."""
    return x[0] if isinstance(x, (list, tuple)) else x


def _rows(x: Any) -> Any:
    return x[0] if x and isinstance(x[0], (list, tuple)) else x


def _op_of(opts: Any, op: Any) -> Any:
    given = op if op is not None else opts
    found = given.reduceOp if isinstance(given, _Options) else ReduceOp.SUM if given is None else given
    return found.op if type(found) is ReduceOp and found.factor is None else found


def _root_of(opts: Any, root: Any) -> int:
    given = root if root is not None else opts
    return int(given.rootRank if isinstance(given, _Options) else given or 0)


class _Methods:
    """What :class:`ProcessGroup` has besides."""

    def broadcast(self, tensors: Any, opts: Any = None, *, root: Any = None) -> Work:
        return c.broadcast(_one(tensors), group=self, async_op=True, group_src=_root_of(opts, root))  # type: ignore[return-value]

    def allreduce(self, tensors: Any, opts: Any = None, *, op: Any = None) -> Work:
        return c.all_reduce(_one(tensors), _op_of(opts, op), self, True)  # type: ignore[return-value]

    def allreduce_coalesced(self, tensors: Any, opts: Any = None) -> Work:
        return c.all_reduce_coalesced(tensors, _op_of(opts, None), self, True)  # type: ignore[return-value]

    def reduce(self, tensors: Any, opts: Any = None, op: Any = None, *, root: Any = None) -> Work:
        return c.reduce(_one(tensors), op=_op_of(opts if isinstance(opts, _Options) else None, op), group=self, async_op=True, group_dst=_root_of(opts, root))  # type: ignore[return-value]

    def allgather(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        return c.all_gather(_rows(output_tensors), _one(input_tensors), self, True)  # type: ignore[return-value]

    def _allgather_base(self, output: Any, input: Any, opts: Any = None) -> Work:
        return c.all_gather_single(output, input, self, True)  # type: ignore[return-value]

    def gather(self, output_tensors: Any, input_tensors: Any, opts: Any = None, *, root: Any = None) -> Work:
        return c.gather(_one(input_tensors), _rows(output_tensors), group=self, async_op=True, group_dst=_root_of(opts, root))  # type: ignore[return-value]

    def scatter(self, output_tensors: Any, input_tensors: Any, opts: Any = None, *, root: Any = None) -> Work:
        return c.scatter(_one(output_tensors), _rows(input_tensors), group=self, async_op=True, group_src=_root_of(opts, root))  # type: ignore[return-value]

    def reduce_scatter(self, output_tensors: Any, input_tensors: Any, opts: Any = None, *, op: Any = None) -> Work:
        return c.reduce_scatter(_one(output_tensors), _rows(input_tensors), _op_of(opts, op), self, True)  # type: ignore[return-value]

    def _reduce_scatter_base(self, output: Any, input: Any, opts: Any = None) -> Work:
        return c.reduce_scatter_single(output, input, _op_of(opts, None), self, True)  # type: ignore[return-value]

    def alltoall_base(self, output: Any, input: Any, output_split_sizes: Any, input_split_sizes: Any, opts: Any = None) -> Work:
        return c.all_to_all_single(output, input, output_split_sizes, input_split_sizes, self, True)  # type: ignore[return-value]

    def alltoall(self, output_tensors: Any, input_tensors: Any, opts: Any = None) -> Work:
        return c.all_to_all(output_tensors, input_tensors, self, True)  # type: ignore[return-value]

    def send(self, tensors: Any, dstRank: int, tag: int = 0) -> Work:
        return c.isend(_one(tensors), group=self, tag=tag, group_dst=dstRank)  # type: ignore[return-value]

    def recv(self, tensors: Any, srcRank: int, tag: int = 0) -> Work:
        return c.irecv(_one(tensors), group=self, tag=tag, group_src=srcRank)  # type: ignore[return-value]

    def recv_anysource(self, tensors: Any, tag: int = 0) -> Work:
        return c.irecv(_one(tensors), group=self, tag=tag)  # type: ignore[return-value]

    def barrier(self, opts: Any = None, **options: Any) -> Work:
        return c.barrier(self, True)  # type: ignore[return-value]


for _name, _method in vars(_Methods).items():
    if callable(_method):
        setattr(ProcessGroup, _name, _method)
