"""What a profile found: events, their averages by name, and tables of them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from jtorch._private.C._autograd import DeviceType

__all__ = ["EventList", "FormattedTimesMixin", "FunctionEvent", "FunctionEventAvg", "Interval", "Kernel", "MemRecordsAcc", "StringTable"]


def _format_time(time_us: float) -> str:
    if time_us >= 1e6:
        return f"{time_us / 1e6:.3f}s"
    return f"{time_us / 1e3:.3f}ms" if time_us >= 1e3 else f"{time_us:.3f}us"


def _format_time_share(time_us: float, total_time_us: float) -> str:
    return "NaN" if total_time_us == 0 else f"{time_us * 100.0 / total_time_us:.2f}%"


def _format_memory(nbytes: int) -> str:
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(nbytes) >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{nbytes} B"


def _shown(name: str) -> Any:
    return property(lambda self: _format_time(getattr(self, name)))


class FormattedTimesMixin:
    """Times as text, and averages over the calls."""

    count: int
    cpu_time_total: float
    device_time_total: float

    cpu_time_str = _shown("cpu_time")
    device_time_str = _shown("device_time")
    cpu_time_total_str = _shown("cpu_time_total")
    device_time_total_str = _shown("device_time_total")
    self_cpu_time_total_str = _shown("self_cpu_time_total")
    self_device_time_total_str = _shown("self_device_time_total")

    @property
    def cpu_time(self) -> float:
        return 0.0 if self.count == 0 else self.cpu_time_total / self.count

    @property
    def device_time(self) -> float:
        return 0.0 if self.count == 0 else self.device_time_total / self.count

    cuda_time = device_time

    @property
    def cuda_time_total(self) -> float:
        return self.device_time_total


class Interval:
    """From when to when, in microseconds."""

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = start, end

    def elapsed_us(self) -> float:
        return self.end - self.start


class Kernel:
    """A kernel on a device."""

    def __init__(self, name: str, device: int, duration: float) -> None:
        self.name, self.device, self.duration = name, device, duration


class MemRecordsAcc:
    """Allocations by time; there are none of their own here: an event has what its results take."""

    def __init__(self, mem_records: Any) -> None:
        self._mem_records = mem_records


class StringTable(defaultdict):  # type: ignore[type-arg]
    """Names of C++ made readable: Python's are."""

    def __missing__(self, key: Any) -> Any:
        self[key] = key
        return key


class FunctionEvent(FormattedTimesMixin):
    """One call: of an operator, a derivative, a module or a marked region."""

    def __init__(
        self, id: int, name: str, thread: int, start_us: float, end_us: float, fwd_thread: int | None = None, input_shapes: Any = None, stack: Any = None,
        scope: int = 0, use_device: str | None = None, cpu_memory_usage: int = 0, device_memory_usage: int = 0, is_async: bool = False, is_remote: bool = False,
        sequence_nr: int = -1, node_id: int = -1, device_type: Any = DeviceType.CPU, device_index: int = 0, is_legacy: bool = False, flops: int | None = None,
        is_user_annotation: bool = False, overload_name: str = "", **more: Any,
    ) -> None:  # fmt: skip
        self.id, self.name, self.trace_name, self.thread, self.fwd_thread = id, name, name, thread, fwd_thread
        self.key = "ProfilerStep*" if name.startswith("ProfilerStep#") else name  # all steps are one in the averages
        self.time_range = Interval(start_us, end_us)
        self.count = 1
        self.input_shapes, self.stack, self.scope, self.use_device = input_shapes, stack or [], scope, use_device
        self.cpu_memory_usage, self.device_memory_usage = cpu_memory_usage, device_memory_usage
        self.is_async, self.is_remote, self.sequence_nr, self.node_id = is_async, is_remote, sequence_nr, node_id
        self.device_type, self.device_index, self.is_legacy, self.flops = device_type, device_index, is_legacy, flops
        self.is_user_annotation, self.overload_name = is_user_annotation, overload_name
        self.module_hierarchy = more.get("module_hierarchy", "")
        self.cat = more.get("cat", "cpu_op")
        self.kernels: list[Kernel] = []
        self.cpu_children: list[FunctionEvent] = []
        self.cpu_parent: FunctionEvent | None = None

    def append_cpu_child(self, child: FunctionEvent) -> None:
        """An event that ran within this one."""
        self.cpu_children.append(child)

    def set_cpu_parent(self, parent: FunctionEvent) -> None:
        self.cpu_parent = parent

    def append_kernel(self, name: str, device: int, duration: float) -> None:
        self.kernels.append(Kernel(name, device, duration))

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        return self.time_range.elapsed_us()

    @property
    def self_cpu_time_total(self) -> float:
        return self.cpu_time_total - sum(c.cpu_time_total for c in self.cpu_children)

    @property
    def device_time_total(self) -> float:  # type: ignore[override]
        return sum(k.duration for k in self.kernels)

    @property
    def self_device_time_total(self) -> float:
        return self.device_time_total

    self_cuda_time_total = self_device_time_total

    @property
    def self_cpu_memory_usage(self) -> int:
        return self.cpu_memory_usage - sum(c.cpu_memory_usage for c in self.cpu_children)

    @property
    def self_device_memory_usage(self) -> int:
        return self.device_memory_usage - sum(c.device_memory_usage for c in self.cpu_children)

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} overload_name={self.overload_name} device_type={self.device_type} node_id={self.node_id} "
            f"cpu_time={self.cpu_time_str} start_us={self.time_range.start} end_us={self.time_range.end} cpu_children={[c.id for c in self.cpu_children]} "
            f"cuda_time={self.device_time_str} name={self.name} thread={self.thread} input_shapes={self.input_shapes} "
            f"cpu_memory_usage={self.cpu_memory_usage} cuda_memory_usage={self.device_memory_usage} is_async={self.is_async} is_remote={self.is_remote} "
            f"seq_nr={self.sequence_nr} is_legacy={self.is_legacy}>"
        )


