"""``torch.utils.data._utils.signal_handling``: what loaders that libraries build of these parts tell torch's library about their workers, so that a worker's
death ends the wait for it. Here the wait itself looks at the processes (``channel.py``), so the numbers are kept and nobody is told."""

from __future__ import annotations

from collections.abc import Iterable

__all__: list[str] = []

_worker_pids: dict[int, tuple[int, ...]] = {}


def _set_worker_pids(loader_id: int, pids: Iterable[int]) -> None:
    """The workers of a loader."""
    _worker_pids[loader_id] = tuple(pids)


def _remove_worker_pids(loader_id: int) -> None:
    """They have ended."""
    _worker_pids.pop(loader_id, None)


def _set_worker_signal_handlers() -> None:
    """In a worker: Python's own handlers stay."""


def _set_SIGCHLD_handler() -> None:  # noqa: N802 - torch's name
    """In the main process: likewise."""


def _error_if_any_worker_fails() -> None:
    """RuntimeError if a worker has ended by itself."""
    import os

    for pids in _worker_pids.values():
        for pid in pids:
            try:
                found, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if found and status:
                raise RuntimeError(f"DataLoader worker (pid {pid}) exited unexpectedly with exit code {os.waitstatus_to_exitcode(status)}.")
