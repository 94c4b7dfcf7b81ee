"""Where the optimizers meet the machine: recording updates, counting steps, and the end of a step.

The optimizers themselves only say which operator goes on which tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from jtorch._core.dispatch import flush_points
from jtorch._core.state.optimizer_updates import add_number, call, in_a_step, number, prepare, put, put_number, update, update_columns
from jtorch._core.storage.bare_tensor import PLAIN
from jtorch._engine.values.thread_state import with_gradients
from jtorch._public import torch
from jtorch._registry import lookup

__all__ = [
    "Updates", "in_a_step", "put", "with_gradients", "prepare", "update", "call", "factors", "number", "put_number", "advance", "graph_mode", "step_done", "zeros_like",
    "record_function", "numpy_dtype",
]  # fmt: skip


_DENSE = {torch.strided}
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
    for count in steps:
        count += 1 if found_inf is None else 1 - found_inf.reshape(())
    return steps


def graph_mode(capturable: bool, found_inf: Any = None) -> bool:
    """Whether step counts are kept in the recorded program instead of in Python."""
    return capturable or found_inf is not None or replayed()


def replayed() -> bool:
    """Whether what is recorded now is going to be replayed without Python (torch.compile), so that counts must be in it."""
    return False


def begun(params: list[Any]) -> None:
    """An optimizer is made for these."""
    flush_points.parameters_are_there(params)


def step_done() -> None:
    """The end of ``Optimizer.step()``: a place where traces are cut."""
    flush_points.step_done()


def zeros_like(p: Any) -> Any:
    """A state buffer like ``p``."""
    return torch.zeros_like(p, memory_format=torch.preserve_format)


def drop_gradients(params: list[Any]) -> None:
    """``p.grad = None`` for each."""
    if set(map(type, params)) <= PLAIN:
        flush_points.keep_for_now([p._grad for p in params])
        for p in params:
            p._grad = None
    else:
        for p in params:
            p.grad = None


def gradients(params: list[Any]) -> list[Any]:
    """``p.grad`` of each."""
    if set(map(type, params)) <= PLAIN:
        return [p._grad for p in params]
    return [p.grad for p in params]


def any_sparse(tensors: list[Any]) -> bool:
    """Whether one of them is a sparse COO tensor."""
    return len({t._s.value.aval.layout for t in tensors} - _DENSE) > 0 and any(t.is_sparse for t in tensors)


def alike(counts: list[Any]) -> list[tuple[Any, list[int] | None]]:
    """Each count with the places where it stands (None: everywhere). Tensors are alike only to themselves."""
    if counts and counts[0].__class__ is float and counts.count(counts[0]) == len(counts):
        return [(counts[0], None)]
    found: dict[Any, list[int]] = {}
    for i, x in enumerate(counts):
        found.setdefault(x, []).append(i)
    return list(found.items())


class Updates:
    """The updates of a step, gathered so that those of one kind are recorded together."""

    __slots__ = ("rows", "differentiable", "at_once")

    def __init__(self, differentiable: bool = False, at_once: bool = False) -> None:
        """``at_once``: record each as it comes, where what it reads is written before the end of the step."""
        self.rows: dict[Any, tuple[list[Any], tuple[int, ...]]] = {}
        self.differentiable, self.at_once = differentiable, differentiable or at_once

    def add(self, update_: Any, tensors: tuple[Any, ...], targets: tuple[Any, ...]) -> None:
        """As :func:`update`, later: its results go to ``targets`` in place, which are some of the tensors."""
        if self.at_once:
            update(update_, tensors, targets, self.differentiable)
            return
        found = self.rows.get(update_)
        if found is None:
            places = tuple([next(i for i, x in enumerate(tensors) if x is t) for t in targets])
            found = self.rows[update_] = ([], places)
        found[0].append(tensors)

    def done(self) -> None:
        """Record what was gathered."""
        for update_, (rows, places) in self.rows.items():
            update_columns(update_, list(zip(*rows, strict=True)), places)
        self.rows.clear()

    def add_all(self, update_: Any, columns: list[Any], places: tuple[int, ...]) -> None:
        """:meth:`add` for many parameters, given column by column; the results go to the columns ``places``. At once."""
        if self.at_once:
            for row in zip(*columns, strict=True):
                update(update_, row, tuple([row[c] for c in places]), self.differentiable)
        else:
            update_columns(update_, columns, places)


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