_SUMMED = (
    "cpu_time_total", "device_time_total", "self_cpu_time_total", "self_device_time_total", "cpu_memory_usage", "device_memory_usage", "self_cpu_memory_usage",
    "self_device_memory_usage", "count",
)  # fmt: skip


class FunctionEventAvg(FormattedTimesMixin):
    """All calls of one name."""

    def __init__(self) -> None:
        self.key: Any = None
        self.node_id, self.is_async, self.is_remote, self.use_device, self.is_legacy, self.is_user_annotation = 0, False, False, None, False, False
        self.cpu_children: Any = None
        self.cpu_parent: Any = None
        self.device_type = DeviceType.CPU
        self.input_shapes: Any = None
        self.overload_name, self.scope, self.flops = "", None, 0
        self.stack: list[str] = []
        for name in _SUMMED:
            setattr(self, name, 0)

    def add(self, other: Any) -> FunctionEventAvg:
        """Count one more event, or another average of the same name."""
        if self.key is None:
            for name in (
                "key", "node_id", "is_async", "is_remote", "cpu_parent", "cpu_children", "overload_name", "input_shapes", "stack", "scope", "device_type", "is_legacy",
                "use_device", "is_user_annotation",
            ):  # fmt: skip
                setattr(self, name, getattr(other, name))
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.flops += other.flops or 0
        return self

    __iadd__ = add

    @property
    def self_cuda_time_total(self) -> float:
        return self.self_device_time_total  # type: ignore[attr-defined,no-any-return]

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} cpu_time={self.cpu_time_str} "
            f" self_cuda_time={self.self_device_time_total_str} cuda_time={self.device_time_str} input_shapes={self.input_shapes} "
            f"cpu_memory_usage={self.cpu_memory_usage} cuda_memory_usage={self.device_memory_usage}>"  # type: ignore[attr-defined]
        )


class EventList(list):  # type: ignore[type-arg]
    """Events, or their averages."""

    def __init__(self, *args: Any, use_device: str | None = None, profile_memory: bool = False, with_flops: bool = False, **_: Any) -> None:
        super().__init__(*args)
        self._use_device, self._profile_memory, self._with_flops = use_device, profile_memory, with_flops

    def __str__(self) -> str:
        return self.table()

    @property
    def self_cpu_time_total(self) -> float:
        return sum(e.self_cpu_time_total for e in self)  # type: ignore[no-any-return]

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, max_src_column_width: int = 75, max_name_column_width: int = 55, max_shapes_column_width: int = 80,
        header: str | None = None, top_level_events_only: bool = False, time_unit: str | None = None,
    ) -> str:  # fmt: skip
        """The events as text, a row each. ``sort_by``: an attribute such as "self_cpu_time_total"."""
        return _table(self, sort_by, header, row_limit, max_src_column_width, max_name_column_width, max_shapes_column_width, top_level_events_only, time_unit)

    def key_averages(self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0, group_by_overload_name: bool = False) -> EventList:
        """Averages by name, and by shapes or the innermost frames where that is asked for."""
        groups: dict[Any, FunctionEventAvg] = {}
        for event in self:
            key = (event.key, event.node_id, event.device_type, str(event.input_shapes) if group_by_input_shapes else "", tuple(event.stack[:group_by_stack_n]))
            groups.setdefault(key, FunctionEventAvg()).add(event)
        made = EventList(groups.values(), use_device=self._use_device, profile_memory=self._profile_memory, with_flops=self._with_flops)
        for each in made:
            each.stack = each.stack[:group_by_stack_n]
            if not group_by_input_shapes:
                each.input_shapes = ""
        return made

    def total_average(self) -> FunctionEventAvg:
        """All events as one."""
        total = FunctionEventAvg()
        for event in self:
            total.add(event)
        total.key = "Total"
        return total

    def export_chrome_trace(self, path: str) -> None:
        """Write the events for chrome://tracing."""
        with open(path, "w") as file:
            json.dump(chrome_events(self), file)

    def export_stacks(self, path: str, metric: str) -> None:
        """Write frames and a metric, for flame graphs. ValueError for another metric than self_cpu_time_total or self_cuda_time_total."""
        if metric not in ("self_cpu_time_total", "self_cuda_time_total", "self_device_time_total"):
            raise ValueError(f"metric should be one of: {['self_cpu_time_total', 'self_cuda_time_total']}")
        with open(path, "w") as file:
            for event in self:
                if event.stack:
                    file.write(";".join(reversed(event.stack)).replace(" ", "_") + f" {int(getattr(event, metric))}\n")

    def supported_export_stacks_metrics(self) -> list[str]:
        return ["self_cpu_time_total", "self_cuda_time_total"]


