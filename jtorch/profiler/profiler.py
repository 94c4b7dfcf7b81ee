"""Profiles of some steps of a loop, by a schedule."""

from __future__ import annotations

import gzip
import json
import os
import socket
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from jtorch._private.C._autograd import DeviceType
from jtorch.autograd import profiler as prof
from jtorch.autograd.profiler_util import EventList, chrome_events

__all__ = [
    "DeviceType", "ExecutionTraceObserver", "ProfilerAction", "ProfilerActivity", "profile", "schedule", "supported_activities", "tensorboard_trace_handler",
]  # fmt: skip


class ProfilerActivity(Enum):
    """Where what is profiled happens."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


ProfilerActivity.__module__ = "torch._C._profiler"


class ProfilerAction(Enum):
    """What to do in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """The CPU; what a device does is waited for there."""
    return {ProfilerActivity.CPU}


def _default_schedule_fn(_: int) -> ProfilerAction:
    """Record in every step."""
    return ProfilerAction.RECORD


def schedule(*, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0) -> Callable[[int], ProfilerAction]:
    """What to do in each step: ``skip_first`` steps nothing, then ``repeat`` times (0: always) wait, warm up, record, and save at the last one."""
    assert wait >= 0 and warmup >= 0 and active > 0 and repeat >= 0 and skip_first >= 0, (
        f"Invalid profiler schedule arguments. Got wait={wait} (need >= 0), warmup={warmup} (need >= 0), active={active} (need > 0), repeat={repeat} (need >= 0), "
        f"skip_first={skip_first} (need >= 0)."
    )
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        assert step >= 0
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait != 0:
            step += wait
        if repeat > 0 and step // length >= repeat:
            return ProfilerAction.NONE
        at = step % length
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if at < length - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None, use_gzip: bool = False) -> Callable[[Any], None]:
    """For ``on_trace_ready``: writes ``<worker>.<time>.pt.trace.json`` into a folder, as TensorBoard's plugin reads it. RuntimeError if it can't be made."""

    def handle(p: Any) -> None:
        nonlocal worker_name
        try:
            os.makedirs(dir_name, exist_ok=True)
        except OSError as e:
            raise RuntimeError("Can't create directory: " + dir_name) from e
        if not worker_name:
            worker_name = f"{socket.gethostname()}_{os.getpid()}"
        p.export_chrome_trace(os.path.join(dir_name, f"{worker_name}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")))

    return handle


class ExecutionTraceObserver:
    """Writes the operators that ran as a JSON file."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._registered = False
        self._events: Any = None

    def register_callback(self, output_file_path: str) -> ExecutionTraceObserver:
        """Where to write."""
        self._path, self._registered = output_file_path, True
        return self

    def start(self) -> None:
        """Watch from now on."""
        if self._registered and self._events is None:
            self._events = prof.profile(record_shapes=True)
            self._events.__enter__()

    def stop(self) -> None:
        """Watch no more."""
        if self._events is not None:
            self._events.__exit__(None, None, None)
            done, self._events = self._events.function_events, None
            with open(str(self._path), "w") as file:
                json.dump({"schema": "1.1.1-chakra.0.0.4", "nodes": [{"id": e.id, "name": e.name, "inputs": {"shapes": e.input_shapes}} for e in done]}, file)

    def unregister_callback(self) -> None:
        """Stop, and write no more."""
        self.stop()
        self._registered = False

    @property
    def is_registered(self) -> bool:
        return self._registered

    def get_output_file_path(self) -> str | None:
        return self._path

    cleanup = unregister_callback


class _KinetoProfile:
    """A profile that is started and stopped by hand."""

    def __init__(
        self, *, activities: Iterable[Any] | None = None, record_shapes: bool = False, profile_memory: bool = False, with_stack: bool = False,
        with_flops: bool = False, with_modules: bool = False, experimental_config: Any = None, execution_trace_observer: Any = None, acc_events: bool = False,
        custom_trace_id_callback: Any = None, **_: Any,
    ) -> None:  # fmt: skip
        self.activities = set(activities) if activities else supported_activities()
        self.record_shapes, self.profile_memory, self.with_stack, self.with_flops, self.with_modules = record_shapes, profile_memory, with_stack, with_flops, with_modules
        self.execution_trace_observer = execution_trace_observer
        self.profiler: Any = None
        self._metadata: dict[str, Any] = {}
        self._saved: Any = None
        self._events_before: list[Any] = []
        self.acc_events = acc_events

    def start(self) -> None:
        """Prepare and watch."""
        self.prepare_trace()
        self.start_trace()

    def stop(self) -> None:
        """Watch no more."""
        self.stop_trace()

    def prepare_trace(self) -> None:
        """A new profile."""
        if self.acc_events and self.profiler is not None and self.profiler.function_events is not None:
            self._events_before += self.profiler.function_events
        self.profiler = prof.profile(
            record_shapes=self.record_shapes, profile_memory=self.profile_memory, with_stack=self.with_stack, with_flops=self.with_flops,
            with_modules=self.with_modules or self.with_stack,
        )  # fmt: skip

    def start_trace(self) -> None:
        """Watch from now on."""
        if self.execution_trace_observer:
            self.execution_trace_observer.start()
        self.profiler.__enter__()

    def stop_trace(self) -> None:
        """Watch no more."""
        if self.execution_trace_observer:
            self.execution_trace_observer.stop()
        self.profiler.__exit__(None, None, None)

    def events(self) -> EventList:
        """Every event. AssertionError before there is a profile."""
        assert self.profiler, "Profiler must be initialized before accessing events"
        found = self.profiler._ready()
        return EventList([*self._events_before, *found], profile_memory=self.profile_memory, with_flops=self.with_flops) if self._events_before else found

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, group_by_overload_name: bool = False) -> EventList:
        """Averages by name, and by shapes or frames where that is asked for."""
        assert self.profiler, "Profiler must be initialized before accessing key averages"
        return self.events().key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def export_chrome_trace(self, path: str) -> None:
        """Write the events for chrome://tracing, compressed if the name ends in ``.gz``. RuntimeError the second time, as in torch."""
        assert self.profiler, "Profiler must be initialized before exporting chrome trace"
        if self._saved is self.profiler:
            raise RuntimeError("Trace is already saved.")
        self._saved = self.profiler
        pid = os.getpid()
        body = {
            "schemaVersion": 1, "deviceProperties": [], "record_shapes": int(self.record_shapes), "profile_memory": int(self.profile_memory),
            "with_stack": int(self.with_stack), "with_modules": int(self.with_modules), "displayTimeUnit": "ms", **self._metadata,
            "traceEvents": [
                {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "ts": 0, "args": {"name": "python"}}, *chrome_events(self.events(), pid),
            ],
            "traceName": str(path),
        }  # fmt: skip
        with gzip.open(path, "wt") if str(path).endswith(".gz") else open(path, "w") as file:
            json.dump(body, file)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write frames and a metric, for flame graphs."""
        self.profiler.export_stacks(path, metric)

    def export_memory_timeline(self, path: str, device: str | None = None) -> None:
        """Write [times, bytes] as JSON: what the results of operators take, added up."""
        total, times, sizes = 0, [], []
        for event in self.events():
            if event.self_cpu_memory_usage:
                total += event.self_cpu_memory_usage
                times.append(event.time_range.end)
                sizes.append([total])
        with gzip.open(path, "wt") if path.endswith(".gz") else open(path, "w") as file:
            json.dump([times, sizes], file)

    def add_metadata(self, key: str, value: str) -> None:
        """A text for the file."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """A value, as JSON, for the file."""
        self._metadata[key] = json.loads(value)

    def preset_metadata_json(self, key: str, value: str) -> None:
        """As :meth:`add_metadata_json`."""
        self.add_metadata_json(key, value)

    def toggle_collection_dynamic(self, enable: bool, activities: Iterable[Any]) -> None:
        """Watch or don't, within a profile."""
        (self.profiler._recording.start if enable else self.profiler._recording.stop)()


