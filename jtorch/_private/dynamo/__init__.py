"""``torch._dynamo``: what programs ask of the capturing of graphs. Here a function is compiled as it runs, so marks are kept and there is nothing to reset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch import compiler as _compiler
from jtorch._core.dispatch.sizes import mark
from jtorch._engine.values.thread_state import state
from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.compiler import OptimizedModule, allow_in_graph, assume_constant_result, disable, is_compiling, list_backends, reset, substitute_in_graph

from . import config, eval_frame, exc, utils
from ._explaining import explain

__all__ = [
    "OptimizedModule", "allow_in_graph", "assume_constant_result", "config", "disable", "disallow_in_graph", "eval_frame", "exc", "explain", "export", "forbid_in_graph",
    "graph_break", "is_compiling", "is_dynamo_supported", "list_backends", "mark_dynamic", "mark_static", "mark_static_address", "mark_unbacked", "maybe_mark_dynamic",
    "nonstrict_trace", "optimize", "register_backend", "reset", "reset_code_caches", "run", "skip", "substitute_in_graph", "utils",
]  # fmt: skip

is_dynamo_supported = eval_frame.is_dynamo_supported
nonstrict_trace = disallow_in_graph = forbid_in_graph = run = allow_in_graph
skip = disable


def optimize(backend: Any = "inductor", *, nopython: bool = False, **options: Any) -> Callable[[Any], Any]:
    """A decorator: ``torch.compile``."""
    return lambda fn: torch.compile(fn, backend=backend, fullgraph=nopython)


def graph_break(msg: str = "") -> None:
    """What is compiled ends here: the call runs in Python (RuntimeError for ``fullgraph=True``)."""
    if state.observed is not None:
        state.observed.stop(f"graph_break({msg!r})" if msg else "graph_break()", True)


def _mark(t: Any, index: Any = None, **options: Any) -> None:
    """A note on how a tensor's sizes change. Which dims do is seen from the sizes themselves."""
    if not isinstance(t, torch.Tensor):
        raise RuntimeError(f"only tensors can be marked, not {type(t).__name__}")


def mark_dynamic(t: Any, index: Any, *, hint_override: int | None = None, min: int | None = None, max: int | None = None, specialize_on: Any = None) -> None:
    """These dims of ``t`` will have other sizes in other calls."""
    _mark(t, index)
    mark(t, True)


def mark_static(t: Any, index: Any = None) -> None:
    """These dims of ``t`` (or of parameters of a module class) keep their sizes."""
    if not isinstance(t, type):
        _mark(t, index)
        mark(t, False)


def mark_static_address(t: Any, guard: bool = False) -> None:
    """``t`` stays where it is."""
    if not isinstance(t, torch.Tensor):
        raise TypeError(f"mark_static_address expects a tensor but received {type(t)}")


maybe_mark_dynamic = mark_unbacked = mark_dynamic


def reset_code_caches() -> None:
    """Forget what was compiled: as :func:`reset`."""
    _compiler.reset()


def register_backend(compiler_fn: Any = None, name: str | None = None, tags: Any = ()) -> Any:
    """A backend for ``torch.compile(backend=name)``: it gets a graph of fx and example inputs."""
    if compiler_fn is None:
        return lambda fn: register_backend(fn, name, tags)
    _compiler.registered[name or compiler_fn.__name__] = compiler_fn
    return compiler_fn


def export(f: Any, *extra_args: Any, **extra_kwargs: Any) -> Any:
    """A graph of fx from bytecode: it is not captured."""
    not_implemented("torch._dynamo.export", "use torch.export or torch.fx.symbolic_trace")
