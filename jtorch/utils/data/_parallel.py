"""A pass over a DataLoader with worker processes: tasks go out round robin, answers come back in the sampler's order.

Every worker has its own channel. The main process waits on all channels and on the processes themselves, so a worker that dies is noticed at once and
named, and no queue or lock is shared that a dying worker could leave broken.
"""

from __future__ import annotations

import atexit
import itertools
import multiprocessing.connection
import os
import pickle
import signal
import time
import warnings
import weakref
from typing import Any

from jtorch._utils import ExceptionWrapper

from . import _utils
from ._iterators import _BaseDataLoaderIter, default_context
from ._utils.channel import Channel
from ._utils.fetch import _DatasetKind
from ._utils.worker import Job, _IterableDatasetStopIteration, _ResumeIteration, _worker_loop, parent_ends

_alive: weakref.WeakSet[_MultiProcessingDataLoaderIter] = weakref.WeakSet()
_MISSING = object()


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Loads in worker processes."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        self._prefetch_factor: int = loader.prefetch_factor  # type: ignore[assignment]
        self._in_order = loader.in_order
        if self._prefetch_factor <= 0:
            raise AssertionError("prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter")
        self._shutdown = False
        self._workers: list[Any] = []
        self._channels: list[Channel] = []
        context = loader.multiprocessing_context or default_context()
        _alive.add(self)
        try:
            for number in range(self._num_workers):
                self._start(context, loader, number)
            self._reset(loader, first_iter=True)
        except BaseException:
            self._shutdown_workers()
            raise

    def _start(self, context: Any, loader: Any, number: int) -> None:
        here, there = context.Pipe(duplex=True)
        channel = Channel(here)
        parent_ends.add(channel)
        job = Job(
            self._dataset_kind, self._dataset, self._auto_collation, self._collate_fn, self._drop_last, self._base_seed,
            loader.worker_init_fn, number, self._num_workers, self._persistent_workers,
        )  # fmt: skip
        worker = context.Process(target=_worker_loop, args=(job, Channel(there)), daemon=True)
        try:
            with warnings.catch_warnings():
                # Python and JAX warn of forking a process with threads. The worker uses none of what the threads own.
                warnings.filterwarnings("ignore", message=r".*fork\(\).*", category=Warning)
                worker.start()
        except (TypeError, AttributeError, pickle.PicklingError):
            warnings.warn(
                "Got pickle error when attempting to start a worker Process. "
                "This might be because the worker Process arguments are not picklable. "
                "Python 3.14+ changed the multiprocessing start method in non-Mac POSIX platforms "
                "to 'forkserver', which requires the worker Process arguments to be picklable. "
                "You can also try multiprocessing.set_start_method('fork').",
                stacklevel=2,
            )
            raise
        finally:
            there.close()
        self._workers.append(worker)
        self._channels.append(channel)

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        super()._reset(loader, first_iter)
        self._send_idx = 0  # number of the next task to send
        self._rcvd_idx = 0  # number of the next task to return
        # Tasks between the two: number -> [worker, data or _MISSING].
        self._task_info: dict[int, list[Any]] = {}
        self._tasks_outstanding = 0
        self._workers_status = [True] * self._num_workers  # False: its stream has ended in this epoch
        self._workers_num_tasks = [0] * self._num_workers
        self._worker_cycle = itertools.cycle(range(self._num_workers))
        if not first_iter:
            for channel in self._channels:
                channel.send(_ResumeIteration())
            waiting = self._num_workers
            while waiting:  # answers of an epoch that was left early come first, and are dropped
                waiting -= isinstance(self._get_data()[0], _ResumeIteration)
        for _ in range(self._prefetch_factor * self._num_workers):
            self._try_put_index()

    def _receive(self, timeout: float | None) -> Any:
        """The next answer of any worker, or _MISSING after ``timeout`` seconds. RuntimeError when a worker has died."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            sources: dict[Any, int] = {}
            for i, worker in enumerate(self._workers):
                if self._expected(i):
                    sources[self._channels[i].connection] = i
                    sources[worker.sentinel] = i
            left = None if until is None else max(until - time.monotonic(), 0)
            ready = multiprocessing.connection.wait(list(sources), left)
            if not ready:
                return _MISSING
            dead = []
            for source in ready:
                i = sources[source]
                # A worker that has ended may have answered before: its channel is looked at first.
                try:
                    if self._channels[i].poll():
                        return self._channels[i].receive()
                except (EOFError, OSError):
                    pass
                dead.append(i)
            self._report(sorted(set(dead)))

    def _expected(self, i: int) -> bool:
        """Whether answers of this worker are to come; one whose stream has ended may exit."""
        return self._workers_status[i] or self._persistent_workers

    def _report(self, dead: list[int]) -> None:
        gone = [self._workers[i] for i in dead]
        for worker in gone:
            worker.join(_utils.MP_STATUS_CHECK_INTERVAL)  # the channel closes a moment before the process is gone
        self._shutdown_workers()
        pids = ", ".join(str(worker.pid) for worker in gone)
        raise RuntimeError(f"DataLoader worker (pid(s) {pids}) exited unexpectedly") from RuntimeError(_cause(gone[0]))

    def _get_data(self) -> Any:
        if self._timeout > 0:
            answer = self._receive(self._timeout)
            if answer is _MISSING:
                raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
            return answer
        return self._receive(None)

    def _next_data(self) -> Any:
        while True:
            # Skip tasks of workers whose stream ended before they came to them.
            while self._rcvd_idx < self._send_idx:
                info = self._task_info.get(self._rcvd_idx)
                if info is not None:
                    if info[1] is not _MISSING or self._workers_status[info[0]]:
                        break
                    del self._task_info[self._rcvd_idx]
                self._rcvd_idx += 1
            else:
                if not self._persistent_workers:
                    self._shutdown_workers()
                raise StopIteration
            if self._task_info[self._rcvd_idx][1] is not _MISSING:
                worker, data = self._task_info.pop(self._rcvd_idx)
                self._rcvd_idx += 1
                return self._process_data(data, worker)
            if self._shutdown or self._tasks_outstanding <= 0:
                raise AssertionError("Invalid iterator state: shutdown or no outstanding tasks when fetching next data")
            number, data = self._get_data()
            self._tasks_outstanding -= 1
            if self._dataset_kind == _DatasetKind.Iterable and isinstance(data, _IterableDatasetStopIteration):
                self._workers_status[data.worker_id] = False
                if not self._persistent_workers:
                    self._tell(data.worker_id, None)
                # Its other tasks will not be answered.
                for info in self._task_info.values():
                    if info[0] == data.worker_id and info[1] is _MISSING:
                        self._tasks_outstanding -= 1
                self._tasks_outstanding += 1
                self._try_put_index()
                continue
            if number == -1:
                data.reraise()
            if number != self._rcvd_idx and self._in_order:
                self._task_info[number][1] = data
                continue
            worker = self._task_info.pop(number)[0]
            if number == self._rcvd_idx:
                self._rcvd_idx += 1
            return self._process_data(data, worker)

    def _try_put_index(self) -> None:
        limit = self._prefetch_factor * self._num_workers
        if self._tasks_outstanding >= limit:
            return
        try:
            index = self._next_index()
        except StopIteration:
            return
        for _ in range(self._num_workers):
            worker = next(self._worker_cycle)
            if self._workers_status[worker] and (self._in_order or self._workers_num_tasks[worker] < limit // sum(self._workers_status)):
                break
        else:
            return
        self._tell(worker, (self._send_idx, index))
        self._task_info[self._send_idx] = [worker, _MISSING]
        self._workers_num_tasks[worker] += 1
        self._tasks_outstanding += 1
        self._send_idx += 1

    def _tell(self, worker: int, message: Any) -> None:
        try:
            self._channels[worker].send(message)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has died; the next wait will say so

    def _process_data(self, data: Any, worker: int) -> Any:
        self._workers_num_tasks[worker] -= 1
        self._try_put_index()
        if isinstance(data, ExceptionWrapper):
            data.reraise()
        return _utils.pin_memory.pin_memory(data) if self._pin_memory else data

    def _shutdown_workers(self) -> None:
        """End the workers; those that do not listen are killed."""
        if self._shutdown:
            return
        self._shutdown = True
        _alive.discard(self)
        for channel in self._channels:
            try:
                channel.send(None)
            except (OSError, ValueError):
                pass
        for channel in self._channels:
            channel.close()
        until = time.monotonic() + _utils.MP_STATUS_CHECK_INTERVAL
        for worker in self._workers:
            worker.join(max(until - time.monotonic(), 0.01))
        for end in (multiprocessing.process.BaseProcess.terminate, multiprocessing.process.BaseProcess.kill):
            for worker in self._workers:
                if worker.is_alive():
                    end(worker)
            for worker in self._workers:
                worker.join(_utils.MP_STATUS_CHECK_INTERVAL)

    def __del__(self) -> None:
        if getattr(self, "_workers", None) and self._owner_alive():
            self._shutdown_workers()

    def _owner_alive(self) -> bool:
        # In a forked child this object is a copy: the workers belong to the parent.
        return all(worker._parent_pid == os.getpid() for worker in self._workers)


def _cause(worker: Any) -> str:
    code = worker.exitcode
    if code is not None and code < 0:
        try:
            name = signal.strsignal(-code)
        except ValueError:
            name = str(-code)
        return f"DataLoader worker (pid {worker.pid}) is killed by signal: {name}. "
    return (
        f"DataLoader worker (pid {worker.pid}) exited unexpectedly with exit code {code}. "
        "Details are lost due to multiprocessing. Rerunning with num_workers=0 may give better error trace."
    )


@atexit.register
def _shut_down_all() -> None:
    for iterator in list(_alive):
        if iterator._owner_alive():
            iterator._shutdown_workers()