class profile(_KinetoProfile):
    """A profile of what is inside, or, with a ``schedule``, of the steps that it says; :meth:`step` tells where one ends."""

    def __init__(
        self, *, activities: Iterable[Any] | None = None, schedule: Callable[[int], ProfilerAction] | None = None, on_trace_ready: Callable[..., Any] | None = None,
        record_shapes: bool = False, profile_memory: bool = False, with_stack: bool = False, with_flops: bool = False, with_modules: bool = False,
        experimental_config: Any = None, execution_trace_observer: Any = None, acc_events: bool = False, use_cuda: bool | None = None,
        custom_trace_id_callback: Any = None, **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            activities=activities, record_shapes=record_shapes, profile_memory=profile_memory, with_stack=with_stack, with_flops=with_flops,
            with_modules=with_modules, experimental_config=experimental_config, execution_trace_observer=execution_trace_observer, acc_events=acc_events,
        )  # fmt: skip
        self.schedule = schedule or (lambda step: ProfilerAction.RECORD)
        self.record_steps = schedule is not None
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self.current_action = self.schedule(0)
        self.step_rec_fn: Any = None
        prof.KinetoStepTracker.init_step_count("ProfilerStep")

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        prof.KinetoStepTracker.erase_step_count("ProfilerStep")

    def start(self) -> None:
        """Begin, by what the schedule says of the first step."""
        self._go(ProfilerAction.NONE, self.current_action)
        self._begin_step()

    def stop(self) -> None:
        """End; a profile that is going on is handed on."""
        self._end_step()
        self._go(self.current_action, None)

    def _begin_step(self) -> None:
        if self.record_steps:
            self.step_rec_fn = prof.record_function("ProfilerStep#" + str(self.step_num))
            self.step_rec_fn.__enter__()

    def _end_step(self) -> None:
        if self.record_steps and self.step_rec_fn:
            self.step_rec_fn.__exit__(None, None, None)

    def step(self) -> None:
        """A step is over."""
        self._end_step()
        before, self.step_num = self.current_action, self.step_num + 1
        self.current_action = self.schedule(self.step_num)
        self._go(before, self.current_action)
        prof.KinetoStepTracker.increment_step("ProfilerStep")
        self._begin_step()

    def set_custom_trace_id_callback(self, callback: Any) -> None:
        """Accepted."""

    def get_trace_id(self) -> str | None:
        return None

    def _go(self, before: ProfilerAction, now: ProfilerAction | None) -> None:
        """From one step's action to the next one's."""
        recording = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if before is ProfilerAction.RECORD_AND_SAVE or (now is None and before in recording) or (before is ProfilerAction.RECORD and now not in recording):
            self.stop_trace()
            if self.on_trace_ready and (before is ProfilerAction.RECORD_AND_SAVE or now is None):
                self.on_trace_ready(self)
            before = ProfilerAction.NONE
        if now in recording and before not in recording:
            self.prepare_trace()
            self.start_trace()
