"""Tracing ``assert`` as ``torch._assert``: the source is rewritten first."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from types import FunctionType
from typing import Any, cast

from jtorch._public import torch
from jtorch.nn.modules.module import Module

from .._symbolic_trace import Tracer
from ..graph import Graph

__all__ = ["AST_Rewriter", "RewritingTracer"]


class AST_Rewriter(ast.NodeTransformer):
    """Rewrites functions."""

    def rewrite(self, fn: FunctionType) -> FunctionType:
        """``fn`` with asserts as calls, which tracing sees."""
        tree = ast.parse(textwrap.dedent("\n" + inspect.getsource(fn)))
        code = compile(ast.fix_missing_locations(self.visit(tree)), "", "exec")
        space = {**fn.__globals__, "torch": torch}
        before = set(space)
        exec(code, space)
        name = next(n for n in space if n not in before or n == fn.__name__ and space[n] is not fn.__globals__.get(n))
        made = cast(FunctionType, space[name])
        return functools.wraps(fn)(FunctionType(made.__code__, space, fn.__name__, fn.__defaults__, fn.__closure__ if made.__code__.co_freevars else None))  # type: ignore[return-value]

    def visit_Assert(self, node: ast.Assert) -> Any:
        message = node.msg if node.msg else ast.Constant(value="")
        call = ast.parse("torch._assert()", mode="eval").body
        call.args = [node.test, message]  # type: ignore[attr-defined]
        return ast.copy_location(ast.Expr(value=call), node)


class RewritingTracer(Tracer):
    """Traces modules whose ``forward`` was rewritten."""

    def trace(self, root: Any, concrete_args: Any = None) -> Graph:
        return super().trace(_rewrite(root), concrete_args)


def _rewrite(fn: Any) -> Any:
    if not isinstance(fn, Module):
        return AST_Rewriter().rewrite(fn)

    class RewrittenModule(Module):
        def __init__(self, orig: Any) -> None:
            super().__init__()
            for k, v in orig.__dict__.items():
                self.__dict__[k] = v

    RewrittenModule.forward = AST_Rewriter().rewrite(cast(FunctionType, fn.__class__.forward))  # type: ignore[assignment]
    return RewrittenModule(fn)
