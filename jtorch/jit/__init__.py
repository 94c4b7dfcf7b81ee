"""``torch.jit``: scripted and traced programs. Source: https://docs.pytorch.org/docs/stable/jit.html

Nothing is compiled to another language: what is scripted runs as the Python it is, and compiles as everything does; what is traced is a recorded program.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import Future as _PythonFuture
from typing import Any

from jtorch._errors import not_implemented

from ._marks import (
    Attribute,
    Final,
    _copy_to_script_wrapper as _copy_to_script_wrapper,
    _drop as _drop,
    _IgnoreContextManager as _IgnoreContextManager,
    _isinstance as _isinstance,
    _overload as _overload,
    _overload_method as _overload_method,
    annotate,
    export,
    ignore,
    interface,
    is_scripting,
    isinstance_ as isinstance,  # noqa: A004
    unused,
)
from ._script import CompilationUnit, RecursiveScriptModule, ScriptFunction, ScriptModule, freeze, optimize_for_inference, run_frozen_optimizations, script, script_method
from ._serialization import load, save, weights_of
from ._trace import TracerWarning, active, is_tracing
from ._traced import TopLevelTracedModule as TopLevelTracedModule, TracedModule as TracedModule, TracingCheckError as TracingCheckError, trace, trace_module

__all__ = [
    "annotate", "Attribute", "CompilationUnit", "Error", "export", "export_opnames", "Final", "fork", "freeze", "fuser", "Future", "ignore", "interface", "is_scripting",
    "is_tracing", "isinstance", "jit_module_from_flatbuffer", "last_executed_optimized_graph", "load", "onednn_fusion_enabled", "enable_onednn_fusion",
    "optimize_for_inference", "optimized_execution", "run_frozen_optimizations", "save", "save_jit_module_to_flatbuffer", "script", "script_if_tracing",
    "script_method", "ScriptFunction", "ScriptModule", "RecursiveScriptModule", "ScriptWarning", "set_fusion_strategy", "set_module", "strict_fusion", "trace",
    "trace_module", "TracerWarning", "unused", "wait", "weights_of",
]  # fmt: skip


class Error(RuntimeError):
    """An exception of scripted code: here it is Python's own."""


class ScriptWarning(Warning):
    """Something about scripts."""


Error.__module__ = "torch.jit"


def _future_class() -> Any:
    from jtorch.futures import Future as found

    return found


def __getattr__(name: str) -> Any:
    if name == "Future":
        globals()["Future"] = found = _future_class()
        return found
    raise AttributeError(f"module 'torch.jit' has no attribute '{name}'")


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A future of ``func(*args, **kwargs)``. It is run at once: what it computes is recorded, and XLA's programs do not wait for Python."""
    made = _future_class()()
    try:
        made.set_result(func(*args, **kwargs))
    except Exception as error:
        made.set_exception(error)
    return made


def wait(future: Any) -> Any:
    """A future's value, or its exception. RuntimeError for None."""
    if future is None:
        raise RuntimeError("Future can't be None")
    return future.wait() if hasattr(future, "wait") else future.result() if future.__class__ is _PythonFuture else future


def script_if_tracing(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn``, of which a trace records one call instead of what it does: its branches stay branches."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        recorder = active()
        return fn(*args, **kwargs) if recorder is None else recorder.whole(fn, args, kwargs)

    wrapper.__original_fn = fn  # type: ignore[attr-defined]
    wrapper.__script_if_tracing_wrapper = True  # type: ignore[attr-defined]
    return wrapper


@contextlib.contextmanager
def fuser(name: str) -> Iterator[None]:
    """Which of torch's fusers scripts use: XLA is the one here, whatever is chosen. Exception for an unknown name."""
    if name not in ("fuser0", "fuser1", "fuser2", "fuser3"):
        raise Exception(f"unrecognized fuser option (name: {name})")  # noqa: TRY002 - torch's
    yield


@contextlib.contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """Accepted: XLA compiles in any case."""
    yield


class strict_fusion:
    """Accepted: XLA fuses what it can."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


_fusion: list[Any] = [("STATIC", 2), ("DYNAMIC", 10)]
_onednn = [False]


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Remember a strategy, and return the one before; XLA has its own."""
    before = list(_fusion)
    _fusion[:] = strategy
    return before


def enable_onednn_fusion(enabled: bool) -> None:
    """Remember the switch; XLA calls oneDNN where it is faster."""
    _onednn[0] = enabled


def onednn_fusion_enabled() -> bool:
    return _onednn[0]


def export_opnames(m: Any) -> list[str]:
    """The operators of a traced module, sorted."""
    return sorted({f"aten::{getattr(n.target, '__name__', n.target)}" for n in m.graph.nodes if n.op in ("call_function", "call_method")})


def last_executed_optimized_graph() -> Any:
    """NotImplementedError: there is no executor of scripts."""
    return not_implemented("torch.jit executors' states", "set JTORCH_LOG=trace to see what runs")


def set_module(obj: Any, mod: str) -> None:
    """Set ``__module__``."""
    obj.__module__ = mod


def jit_module_from_flatbuffer(f: Any) -> Any:
    """Declined: a format of torch's mobile builds."""
    return not_implemented("torch.jit's flatbuffer files", "torch.jit.save and load have a format of their own")


save_jit_module_to_flatbuffer = jit_module_from_flatbuffer


def _script_if_tracing(fn: Any) -> Any:
    return script_if_tracing(fn)


def _get_trace_graph(f: Any, args: Any = (), kwargs: Any = None, strict: bool = True, _force_outplace: bool = False, return_inputs: bool = False, _return_inputs_states: bool = False) -> Any:
    """(the graph of a call's operators, the result), and the inputs where asked for."""
    from ._operator_graph import operator_graph
    from ._traced import _inputs

    given = _inputs(args)
    found = operator_graph(f, given, kwargs or {})
    return (*found, given) if return_inputs or _return_inputs_states else found


# The submodule, over what the future import above left under its name.
annotations = __import__("importlib").import_module("jtorch.jit.annotations")  # type: ignore[assignment]
