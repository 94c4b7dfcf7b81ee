"""``torch._dynamo.explain``: whether a call is replayed as one program, and why not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jtorch._compile.functions import CompiledFunction
from jtorch._errors import not_implemented

__all__ = ["ExplainOutput", "GraphCompileReason", "explain"]


@dataclass
class GraphCompileReason:
    """Why a call is not replayed."""

    reason: str
    user_stack: list[Any] = field(default_factory=list)
    graph_break: bool = True


@dataclass
class ExplainOutput:
    """What :func:`explain` found. A call is one graph here, or none: what comes before a break is not cut off. ``ops_per_graph`` has the operators' names."""

    graph_count: int
    graph_break_count: int
    break_reasons: list[GraphCompileReason]
    op_count: int
    ops_per_graph: list[list[str]] | None = None
    out_guards: list[Any] | None = None
    compile_times: str | None = None

    @property
    def graphs(self) -> list[Any]:
        """No fx graphs are made."""
        not_implemented("ExplainOutput.graphs", "torch.compile(backend=a callable) is given the graph")

    def __str__(self) -> str:
        lines = [f"Graph Count: {self.graph_count}", f"Graph Break Count: {self.graph_break_count}", f"Op Count: {self.op_count}", "Break Reasons:"]
        for i, why in enumerate(self.break_reasons):
            lines += [f"  Break Reason {i + 1}:", f"    Reason: {why.reason}", "    User Stack:", *[f"      {frame}" for frame in why.user_stack]]
        if self.ops_per_graph is not None:
            lines.append("Ops per Graph:")
            for i, ops in enumerate(self.ops_per_graph):
                lines += [f"  Ops {i + 1}:", *[f"    {op}" for op in ops]]
        return "\n".join(lines) + "\n"


def explain(f: Callable[..., Any], *extra_args: Any, **extra_kwargs: Any) -> Any:
    """A function that calls ``f`` once, as ``torch.compile`` would for the first time, and says what came of it: an :class:`ExplainOutput`. Source: torch._dynamo.explain."""

    def inner(*args: Any, **kwargs: Any) -> ExplainOutput:
        compiled = CompiledFunction(getattr(f, "_torchdynamo_orig_callable", f))
        compiled(*args, **kwargs)
        if not compiled.replays:
            why = compiled.why or "a number that changes from call to call, which is followed from the next call on"
            return ExplainOutput(0, 1, [GraphCompileReason(why)], 0, [])
        recorded = compiled.replays[0][1].recorded
        ops = [node[0].call.op.name if node[0].call.op is not None else node[0].call.grad_name for node in recorded.nodes]
        return ExplainOutput(1, 0, [], len(ops), [ops])

    if extra_args or extra_kwargs:
        warnings.warn(
            "explain(f, *args, **kwargs) is deprecated, use explain(f)(*args, **kwargs) instead.  If you don't migrate, we may break your explain call in the future if your "
            "user defined kwargs conflict with future kwargs added to explain(f).",
            FutureWarning,
            stacklevel=2,
        )
        return inner(*extra_args, **extra_kwargs)
    return inner
