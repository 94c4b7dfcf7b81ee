"""Processes of a run that are started together, watched together and ended together."""

from __future__ import annotations

import abc
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, TextIO

from jtorch import multiprocessing as mp
from jtorch._errors import not_implemented
from jtorch.distributed._failures import ProcessFailure

from ._logs import DefaultLogsSpecs, LogsDest, LogsSpecs, Std, to_map
from .errors import record
from .redirects import redirect_stderr, redirect_stdout
from .subprocess_handler import SubprocessHandler, get_subprocess_handler
from .tail_log import TailLog

__all__ = [
    "DefaultLogsSpecs", "LogsDest", "LogsSpecs", "MultiprocessContext", "PContext", "RunProcsResult", "SignalException", "Std", "SubprocessContext", "get_std_cm", "to_map",
]  # fmt: skip
_log = logging.getLogger(__name__)


class SignalException(Exception):
    """This process was told to end, by the signal ``sigval``."""

    def __init__(self, msg: str, sigval: signal.Signals) -> None:
        super().__init__(msg)
        self.sigval = sigval


def _terminate_process_handler(signum: int, frame: FrameType | None) -> None:
    number = signal.Signals(signum)
    raise SignalException(f"Process {os.getpid()} got signal: {number}", sigval=number)


def validate_full_rank(d: dict[int, Any], nprocs: int, what: str) -> None:
    """RuntimeError where a dict does not have one entry for each process."""
    if set(d) != set(range(nprocs)):
        raise RuntimeError(f"{what}, local rank mapping mismatch, expected: {set(range(nprocs))}, actual: {set(d)}")


@dataclass
class RunProcsResult:
    """What came of processes, by number: what functions returned, failures, and the paths of their output."""

    return_values: dict[int, Any] = field(default_factory=dict)
    failures: dict[int, ProcessFailure] = field(default_factory=dict)
    stdouts: dict[int, str] = field(default_factory=dict)
    stderrs: dict[int, str] = field(default_factory=dict)

    def is_failed(self) -> bool:
        """Whether one failed."""
        return len(self.failures) > 0


class PContext(abc.ABC):
    """Processes that belong together."""

    def __init__(
        self, name: str, entrypoint: Any, args: dict[int, tuple[Any, ...]], envs: dict[int, dict[str, str]], logs_specs: LogsSpecs, log_line_prefixes: dict[int, str] | None = None,
        duplicate_stdout_filters: list[str] | None = None, duplicate_stderr_filters: list[str] | None = None,
    ) -> None:  # fmt: skip
        to = logs_specs.reify(envs)
        self.name, self.entrypoint, self.args, self.envs, self.nprocs = name, entrypoint, args, envs, len(args)
        validate_full_rank(to.stdouts, self.nprocs, "stdouts")
        validate_full_rank(to.stderrs, self.nprocs, "stderrs")
        self.stdouts, self.stderrs, self.error_files = to.stdouts, to.stderrs, to.error_files
        self._tail_logs = [TailLog(name, to.tee_stdouts, sys.stdout, log_line_prefixes), TailLog(name, to.tee_stderrs, sys.stderr, log_line_prefixes)]

        def filtered(path: str, files: dict[int, str], wanted: list[str] | None) -> TextIO | None:
            if not wanted:
                return None
            file = open(path, "w", errors="replace", buffering=1)
            self._tail_logs.append(TailLog(name, files, file, log_line_prefixes, log_line_filter=lambda line: any(x in line for x in wanted)))
            return file

        self.filtered_stdout = filtered(to.filtered_stdout, to.tee_stdouts, duplicate_stdout_filters)
        self.filtered_stderr = filtered(to.filtered_stderr, to.tee_stderrs, duplicate_stderr_filters)

    def start(self) -> None:
        """Start them. From now on the signals that TORCHELASTIC_SIGNALS_TO_HANDLE names raise :class:`SignalException` here."""
        if threading.current_thread() is threading.main_thread():
            for name in os.environ.get("TORCHELASTIC_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGHUP,SIGQUIT").split(","):
                try:
                    signal.signal(getattr(signal, name.strip()), _terminate_process_handler)
                except (AttributeError, ValueError, RuntimeError):
                    _log.warning("Failed to register signal handler for %s", name, exc_info=True)
        else:
            _log.warning("Failed to register signal handlers since torchelastic is running on a child thread. This could lead to orphaned worker processes if the torchrun is terminated.")
        self._start()
        for tail in self._tail_logs:
            tail.start()

    @abc.abstractmethod
    def _start(self) -> None: ...

    @abc.abstractmethod
    def _poll(self) -> RunProcsResult | None:
        """What came of them when all are done or one has failed; None before."""

    def wait(self, timeout: float = -1, period: float = 1) -> RunProcsResult | None:
        """What came of them; None if they are not done after so many seconds (a negative number: however long it takes). They are looked at every ``period`` seconds."""
        if timeout == 0:
            return self._poll()
        until = time.time() + (sys.maxsize if timeout < 0 else timeout)
        while time.time() < until:
            found = self._poll()
            if found:
                return found
            time.sleep(period)
        return None

    @abc.abstractmethod
    def pids(self) -> dict[int, int]:
        """Their ids, by number."""

    @abc.abstractmethod
    def _close(self, death_sig: signal.Signals, timeout: int = 30) -> None: ...

    def close(self, death_sig: signal.Signals | None = None, timeout: int = 30) -> None:
        """End them: by a signal (SIGTERM), and those that are not gone after ``timeout`` seconds by SIGKILL."""
        self._close(death_sig=death_sig or signal.SIGTERM, timeout=timeout)
        for tail in self._tail_logs:
            tail.stop()
        for file in (self.filtered_stdout, self.filtered_stderr):
            if file:
                file.close()


