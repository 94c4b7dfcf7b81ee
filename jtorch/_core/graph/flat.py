"""Nodes for what hangs on its inputs by torch's rules and yet does not change with them: they are sent zeros, where no node would leave them without a gradient."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jtorch._core.graph.node import Node, next_seq, node_repr
from jtorch._core.graph.refused import NOT_DIFFERENTIABLE
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._engine.values.values import value_of

__all__ = ["hang_flat"]


class _Flat(Node):
    """What comes here goes on along the first edges as it is; zeros go along those that follow, one for each of ``zeros``."""

    __slots__ = ("aval", "zeros")
    aval: Any
    zeros: tuple[Any, ...]  # the avals of the inputs
    error = ""

    @property
    def outs(self) -> Any:
        return [self.aval]

    def check(self) -> None: ...

    def release(self) -> None: ...

    def run(self, run: Any, buffer: dict[int, Any]) -> list[Any]:
        if self.error:
            raise RuntimeError(self.error)
        made = [value_of(np.zeros(a.shape, a.dtype.np), a.device, a.dtype) for a in self.zeros]
        first = [buffer.get(0)] if len(self.edges) > 2 * len(made) else []
        return [*first, *[new_tensor(v) if run.create else v for v in made]]


@functools.cache
def _class_said(said: str) -> Any:
    error = said if " " in said else ""
    attributes: dict[str, Any] = {"__slots__": (), "__module__": "torch.autograd.graph", "__repr__": node_repr, "error": error}
    if error:
        attributes["name"] = lambda self: NOT_DIFFERENTIABLE
    return type("NotImplemented" if error else said, (_Flat,), attributes)


def hang_flat(t: Tensor, said: str, edges: Sequence[Any], avals: Sequence[Any]) -> None:
    """Let ``t`` hang on ``edges`` too (node and output number in turn; ``avals`` are what zeros go there), by a node of that name; ``said`` with blanks: going back is that error."""
    link = _class_said(said)()
    link.seq, link.hooks, link.extra, link.aval, link.zeros = next_seq(), None, None, aval_of(t), tuple(avals)
    link.edges = (() if t._edge is None else (edge_of(t), t._nr)) + tuple(edges)
    t._edge, t._nr = link, 0
