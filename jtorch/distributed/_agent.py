"""What torchrun does: start one process a rank, watch them, and start all of them again when one fails, as often as it may."""

from __future__ import annotations

import datetime
import glob
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO, Any

from ._failures import ChildFailedError, ProcessFailure
from ._stores import DistError, TCPStore

__all__ = ["Workers", "devices_of_this_machine", "free_port", "run_workers"]

_PATIENCE = 30.0  # seconds between asking the others to end and killing them


def devices_of_this_machine(kind: str) -> int:
    """How many processes "cpu", "gpu" or "auto" means. (Asking JAX would take the GPUs' memory.)"""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = len([x for x in shown.split(",") if x.strip()]) if shown is not None else len(glob.glob("/dev/nvidia[0-9]*"))
    if kind == "gpu":
        if not gpus:
            raise ValueError("Cuda is not available.")
        return gpus
    return gpus if kind == "auto" and gpus else os.cpu_count() or 1


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("", 0))
        return int(s.getsockname()[1])


class Workers:
    """The processes of one machine."""

    def __init__(self, command: Sequence[str], environments: Sequence[dict[str, str]], logs: str | None, tee: bool) -> None:
        self.ranks = [int(e["RANK"]) for e in environments]
        self._files: list[IO[bytes]] = []
        self.processes = []
        for local, more in enumerate(environments):
            out: Any = None
            if logs is not None:
                folder = os.path.join(logs, f"attempt_{more['TORCHELASTIC_RESTART_COUNT']}", str(local))
                os.makedirs(folder, exist_ok=True)
                out = open(os.path.join(folder, "stdout.log"), "wb")
                self._files.append(out)
            error = None if out is None else open(os.path.join(folder, "stderr.log"), "wb")
            if error is not None:
                self._files.append(error)
            self.processes.append(subprocess.Popen(list(command), env={**os.environ, **more}, stdout=out, stderr=error))

    def failed(self) -> dict[int, ProcessFailure]:
        """Those that have failed so far, by rank."""
        return {
            self.ranks[i]: ProcessFailure(i, p.pid, p.returncode) for i, p in enumerate(self.processes) if p.poll() is not None and p.returncode != 0
        }

    def done(self) -> bool:
        """Whether all have ended."""
        return all(p.poll() is not None for p in self.processes)

    def end(self, how: int = signal.SIGTERM) -> None:
        """Ask all to end, and see to it."""
        for p in self.processes:
            if p.poll() is None:
                p.send_signal(how)
        until = time.monotonic() + _PATIENCE
        for p in self.processes:
            try:
                p.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        for f in self._files:
            f.close()


def run_workers(
    command: Sequence[str], name: str, *, count: int, nodes: int, node: int, host: str, port: int, run_id: str, role: str, restarts: int, interval: float, logs: str | None, env: dict[str, str],
) -> None:  # fmt: skip
    """Run ``count`` processes on this machine, number ``node`` of ``nodes``, until all are done. ChildFailedError if one fails once too often.

    The first machine keeps the store in which the processes find each other. A failure anywhere starts all anew, everywhere.
    """
    store = TCPStore(host, port, nodes, is_master=node == 0, timeout=datetime.timedelta(minutes=15), wait_for_workers=False)
    attempt = 0
    while True:
        size = count * nodes
        environments = [
            {
                "LOCAL_RANK": str(i), "RANK": str(node * count + i), "GROUP_RANK": str(node), "ROLE_RANK": str(node * count + i), "ROLE_NAME": role,
                "LOCAL_WORLD_SIZE": str(count), "WORLD_SIZE": str(size), "GROUP_WORLD_SIZE": str(nodes), "ROLE_WORLD_SIZE": str(size), "MASTER_ADDR": host,
                "MASTER_PORT": str(store.port), "TORCHELASTIC_RESTART_COUNT": str(attempt), "TORCHELASTIC_MAX_RESTARTS": str(restarts), "TORCHELASTIC_RUN_ID": run_id,
                "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCH_NCCL_ASYNC_ERROR_HANDLING": os.environ.get("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1"), **env,
            }
            for i in range(count)
        ]  # fmt: skip
        workers = Workers(command, environments, logs, False)
        before = [signal.signal(s, _ended) for s in (signal.SIGTERM, signal.SIGINT)]
        try:
            failures = _watch(workers, store, attempt, interval)
        except _Signal as stopped:
            workers.end(stopped.number)
            raise SystemExit(128 + stopped.number) from None
        finally:
            for s, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
                signal.signal(s, handler)
            workers.end()
        if failures is None:
            _all_done(store, nodes, node)
            return
        attempt += 1
        if attempt > restarts:
            if failures:
                raise ChildFailedError(name, failures)
            raise SystemExit(1)  # the failure was on another machine, which tells of it
        print(f"torchrun: {_first(failures) if failures else 'a process of another machine'} failed; restart {attempt} of {restarts}", file=sys.stderr, flush=True)


class _Signal(BaseException):
    def __init__(self, number: int) -> None:
        self.number = number


def _ended(number: int, frame: Any) -> None:
    raise _Signal(number)


def _watch(workers: Workers, store: TCPStore, attempt: int, interval: float) -> dict[int, ProcessFailure] | None:
    """Until all are done (None), or one has failed here or elsewhere: the failures here."""
    key = f"agents/failed_{attempt}"
    while True:
        failures = workers.failed()
        if failures:
            time.sleep(min(interval, 1.0))  # others that failed at the same time are told of too
            failures = {**workers.failed(), **failures}
            _quietly(store.set, key, "1")
            return failures
        if workers.done():
            return None
        if _quietly(store.check, [key]):
            return {}
        time.sleep(interval)


def _first(failures: dict[int, ProcessFailure]) -> str:
    rank, failure = next(iter(failures.items()))
    return failure.told(0, rank)


def _quietly(fn: Any, *args: Any) -> Any:
    try:
        return fn(*args)
    except DistError:
        return None


def _all_done(store: TCPStore, nodes: int, node: int) -> None:
    """The first machine's store is kept until all machines are done."""
    if nodes > 1:
        _quietly(store.add, "agents/done", 1)
        while node == 0 and int(_quietly(store.add, "agents/done", 0) or nodes) < nodes:
            time.sleep(0.1)
