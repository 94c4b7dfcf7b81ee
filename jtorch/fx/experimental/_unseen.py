"""What ``make_fx`` is not shown: operators that this engine records by themselves (derivatives without a formula in torch's operators, recurrent layers) become nodes of the graph out of the trace."""

from __future__ import annotations

import re
from typing import Any

from jtorch._core.dispatch.record import apply_multi
from jtorch._core.storage.bare_tensor import new_tensor
from jtorch._engine.recording.call import Call
from jtorch._engine.recording.needed import first_outputs, needed_nodes
from jtorch._engine.recording.trace import SCALAR
from jtorch._engine.values.values import Value

__all__ = ["RecordedOperator", "Unseen"]


class RecordedOperator:
    """An operator as it was recorded, which torch's library has under no name. Called with the tensors and numbers that it reads; gives its result, or a tuple of several."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.__name__ = self.__qualname__ = re.sub(r"\W", "_", call.name)
        self.__module__ = "torch.ops.jtorch"

    def __call__(self, *args: Any) -> Any:
        return apply_multi(self.call, list(args))

    def __repr__(self) -> str:
        return f"jtorch.{self.call.name}"


class Unseen:
    """Writes into a tracer's graph what was recorded without its knowledge. ``known`` and ``know`` look up and say which proxy a value is."""

    def __init__(self, tracer: Any, known: Any, know: Any) -> None:
        self.tracer, self.known, self.know = tracer, known, know
        self.made: dict[tuple[int, int], Any] = {}  # proxies of outputs that nobody holds, by trace and number
        self.traces: list[Any] = []  # alive, so that their numbers stay theirs
        self.nodes: list[Any] = []

    def write(self, tr: Any, wanted: list[int]) -> None:
        """The outputs of a trace with these numbers are nodes of the graph from now on."""
        self.traces.append(tr)
        nodes = list(tr.nodes)
        first = first_outputs(nodes)
        wanted = [p for p in wanted if p < first[-1]]
        missing = set(self._missing(tr, nodes, first, wanted))
        for k in needed_nodes(nodes, wanted):
            if k in missing:
                self._node(tr, nodes[k], first[k])

    def _missing(self, tr: Any, nodes: list[Any], first: list[int], wanted: list[int]) -> list[int]:
        """The nodes on the way from what is known to what is wanted."""
        at = [k for k in range(len(nodes)) for _ in range(first[k], first[k + 1])]
        stack = [p for p in wanted if self._output(tr, p) is None]
        found: set[int] = set()
        while stack:
            k = at[stack.pop()]
            if k not in found:
                found.add(k)
                stack += [p for p in nodes[k][1:] if p >= 0 and self._output(tr, p) is None]
        return sorted(found)

    def _output(self, tr: Any, p: int) -> Any:
        v = tr.outputs[p]
        known = None if v is None else self.known(v)
        return self.made.get((id(tr), p)) if known is None else known

    def _read(self, tr: Any, p: int) -> Any:
        if p >= 0:
            return self._output(tr, p)
        if p <= SCALAR:
            return tr.scalars[SCALAR - p]
        v: Value = tr.inputs[-1 - p]
        known = self.known(v)
        return new_tensor(v) if known is None else known

    def _node(self, tr: Any, node: tuple[Any, ...], first: int) -> None:
        entry = node[0]
        target = RecordedOperator(entry.call)
        proxy = self.tracer.create_proxy("call_function", target, tuple(self._read(tr, p) for p in node[1:]), {}, name=target.__name__)
        self.nodes.append(proxy.node)
        for i in range(len(entry.outs)):
            part = proxy if entry.out is not None else proxy[i]
            if part is not proxy:
                self.nodes.append(part.node)
            v = tr.outputs[first + i]
            if v is None:
                self.made[id(tr), first + i] = part
            else:
                self.know(v, part)

    def before_run(self, tr: Any) -> None:
        """A trace is about to run, and will forget what it was: everything that somebody may hold is written down."""
        if not tr.symbolic:
            self.write(tr, [p for p in range(tr.count) if tr.outputs[p] is not None and self.known(tr.outputs[p]) is None])

    def tidied(self) -> None:
        """Nodes that were written down in case, and that nobody uses, go."""
        graph = self.nodes[0].graph if self.nodes else None
        for node in reversed(self.nodes):
            if not node.users:
                graph.erase_node(node)
        for node in list(graph.nodes) if graph is not None else ():
            if node.op == "get_attr" and not node.users and node.target.startswith("_tensor_constant"):  # what they read
                graph.erase_node(node)
