"""Where the optimizers meet the machine: recording updates, counting steps, and the end of a step.

The optimizers themselves only say which operator goes on which tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from jtorch._core import cutting
from jtorch._core.tensor import PLAIN
from jtorch._core.updates import add_number, call, number, prepare, put_number, update, update_rows
from jtorch._namespace import torch
from jtorch._registry import lookup

__all__ = [
    "Updates", "prepare", "update", "call", "factors", "number", "put_number", "advance", "graph_mode", "step_done", "zeros_like",
    "record_function", "numpy_dtype",
]  # fmt: skip


_pure: dict[str, Callable[..., Any]] = {}


def factors(name: str, *args: Any) -> Any:
    """The scalars of a step: in Python's double precision when all arguments are numbers, else recorded."""
    for a in args:
        if a.__class__ is not float and not isinstance(a, (int, float)):
            return call(name, (), (), args)
    fn = _pure.get(name)
    if fn is None:
        fn = _pure[name] = lookup("internal." + name).fn
    return fn(*args)


def advance(steps: list[Any], graph: bool, found_inf: Any = None) -> list[Any]:
    """Count a step. The counts come back as Python numbers, or as the tensors themselves where they live in the graph."""
    if not graph:
        return add_number(steps, 1.0)
    for step in steps:
        step += 1 if found_inf is None else 1 - found_inf.reshape(())
    return steps


def graph_mode(capturable: bool, found_inf: Any = None) -> bool:
    """Whether step counts are kept in the recorded program instead of in Python."""
    return capturable or found_inf is not None or replayed()


def replayed() -> bool:
    """Whether what is recorded now is going to be replayed without Python (torch.compile), so that counts must be in it."""
    return False


def step_done() -> None:
    """The end of ``Optimizer.step()``: a place where traces are cut."""
    cutting.step_done()


def zeros_like(p: Any) -> Any:
    """A state buffer like ``p``."""
    return torch.zeros_like(p, memory_format=torch.preserve_format)


def drop_gradients(params: list[Any]) -> None:
    """``p.grad = None`` for each."""
    for p in params:
        if p.__class__ in PLAIN:
            p._grad = None
        else:
            p.grad = None


def gradients(params: list[Any]) -> list[Any]:
    """``p.grad`` of each."""
    return [p._grad if p.__class__ in PLAIN and p._grad is not None else p.grad for p in params]


class Updates:
    """The updates of a step, gathered so that those of one kind are recorded together."""

    __slots__ = ("rows", "differentiable", "at_once")

    def __init__(self, differentiable: bool = False, at_once: bool = False) -> None:
        """``at_once``: record each as it comes, where what it reads is written before the end of the step."""
        self.rows: dict[Any, tuple[list[Any], list[Any]]] = {}
        self.differentiable, self.at_once = differentiable, differentiable or at_once

    def add(self, update_: Any, tensors: tuple[Any, ...], targets: tuple[Any, ...]) -> None:
        """As :func:`update`, later: its results go to ``targets`` in place."""
        if self.at_once:
            update(update_, tensors, targets, self.differentiable)
            return
        found = self.rows.get(update_)
        if found is None:
            found = self.rows[update_] = ([], [])
        found[0].append(tensors)
        found[1].append(targets)

    def done(self) -> None:
        """Record what was gathered."""
        for update_, (rows, targets) in self.rows.items():
            update_rows(update_, rows, targets)
        self.rows.clear()


_recorder: Any = None


def record_function(name: str) -> AbstractContextManager[Any]:
    """The profiler's region, or nothing where there is no profiler."""
    global _recorder
    if _recorder is None:
        profiler = getattr(getattr(torch, "autograd", None), "profiler", None)
        _recorder = getattr(profiler, "record_function", None) or (lambda _: nullcontext())
    return _recorder(name)


def numpy_dtype(t: Any) -> Any:
    """A tensor's numpy type."""
    return t.dtype.np