def get_std_cm(std_rd: str, redirect_fn: Any) -> Any:
    """The redirection to a path; none for an empty one."""
    return redirect_fn(std_rd) if std_rd else contextlib.nullcontext()


def _wrap(i: int, fn: Callable[..., Any], args: Any, envs: Any, stdouts: dict[int, str], stderrs: dict[int, str], results: Any, taken: Any) -> None:
    os.environ.update(envs[i])
    with get_std_cm(stdouts[i], redirect_stdout), get_std_cm(stderrs[i], redirect_stderr):
        result = record(fn)(*args[i])
    results[i].put(result)
    taken.wait()


class MultiprocessContext(PContext):
    """Processes that run a function."""

    def __init__(
        self, name: str, entrypoint: Callable[..., Any], args: dict[int, tuple[Any, ...]], envs: dict[int, dict[str, str]], start_method: str, logs_specs: LogsSpecs,
        log_line_prefixes: dict[int, str] | None = None, numa_options: Any = None, duplicate_stdout_filters: list[str] | None = None, duplicate_stderr_filters: list[str] | None = None,
    ) -> None:  # fmt: skip
        if numa_options is not None:
            not_implemented("torch.distributed.elastic with numa_options", "numactl before the program does it")
        super().__init__(name, entrypoint, args, envs, logs_specs, log_line_prefixes, duplicate_stdout_filters, duplicate_stderr_filters)
        self.start_method = start_method
        context = mp.get_context(start_method)
        self._ret_vals = {i: context.SimpleQueue() for i in range(self.nprocs)}
        self._worker_finished_event = context.Event()
        self._return_values: dict[int, Any] = {}
        self._pc: Any = None

    def _start(self) -> None:
        if self._pc:
            raise ValueError("The process context already initialized. Most likely the start method got called twice.")
        given = (self.entrypoint, self.args, self.envs, self.stdouts, self.stderrs, self._ret_vals, self._worker_finished_event)
        self._pc = mp.start_processes(_wrap, given, self.nprocs, join=False, daemon=False, start_method=self.start_method)

    def _poll(self) -> RunProcsResult | None:
        try:
            self._pc.join(-1)
            for i, queue in self._ret_vals.items():
                if not queue.empty():
                    self._return_values[i] = queue.get()
            if len(self._return_values) < self.nprocs:
                return None
            self._worker_finished_event.set()  # they wait for it, so that none ends before its result was taken
            while not self._pc.join():
                pass
        except (mp.ProcessRaisedException, mp.ProcessExitedException) as error:
            i = error.error_index
            code = self._pc.processes[i].exitcode
            _log.exception("failed (exitcode: %s) local_rank: %s (pid: %s) of fn: %s (start_method: %s)", code, i, error.error_pid, self.entrypoint.__qualname__, self.start_method)
            self.close()
            return RunProcsResult(failures={i: ProcessFailure(i, error.error_pid, code, self.error_files[i])}, stdouts=self.stdouts, stderrs=self.stderrs)
        self.close()
        return RunProcsResult(return_values=self._return_values, stdouts=self.stdouts, stderrs=self.stderrs)

    def pids(self) -> dict[int, int]:
        return dict(enumerate(self._pc.pids()))

    def _close(self, death_sig: signal.Signals, timeout: int = 30) -> None:
        processes = self._pc.processes if self._pc else []
        until = time.monotonic() + timeout
        for number in (death_sig, signal.SIGKILL):
            for p in processes:
                if p.is_alive():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(p.pid, number)
            for p in processes:
                p.join(max(0.1, until - time.monotonic()) if number == death_sig else timeout)