def chrome_events(events: Any, pid: int = 0) -> list[dict[str, Any]]:
    """Events in the form of a Chrome trace."""
    return [
        {
            "ph": "X", "cat": e.cat, "name": e.name, "pid": pid, "tid": e.thread, "ts": e.time_range.start, "dur": e.time_range.elapsed_us(),
            "args": {"External id": e.id, "Ev Idx": e.id, **({"Input Dims": e.input_shapes} if e.input_shapes else {}),
                     **({"Module Hierarchy": e.module_hierarchy} if e.module_hierarchy else {})},
        }
        for e in events
    ]  # fmt: skip


def _table(
    events: EventList, sort_by: str | None, header: str | None, row_limit: int, src_width: int, name_width: int, shapes_width: int, top_level: bool, unit: str | None
) -> str:
    if not events:
        return ""
    rows: list[Any] = list(events)
    if sort_by is not None:
        by = sort_by.replace("cuda", "device").replace("xpu", "device")
        rows.sort(key=lambda e: getattr(e, by), reverse=True)
    if unit is not None:
        scale = {"s": 1e6, "ms": 1e3, "us": 1.0}[unit]
        shown: Callable[[float], str] = lambda t: f"{t / scale:.3f}{unit}"
    else:
        shown = _format_time
    total = sum(e.self_cpu_time_total for e in rows)
    cut: Callable[[str, int | None], str] = lambda text, width: text[: width - 3] + "..." if width is not None and len(text) >= width - 3 else text
    fit: Callable[[int, int | None], int] = lambda longest, width: longest + 4 if width is None else min(longest + 4, width)
    columns: list[tuple[str, int, str, Callable[[Any], Any]]] = [
        ("Name", fit(max(len(e.key) for e in rows), name_width), ">", lambda e: cut(e.key, name_width)),
        ("Self CPU %", 12, ">", lambda e: _format_time_share(e.self_cpu_time_total, total)),
        ("Self CPU", 12, ">", lambda e: shown(e.self_cpu_time_total)),
        ("CPU total %", 12, ">", lambda e: _format_time_share(e.cpu_time_total, total)),
        ("CPU total", 12, ">", lambda e: shown(e.cpu_time_total)),
        ("CPU time avg", 12, ">", lambda e: shown(e.cpu_time)),
    ]
    if events._profile_memory:
        columns += [("CPU Mem", 12, ">", lambda e: _format_memory(e.cpu_memory_usage)), ("Self CPU Mem", 12, ">", lambda e: _format_memory(e.self_cpu_memory_usage))]
    columns.append(("# of Calls", 12, ">", lambda e: e.count))
    if any(e.input_shapes is not None and len(e.input_shapes) > 0 for e in rows):
        width = fit(max(len(str(e.input_shapes)) for e in rows), shapes_width)
        columns.append(("Input Shapes", width, ">", lambda e: str(e.input_shapes)[:width]))
    stacks = [e.stack for e in rows if e.stack]
    if stacks:
        wide = fit(max(len(line) for stack in stacks for line in stack), src_width)
        tail: Callable[[str], str] = lambda text: "..." + text[len(text) - wide + 3 :] if len(text) > wide else text
        columns.append(("Source Location", wide, "<", lambda e: tail(e.stack[0]) if e.stack else ""))
    flops = [e.flops for e in rows if e.flops] if events._with_flops else []
    if flops:
        power = min(int(math.log10(min(flops)) / 3), 5)
        columns.append((f"Total {['', 'K', 'M', 'G', 'T', 'P'][power]}FLOPs", 12, ">", lambda e: f"{e.flops / 1000**power:8.3f}" if e.flops else "--"))
    line: Callable[[list[Any]], str] = lambda values: "".join(f"{v!s:{side}{w}}  " for v, (_, w, side, _) in zip(values, columns, strict=True))
    separator = "".join("-" * w + "  " for _, w, _, _ in columns)
    length = sum(w + 2 for _, w, _, _ in columns) - 2
    out = ["=" * length, header] if header is not None else []
    if top_level:
        out += ["=" * length, "This report only display top-level ops statistics"]
    out += [separator, line([name for name, *_ in columns]), separator]
    count = 0
    for event in rows:
        if count == row_limit:
            break
        if top_level and event.cpu_parent is not None:
            continue
        count += 1
        out.append(line([get(event) for *_, get in columns]))
        if stacks:
            at = next(i for i, c in enumerate(columns) if c[0] == "Source Location")
            for more in event.stack[1:]:
                out.append(line([more[-columns[at][1] :] if i == at else "" for i in range(len(columns))]))
            out.append(line([""] * len(columns)))
    out += [separator, f"Self CPU time total: {shown(total)}"]
    return "\n".join(out) + "\n"
