"""What runs in a worker process."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jtorch._public import torch
from jtorch._utils import ExceptionWrapper

from . import host
from .channel import MP_STATUS_CHECK_INTERVAL, Channel, shared_empty
from .fetch import _DatasetKind

__all__ = ["WorkerInfo", "get_worker_info"]

# Ends of channels that belong to the process that made them; a forked child closes its copies, or it would keep sockets of others alive.
parent_ends: weakref.WeakSet[Channel] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What :func:`get_worker_info` tells: number of this worker and of all, its seed, and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a DataLoader's worker process a :class:`WorkerInfo`, elsewhere None."""
    return _worker_info


@dataclass(frozen=True)
class _IterableDatasetStopIteration:
    """Sent in place of data when a worker's stream has ended."""

    worker_id: int


@dataclass(frozen=True)
class _ResumeIteration:
    """Sent to a persistent worker to start an epoch, and back as the answer."""

    seed: int | None = None


def _generate_state(base_seed: int, worker_id: int) -> list[int]:
    """Four 32-bit words that seed ``numpy.random`` in a worker."""
    return [int(word) for word in np.random.SeedSequence([worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]).generate_state(4)]


def _listen(channel: Channel, tasks: queue.SimpleQueue[Any], parent: int) -> None:
    """Take tasks off the channel as they come, so that the main process never waits to send one; leave when the main process is gone."""
    try:
        while True:
            if channel.poll(MP_STATUS_CHECK_INTERVAL):
                task = channel.receive()
                tasks.put(task)
                if task is None:
                    return
            elif os.getppid() != parent:
                os._exit(1)
    except (EOFError, OSError):
        if os.getppid() != parent:
            os._exit(1)
        tasks.put(None)
    except BaseException:
        tasks.put(ExceptionWrapper(where="while receiving a task"))


@dataclass
class Job:
    """All that a worker is started with."""

    dataset_kind: int
    dataset: Any
    auto_collation: bool
    collate_fn: Callable[[Any], Any]
    drop_last: bool
    base_seed: int
    init_fn: Callable[[int], Any] | None
    worker_id: int
    num_workers: int
    persistent: bool


def _worker_loop(job: Job, channel: Channel) -> None:
    """Seed everything, then answer tasks ``(number, keys)`` with ``(number, data)`` until None comes."""
    with contextlib.suppress(KeyboardInterrupt):  # the main process raises it
        for end in list(parent_ends):
            if end is not channel:
                end.close()
        _set_up(job)
        tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(channel, tasks, os.getppid()), daemon=True, name="jtorch-tasks").start()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the main process wants no more
            _serve(job, channel, tasks)


def _set_up(job: Job) -> None:
    host.allocate = shared_empty
    seed = job.base_seed + job.worker_id
    random.seed(seed)
    torch.manual_seed(seed)
    np.random.seed(_generate_state(job.base_seed, job.worker_id))
    global _worker_info
    _worker_info = WorkerInfo(id=job.worker_id, num_workers=job.num_workers, seed=seed, dataset=job.dataset)


def _serve(job: Job, channel: Channel, tasks: queue.SimpleQueue[Any]) -> None:
    where = f"in DataLoader worker process {job.worker_id}"

    def new_fetcher() -> Any:
        return _DatasetKind.create_fetcher(job.dataset_kind, job.dataset, job.auto_collation, job.collate_fn, job.drop_last)

    failed: ExceptionWrapper | None = None
    fetcher: Any = None
    try:
        if job.init_fn is not None:
            job.init_fn(job.worker_id)
        fetcher = new_fetcher()
    except Exception:
        failed = ExceptionWrapper(where=where)
    ended = False
    while (task := tasks.get()) is not None:
        if isinstance(task, _ResumeIteration):
            channel.send((task, None))
            ended = False
            try:
                fetcher = new_fetcher()
            except Exception:
                failed = ExceptionWrapper(where=where)
            continue
        if isinstance(task, ExceptionWrapper):
            channel.send((-1, task))
            return
        if ended:
            continue
        number, index = task
        data: Any
        if failed is not None:
            data, failed = failed, None
        else:
            try:
                data = fetcher.fetch(index)
            except Exception as error:
                if isinstance(error, StopIteration) and job.dataset_kind == _DatasetKind.Iterable:
                    data, ended = _IterableDatasetStopIteration(job.worker_id), True
                else:
                    data = ExceptionWrapper(where=where)
        _answer(channel, number, data, where)
        del data, task, index


def _answer(channel: Channel, number: int, data: Any, where: str) -> None:
    try:
        channel.send((number, data))
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception:
        if isinstance(data, ExceptionWrapper):  # its type cannot be pickled; the text can
            data.exc_type = RuntimeError
            channel.send((number, data))
        else:
            channel.send((number, ExceptionWrapper(where=where)))


class ManagerWatchdog:
    """Asks, in a worker, whether the process that started it is still there."""

    def __init__(self) -> None:
        self.manager_pid = os.getppid()
        self.manager_dead = False

    def is_alive(self) -> bool:
        """Whether it is."""
        self.manager_dead = self.manager_dead or os.getppid() != self.manager_pid
        return not self.manager_dead