class SubprocessContext(PContext):
    """Processes that run a program."""

    def __init__(
        self, name: str, entrypoint: str, args: dict[int, tuple[Any, ...]], envs: dict[int, dict[str, str]], logs_specs: LogsSpecs, log_line_prefixes: dict[int, str] | None = None,
        numa_options: Any = None, duplicate_stdout_filters: list[str] | None = None, duplicate_stderr_filters: list[str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, entrypoint, args, envs, logs_specs, log_line_prefixes, duplicate_stdout_filters, duplicate_stderr_filters)
        self._running_local_ranks = set(range(self.nprocs))
        self._failures: dict[int, ProcessFailure] = {}
        self.subprocess_handlers: dict[int, SubprocessHandler] = {}
        self._numa_options = numa_options

    def _start(self) -> None:
        if self.subprocess_handlers:
            raise ValueError("The subprocess handlers already initialized. Most likely the start method got called twice.")
        for i in range(self.nprocs):
            self.subprocess_handlers[i] = get_subprocess_handler(self.entrypoint, self.args[i], self.envs[i], self.stdouts[i], self.stderrs[i], i, self._numa_options)

    def _look(self) -> None:
        for i in list(self._running_local_ranks):
            process = self.subprocess_handlers[i].proc
            code = process.poll()
            if code is not None:
                self._running_local_ranks.discard(i)
                if code != 0:
                    self._failures[i] = ProcessFailure(i, process.pid, code, self.error_files[i])

    def _poll(self) -> RunProcsResult | None:
        self._look()
        if self._running_local_ranks and not self._failures:
            return None
        self.close()
        self._look()
        found = RunProcsResult(failures=self._failures, stdouts=self.stdouts, stderrs=self.stderrs)
        if found.is_failed():
            first = min(found.failures.values(), key=lambda f: f.order())
            _log.error("failed (exitcode: %s) local_rank: %s (pid: %s) of binary: %s", first.exitcode, first.local_rank, first.pid, self.entrypoint)
        else:
            found.return_values = dict.fromkeys(range(self.nprocs))
        return found

    def pids(self) -> dict[int, int]:
        return {i: h.proc.pid for i, h in self.subprocess_handlers.items()}

    def _close(self, death_sig: signal.Signals, timeout: int = 30) -> None:
        until = time.monotonic() + timeout
        for number in (death_sig, signal.SIGKILL):
            for h in self.subprocess_handlers.values():
                if h.proc.poll() is None:
                    h.close(death_sig=number)
            for h in self.subprocess_handlers.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    h.proc.wait(max(0.1, until - time.monotonic()) if number == death_sig else timeout)
