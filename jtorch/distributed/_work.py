"""Asking for a collective, and what stands for its result until it is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, read, write
from jtorch._engine.running import collectives
from jtorch._engine.values import heard
from jtorch._engine.values.values import Value, value_of
from jtorch.futures import Future

from . import _world
from ._agreement import Asked
from ._groups import ProcessGroup
from ._stores import DistBackendError

__all__ = ["Work", "agree", "described", "device_kind", "launch", "put", "run_now"]


class Work:
    """A collective that is under way. ``wait()`` puts its results into the tensors that it was called with."""

    def __init__(self, what: str, ranks: Sequence[int], asked: Asked | None, finish: Callable[[Any], Any], result: Any, timeout: float, blocks: bool, tensors: Any = ()) -> None:
        self._what, self._ranks, self._asked, self._finish = what, ranks, asked, finish
        self._result, self._timeout, self._blocks, self._tensors = result, timeout, blocks, list(tensors)
        self._error: BaseException | None = None
        self._over = False
        self._source = -1

    def wait(self, timeout: timedelta | float | None = None) -> bool:
        """Wait for it. DistBackendError that says which rank is missing, gone or does something else."""
        if self._error is not None:
            raise self._error
        if not self._over:
            try:
                self._complete(self._timeout if timeout is None else timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout))
            except BaseException as error:
                self._error = error
                raise
        return True

    def _complete(self, seconds: float) -> None:
        w = _world.world()
        result = self._result
        if self._asked is not None:
            if w is None or w.member is None:
                raise DistBackendError(f"{self._what}: the process group was destroyed before it was done")
            result = w.member.wait(self._asked, seconds)
            if self._blocks and result is not None:
                try:
                    collectives.wait_for(result)
                except Exception as error:
                    raise DistBackendError(f"{self._what}: {w.member.who_is_gone(self._ranks) or error}") from error
        self._over = True
        self._finish(result)
        self._asked = self._result = None

    def is_completed(self) -> bool:
        """Whether it is done, and its results are where they belong."""
        if not self._over and self._error is None and (self._asked is None or self._asked.done.is_set()):
            try:
                self.wait()
            except Exception:
                return True
        return self._over or self._error is not None

    def is_success(self) -> bool:
        """Whether it is done and nothing went wrong."""
        return self.is_completed() and self._error is None

    def exception(self) -> BaseException | None:
        """What went wrong."""
        return self._error

    def source_rank(self) -> int:
        """From whom it was received."""
        return self._source

    def synchronize(self) -> None:
        """As :meth:`wait`."""
        self.wait()

    def block_current_stream(self) -> None:
        """As :meth:`wait`."""
        self.wait()

    def result(self) -> list[Any]:
        """The tensors with the results."""
        self.wait()
        return self._tensors

    def get_future(self) -> Future[Any]:
        """A future of the list of tensors. (It is done when it is there: callbacks that are added run at once.)"""
        future: Future[Any] = Future()
        try:
            self.wait()
            future.set_result(self._tensors)
        except Exception as error:
            future.set_exception(error)
        return future


def described(*values: Value) -> str:
    """Types and shapes, as processes compare them."""
    return ", ".join(f"{v.aval.dtype.name}{list(v.aval.shape)}" for v in values)


def device_kind(v: Value) -> str:
    """The type of the device that a value is on."""
    return v.aval.device.type


_LETTERS = "abcdefghijklmnopqrstuvwxyz_"
# What torch's operators behind the functions are called, for who counts them.
_OPERATORS = {
    "all_reduce": "allreduce_", "all_reduce_coalesced": "allreduce_coalesced_", "broadcast": "broadcast_", "reduce": "reduce_", "all_gather": "allgather_", "all_gather_coalesced": "allgather_coalesced_",
    "all_gather_into_tensor": "_allgather_base_", "reduce_scatter": "reduce_scatter_", "reduce_scatter_tensor": "_reduce_scatter_base_", "gather": "gather_", "scatter": "scatter_",
    "all_to_all": "alltoall_", "all_to_all_single": "alltoall_base_",
}  # fmt: skip


def launch(
    group: ProcessGroup, what: str, values: Sequence[Value], begin: Callable[[list[bytes]], Any], finish: Callable[[Any], Any], payload: bytes = b"", tensors: Any = (),
    timeout: float | None = None,
) -> Work:  # fmt: skip
    """Ask the group's processes for ``what`` (in which they must agree); ``begin(payloads)`` sends it off once all have, ``finish`` gets what that gave."""
    if heard.listeners:
        name = _OPERATORS.get(what[: len(what) - len(what.lstrip(_LETTERS))])
        if name is not None:
            heard.tell("c10d." + name)
    w = _world.world()
    seconds = group.timeout if timeout is None else timeout
    blocks = all(device_kind(v) == "cpu" for v in values)
    if w is None or w.member is None or len(group.ranks) == 1:
        return Work(what, group.ranks, None, finish, begin([payload] if payload else []), seconds, False, tensors)
    key = f"{group._name}:{w.next_of(group._name)}"
    asked = w.member.ask(begin, "all", key, ",".join(map(str, group.ranks)), what, payload)
    return Work(what, group.ranks, asked, finish, None, seconds, blocks, tensors)


def agree(group: ProcessGroup, what: str, payload: bytes = b"", timeout: float | None = None) -> list[bytes]:
    """Every process's payload, once all have come to ``what``."""
    found: list[Any] = []
    launch(group, what, (), lambda payloads: payloads, found.append, payload, timeout=timeout).wait()
    return found[0]  # type: ignore[no-any-return]


def point_to_point(group: ProcessGroup, sends: bool, t: Tensor, peer: int | None, tag: int) -> Work:
    """Send ``t`` to the process ``peer`` (of the world), or receive into it: from anybody if ``peer`` is None."""
    w = _world.world()
    if w is None or w.member is None:
        raise DistBackendError("send and recv need two processes")
    v = read(t)
    (array,) = collectives.arrays_of([v])
    kind, me = device_kind(v), w.rank
    work: Work

    def begin(payloads: list[bytes]) -> Any:
        other = int(payloads[0])
        work._source = me if sends else other
        return collectives.run("pass_on", array, (me, other) if sends else (other, me), kind)

    def finish(flat: Any) -> None:
        if not sends:
            put(t, flat)

    what = f"{v.aval.dtype.name} of {v.aval.nbytes // max(1, v.aval.dtype.itemsize)} elements"
    # The work is there before it can begin: the answer comes by another thread.
    work = Work("send" if sends else "recv", [w.rank if peer is None else peer], None, finish, None, group.timeout, kind == "cpu", [t])
    fields = ("send" if sends else "receive", -1 if peer is None else peer, f"{group._name}/{tag}", what)
    work._asked = w.member.ask(begin, *fields)
    return work


def put(t: Tensor, flat: Any) -> None:
    """A flat array into a tensor, in place; no history."""
    a = aval_of(t)
    (array,) = collectives.unpack(flat, [a.shape])
    write(t, value_of(array, a.device))


def run_now(name: str, values: Sequence[Value], group: ProcessGroup, what: str, *options: Any) -> list[Value]:
    """A collective of one value, waited for; what comes back is flat."""
    (v,) = values
    (array,) = collectives.arrays_of([v])
    found: list[Any] = []
    launch(group, what, [v], lambda _: collectives.run(name, array, group.ranks, device_kind(v), *options), found.append).wait()
    return [value_of(found[0], v.aval.device)]
