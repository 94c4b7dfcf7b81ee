"""``torch.autograd.profiler``: what runs, how often and how long."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax

from jtorch._errors import not_implemented

from ._recording import ACTIVE, Recording
from .profiler_util import EventList

__all__ = ["profile", "record_function", "emit_itt", "emit_nvtx", "load_nvprof", "EnforceUnique", "parse_nvprof_trace", "KinetoStepTracker", "EventList"]


class _Decorator:
    """A context manager that is also a decorator."""

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return func(*args, **kwargs)

        return run

    def _again(self) -> Any:
        return self


_annotating = [0]  # how many emit_nvtx or traces of jax.profiler want names


class record_function(_Decorator):
    """A region with a name, in profiles of this library and (under :class:`emit_nvtx`) of ``jax.profiler``. Also a decorator."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args
        self._open: list[Any] = []

    def _again(self) -> Any:
        return record_function(self.name, self.args)

    def __enter__(self) -> record_function:
        if ACTIVE or _annotating[0]:
            held = [(r, r.begin(self.name, "user_annotation")) for r in ACTIVE]
            shown = jax.profiler.TraceAnnotation(self.name) if _annotating[0] else None
            if shown is not None:
                shown.__enter__()
            self._open.append((held, shown))
        return self

    def __exit__(self, *_: object) -> None:
        if self._open:
            held, shown = self._open.pop()
            if shown is not None:
                shown.__exit__(None, None, None)
            for recording, event in reversed(held):
                recording.end(event)


class profile(_Decorator):
    """Inside, every operator is timed: ``key_averages().table()``, ``export_chrome_trace``.

    Operators then run one by one (see ``_recording.py``). RuntimeError when it is entered twice, or asked before it has run.
    """

    def __init__(
        self, enabled: bool = True, *, use_cuda: bool = False, use_device: str | None = None, record_shapes: bool = False, with_flops: bool = False,
        profile_memory: bool = False, with_stack: bool = False, with_modules: bool = False, use_kineto: bool = False, use_cpu: bool = True,
        experimental_config: Any = None, acc_events: bool = False, custom_trace_id_callback: Any = None, post_processing_timeout_s: float | None = None,
    ) -> None:  # fmt: skip
        self.enabled, self.use_cpu, self.use_device = enabled, use_cpu, "cuda" if use_cuda else use_device
        self.record_shapes, self.with_flops, self.profile_memory, self.with_stack, self.with_modules = record_shapes or with_flops, with_flops, profile_memory, with_stack, with_modules
        self.entered = False
        self.function_events: Any = None
        self._recording: Recording | None = None

    def __enter__(self) -> Any:
        if not self.enabled:
            return None
        if self.entered:
            raise RuntimeError("Profiler context manager is not reentrant")
        self.entered = True
        self._recording = Recording(self.record_shapes, self.profile_memory, self.with_stack, self.with_modules, self.with_flops)
        self._recording.start()
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        if self.enabled and self._recording is not None:
            self._recording.stop()
            self.function_events = EventList(self._recording.events, use_device=self.use_device, profile_memory=self.profile_memory, with_flops=self.with_flops)
        return False

    def _ready(self) -> EventList:
        if self.function_events is None:
            if self.entered:
                raise RuntimeError("Profiler didn't finish running")
            return EventList()
        return self.function_events  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return "<unfinished torch.autograd.profile>" if self.function_events is None else repr(self.function_events)

    def __str__(self) -> str:
        return "<unfinished torch.autograd.profile>" if self.function_events is None else str(self.function_events)

    def table(self, *args: Any, **kwargs: Any) -> str:
        """The events as text."""
        return self._ready().table(*args, **kwargs)

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, group_by_overload_name: bool = False) -> EventList:
        """Averages by name, and by shapes or frames where that is asked for."""
        return self._ready().key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def total_average(self) -> Any:
        """All events as one."""
        return self._ready().total_average()

    def export_chrome_trace(self, path: str) -> None:
        """Write the events for chrome://tracing."""
        self._ready().export_chrome_trace(path)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write frames and a metric, for flame graphs. AssertionError unless frames were kept."""
        assert self.with_stack, "export_stacks() requires with_stack=True"
        self._ready().export_stacks(path, metric)

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds in all."""
        return self._ready().self_cpu_time_total


class _Annotate(_Decorator):
    """Inside, regions have their names in profiles of ``jax.profiler``."""

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None:
        self.enabled, self.record_shapes, self.entered = enabled, record_shapes, False

    def __enter__(self) -> Any:
        if not self.enabled:
            return None
        if self.entered:
            raise RuntimeError(f"{self._what} annotation context manager is not reentrant")
        self.entered = True
        _annotating[0] += 1
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        if self.enabled:
            _annotating[0] -= 1
        return False

    _what = "NVTX"


class emit_nvtx(_Annotate):
    """Inside, regions are ranges for NVIDIA's tools, which ``jax.profiler`` feeds."""


class emit_itt(_Annotate):
    """Inside, regions are ranges for Intel's tools, which ``jax.profiler`` feeds."""

    _what = "ITT"


class EnforceUnique:
    """Raises if a key is seen twice."""

    def __init__(self) -> None:
        self.seen: set[Any] = set()

    def see(self, *key: Any) -> None:
        if key in self.seen:
            raise RuntimeError("duplicate key: " + str(key))
        self.seen.add(key)


class KinetoStepTracker:
    """The number of steps that anybody has said to have made."""

    _current_step = 0
    _step_dict: dict[str, int] = {}

    @classmethod
    def init_step_count(cls, requester: str) -> None:
        cls._step_dict[requester] = cls._current_step

    @classmethod
    def erase_step_count(cls, requester: str) -> bool:
        return cls._step_dict.pop(requester, None) is not None

    @classmethod
    def increment_step(cls, requester: str) -> int:
        cls._step_dict[requester] = cls._step_dict.get(requester, cls._current_step) + 1
        cls._current_step = max(cls._current_step, cls._step_dict[requester])
        return cls._current_step

    @classmethod
    def current_step(cls) -> int:
        return cls._current_step


def kineto_available() -> bool:
    """True: profiles have what ``torch.profiler`` needs."""
    return True


def load_nvprof(path: str) -> Any:
    """Declined: files of a tool that NVIDIA has retired."""
    return not_implemented("torch.autograd.profiler.load_nvprof", "jax.profiler writes traces that Nsight and TensorBoard read")


def parse_nvprof_trace(path: str) -> Any:
    """Declined, as :func:`load_nvprof`."""
    return not_implemented("torch.autograd.profiler.parse_nvprof_trace", "jax.profiler writes traces that Nsight and TensorBoard read")
