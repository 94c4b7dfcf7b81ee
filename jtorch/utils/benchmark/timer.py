"""Timing statements.

Operators are recorded and run later, together, so a bare loop would time the recording. What the statement's last expression gives is therefore computed in each turn, as
torch's cpu operators are, and the clock waits for everything that is still running. A statement that is no expression (``y = f(x)``) is computed when the clock is read.
"""

from __future__ import annotations

import ast
import enum
import textwrap
import timeit
from collections.abc import Callable
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import read
from jtorch._engine.recording.trace import force
from jtorch._errors import not_implemented
from jtorch._public import torch

from .measurement import Measurement, TaskSpec, set_torch_threads

__all__ = ["Language", "Timer", "timer"]


class Language(enum.Enum):
    PYTHON = 0
    CPP = 1


def timer() -> float:
    """The clock, when everything that was recorded is done."""
    torch.cpu.synchronize()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return timeit.default_timer()


def _compute(value: Any) -> None:
    if isinstance(value, Tensor):
        force(read(value))
    elif isinstance(value, (list, tuple)):
        for v in value:
            _compute(v)
    elif isinstance(value, dict):
        _compute(list(value.values()))


def _computing(stmt: str) -> str:
    """The statement with its last expression handed to ``_compute``."""
    tree = ast.parse(stmt)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        last.value = ast.Call(ast.Name("_jtorch_compute", ast.Load()), [last.value], [])
    return ast.unparse(ast.fix_missing_locations(tree)) or "pass"


class Timer:
    """Times a statement, as ``timeit.Timer`` does: after ``setup``, with ``globals``, on ``num_threads`` threads. The labels name it in tables."""

    _timer_cls = timeit.Timer

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,  # noqa: A002 - torch's name
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Language | str = Language.PYTHON,
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError("Currently only a `str` stmt is supported.")
        if language not in (Language.PYTHON, "py", "python"):
            if language in (Language.CPP, "cpp", "c++"):
                not_implemented("torch.utils.benchmark.Timer of C++", "statements are Python's")
            raise ValueError(f"Invalid language `{language}`.")
        if global_setup:
            raise TypeError("global_setup is C++ only, but received: " + repr(global_setup))
        stmt, setup = textwrap.dedent(stmt).strip("\n"), textwrap.dedent(setup).strip("\n")
        names = {"torch": torch, **(globals or {}), "_jtorch_compute": _compute}
        self._clock = timer
        self._timer = self._timer_cls(_computing(stmt), setup, timer, names)
        self._task_spec = TaskSpec(stmt, setup, "", label, sub_label, description, env, num_threads)

    def _timeit(self, number: int) -> float:
        return max(self._timer.timeit(number), 1e-9)

    def timeit(self, number: int = 1000000) -> Measurement:
        """One run of ``number`` turns, after a short one to warm up."""
        with set_torch_threads(self._task_spec.num_threads):
            self._timeit(max(int(number // 100), 2))
            return Measurement(number, [self._timeit(number)], self._task_spec)

    def repeat(self, repeat: int = -1, number: int = -1) -> None:
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def autorange(self, callback: Callable[[int, float], Any] | None = None) -> None:
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def _block(self, min_run_time: float) -> int:
        """So many turns that reading the clock does not count."""
        overhead = sorted(self._timer_cls("pass", timer=self._clock).timeit(0) for _ in range(5))[2]
        number = 1
        while True:
            taken = self._timeit(number)
            if overhead / taken <= 1e-3 or taken >= min_run_time / 10:
                return number
            number *= 10

    def blocked_autorange(self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2) -> Measurement:
        """Runs of as many turns as make the clock's cost small, until ``min_run_time`` seconds have gone."""
        with set_torch_threads(self._task_spec.num_threads):
            number = self._block(min_run_time)
            return self._until(number, min_run_time, 3600.0, lambda m: True, callback)

    def adaptive_autorange(
        self, threshold: float = 0.1, *, min_run_time: float = 0.01, max_run_time: float = 10.0, callback: Callable[[int, float], Any] | None = None
    ) -> Measurement:
        """As ``blocked_autorange``, going on until the quartiles are within ``threshold`` of the median."""
        with set_torch_threads(self._task_spec.num_threads):
            number = self._block(0.05)
            return self._until(number, min_run_time, max_run_time, lambda m: len(m.raw_times) > 3 and m.meets_confidence(threshold), callback)

    def _until(self, number: int, least: float, most: float, enough: Callable[[Measurement], bool], callback: Any) -> Measurement:
        self._timeit(number)
        times: list[float] = []
        while True:
            times.append(self._timeit(number))
            if callback is not None:
                callback(number, times[-1])
            found = Measurement(number, times, self._task_spec)
            total = sum(times)
            if total >= most or (total >= least and enough(found)):
                return found

    def collect_callgrind(self, number: int = 100, **_: Any) -> Any:
        not_implemented("torch.utils.benchmark.Timer.collect_callgrind", "it counts the instructions of torch's own library; XLA compiles another program")
