"""Recording events: operators, derivatives, modules and marked regions, with real times.

While somebody profiles, each operator runs as it is called and is waited for, so that its time is its own; programs are not fused then, which makes the whole slower
than it is otherwise. ``jax.profiler`` shows the fused programs; regions are named there too.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import jax

from jtorch._core.backward import backward_pass
from jtorch._core.graph import grad_modes
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, read
from jtorch._engine.recording.trace import flush, force
from jtorch._engine.values.thread_state import state
from jtorch._errors import PACKAGE
from jtorch._public import torch

from .profiler_util import FunctionEvent

__all__ = ["ACTIVE", "Recording"]


class Recording:
    """The events between :meth:`start` and :meth:`stop`."""

    def __init__(self, shapes: bool = False, memory: bool = False, stack: bool = False, modules: bool = False, flops: bool = False) -> None:
        self.shapes, self.memory, self.stack, self.modules, self.flops = shapes, memory, stack, modules, flops
        self.events: list[FunctionEvent] = []
        self.open: dict[int, list[FunctionEvent]] = {}
        self.path: list[str] = []
        self._undo: list[Callable[[], Any]] = []
        self._begun: Any = None

    # -- events ---------------------------------------------------------------------------------------------------------------------

    def begin(self, name: str, cat: str = "cpu_op", shapes: Any = None) -> FunctionEvent:
        """An event that lasts until :meth:`end`."""
        thread = threading.get_native_id()
        now = time.perf_counter_ns() / 1000
        event = FunctionEvent(
            len(self.events), name, thread, now, now, input_shapes=shapes if self.shapes and shapes is not None else [], is_user_annotation=cat == "user_annotation", cat=cat,
            module_hierarchy=".".join(self.path), stack=self._frames() if self.stack else None,
        )  # fmt: skip
        stack = self.open.setdefault(thread, [])
        if stack:
            event.cpu_parent = stack[-1]
            stack[-1].cpu_children.append(event)
        stack.append(event)
        self.events.append(event)
        return event

    def end(self, event: FunctionEvent, memory: int = 0) -> None:
        """The event is over, and so is whatever began within it and was left by an exception."""
        now = time.perf_counter_ns() / 1000
        stack = self.open.get(event.thread, [])
        if event not in stack:
            return
        while True:
            last = stack.pop()
            last.time_range.end = now
            if last is event:
                break
        at: Any = event
        while memory and at is not None:
            at.cpu_memory_usage += memory
            at = at.cpu_parent

    @staticmethod
    def _frames() -> list[str]:
        return [f"{f.filename}({f.lineno}): {f.name}" for f in reversed(traceback.extract_stack()) if not f.filename.startswith(PACKAGE)]

    # -- what is watched ------------------------------------------------------------------------------------------------------------

    def _before_op(self, call: Any, args: Any) -> None:
        shapes = [list(aval_of(a).shape) if isinstance(a, Tensor) else [] for a in args] if self.shapes else None
        self._begun = self.begin(f"aten::{call.name}", shapes=shapes)

    def _after_op(self, call: Any, args: Any, tensors: list[Any]) -> None:
        event, self._begun = self._begun, None
        if event is None:
            return
        for t in tensors:
            _wait(force(read(t)))
        if self.flops:
            event.flops = _flops(call, args)
        self.end(event, sum(t.numel() * t.element_size() for t in tensors) if self.memory else 0)

    def _around_node(self, node: Any, run: Callable[[], Any]) -> Any:
        if state.backward is None and not self.open:
            return run()
        name = node.name()
        outer = self.begin(f"autograd::engine::evaluate_function: {name}")
        inner = self.begin(name)
        try:
            results = run()
            flush("profile")
            for value in results or ():
                if hasattr(value, "array"):
                    _wait(force(value))
            return results
        finally:
            self.end(inner)
            self.end(outer)

    def _watch_modules(self) -> None:
        hooks = torch.nn.modules.module
        entered: list[tuple[Any, FunctionEvent]] = []
        counts: dict[str, int] = {}
        names: dict[int, str] = {}

        def name_of(module: Any) -> str:
            if id(module) not in names:
                kind = type(module).__name__
                names[id(module)] = f"{kind}_{counts.get(kind, 0)}"
                counts[kind] = counts.get(kind, 0) + 1
            return names[id(module)]

        def enter(module: Any, args: Any) -> None:
            name = name_of(module)
            self.path.append(name)
            entered.append((module, self.begin(f"nn.Module: {name}", "python_function")))

        def leave(module: Any, args: Any, output: Any) -> None:
            while entered:
                found, event = entered.pop()
                self.path.pop()
                self.end(event)
                if found is module:
                    break

        self._undo += [hooks.register_module_forward_pre_hook(enter).remove, hooks.register_module_forward_hook(leave, always_call=True).remove]

    def start(self) -> None:
        """Watch from now on."""
        flush("profile")
        self._told = grad_modes.told.before, grad_modes.told.after  # this thread's
        self._told[0].append(self._before_op)
        self._told[1].append(self._after_op)
        state.mode |= grad_modes.COUNTED
        self._undo.append(backward_pass.watch_nodes(self._around_node))
        if self.modules:
            self._watch_modules()
        ACTIVE.append(self)

    def stop(self) -> None:
        """Watch no more."""
        if self not in ACTIVE:
            return
        ACTIVE.remove(self)
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        self._told[0].remove(self._before_op)
        self._told[1].remove(self._after_op)
        if not grad_modes.told.after:
            state.mode &= ~grad_modes.COUNTED
        flush("profile")
        for stack in self.open.values():
            for event in list(reversed(stack)):
                self.end(event)
        self.open.clear()


ACTIVE: list[Recording] = []
"""The recordings that are going on."""


def _wait(array: Any) -> None:
    jax.block_until_ready(array)


def _flops(call: Any, args: Any) -> int:
    """Multiplications and additions of products; other operators count none."""
    shapes = [aval_of(a).shape for a in args if isinstance(a, Tensor)]
    if call.name in ("mm", "matmul", "bmm", "linear") and len(shapes) >= 2 and shapes[0] and shapes[1]:
        other = shapes[1][-1] if call.name != "linear" else shapes[1][0]
        total = 2 * other
        for n in shapes[0]:
            total *= n
        return int(total)
    return 0
