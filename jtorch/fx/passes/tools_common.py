"""What several passes need."""

from __future__ import annotations

import collections
import heapq
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor

from .._naming import as_torch
from ..graph import Graph
from ..graph_module import GraphModule
from ..node import Node, _get_qualified_name

__all__ = ["get_acc_ops_name", "get_node_target", "is_node_output_tensor", "FxNetAccFusionsFinder", "legalize_graph", "stable_topological_sort"]

NodeList = list[Node]
NodeSet = set[Node]
Names = list[str]
CALLABLE_NODE_OPS = {"call_module", "call_function", "call_method"}


def get_acc_ops_name(k: Any) -> str:
    """A callee's name with its module."""
    if isinstance(k, str):
        return k
    if k.__module__ and "acc_ops" in k.__module__:
        return f"acc_ops.{k.__name__}"
    return f"{as_torch(k.__module__).replace('torch._ops', 'torch.ops') if k.__module__ else ''}.{k.__name__}"


def get_node_target(submodules: Mapping[str, Any], node: Node) -> str:
    """What a call calls, as text. AssertionError for other nodes."""
    assert node.op in CALLABLE_NODE_OPS, "Expect op types of " + ", ".join(CALLABLE_NODE_OPS) + f", but found {node.op}"
    if node.op == "call_module":
        module = submodules[node.target]
        return get_acc_ops_name(getattr(module, "_base_class_origin", type(module)))
    if node.op == "call_method":
        return node.target  # type: ignore[no-any-return]
    own = getattr(node.target, "__module__", None)
    return f"acc_ops.{node.target.__name__}" if own is not None and "acc_ops" in own else _get_qualified_name(node.target)


def is_node_output_tensor(node: Node) -> bool:
    """Whether a node gives a tensor, by what ShapeProp noted."""
    kind = node.meta.get("type", None)
    return kind is not None and issubclass(kind, Tensor)


class FxNetAccFusionsFinder:
    """Groups of nodes that pass values other than tensors to each other, and so must stay together."""

    @dataclass
    class FusionGroup:
        """A group while it grows."""

        top_node_idx: int
        nodes: NodeSet
        inputs: NodeSet
        nodes_need_process: NodeSet

        def add_node(self, node: Node) -> None:
            """Take a node in."""
            if node not in self.nodes:
                self.nodes_need_process.add(node)
                self.nodes.add(node)
                self.inputs.discard(node)
                self.inputs.update(n for n in node.all_input_nodes if n.op in CALLABLE_NODE_OPS and n not in self.nodes)

    def __init__(self, module: GraphModule, acc_nodes: NodeSet) -> None:
        self.module, self.acc_nodes = module, acc_nodes
        self.nodes = list(module.graph.nodes)
        self.node_index = {node: i for i, node in enumerate(self.nodes)}

    def recursive_add_node(self, fusion_group: FusionGroup, inputs: Any, visited: NodeSet | None = None) -> bool:
        """Take in what lies between the group and these nodes. True if the group was reached."""
        for arg in inputs:
            if visited is not None:
                if arg in visited:
                    continue
                visited.add(arg)
            if arg.op not in CALLABLE_NODE_OPS or self.node_index[arg] < fusion_group.top_node_idx:
                continue
            if arg in fusion_group.nodes:
                return True
            if self.recursive_add_node(fusion_group, arg.all_input_nodes, visited):
                fusion_group.add_node(arg)
                return True
        return False

    def __call__(self) -> dict[Node, NodeSet]:
        result: dict[Node, NodeSet] = {}
        for node in list(self.acc_nodes):
            if node in result or node.op not in CALLABLE_NODE_OPS or "tensor_meta" in node.meta or node not in self.acc_nodes:
                continue
            group = self.FusionGroup(self.node_index[node], {node}, set(node.all_input_nodes), {node})
            while group.nodes_need_process:
                current = group.nodes_need_process.pop()
                self.recursive_add_node(group, group.inputs, set())
                if "tensor_meta" not in current.meta:
                    for user in current.users:
                        if user.op in CALLABLE_NODE_OPS and user not in group.nodes:
                            group.add_node(user)
                            self.recursive_add_node(group, group.inputs, set())
                for arg in current.all_input_nodes:
                    if arg.op in CALLABLE_NODE_OPS and "tensor_meta" not in arg.meta and arg not in group.nodes:
                        group.add_node(arg)
                        group.top_node_idx = min(group.top_node_idx, self.node_index[arg])
                        self.recursive_add_node(group, group.inputs, set())
            if group.nodes <= self.acc_nodes:
                result.update(dict.fromkeys(group.nodes, group.nodes))
            else:
                self.acc_nodes -= group.nodes
        return result


_FIRST = (
    operator.add, operator.mul, operator.sub, operator.floordiv, operator.truediv, operator.mod, operator.le, operator.lt, operator.ge, operator.gt,
    operator.eq, operator.ne,
)  # fmt: skip


def _missing(gm: GraphModule) -> dict[Node, int]:
    return {node: len(node.all_input_nodes) for node in gm.graph.nodes}


def _finish(gm: GraphModule, new: Graph, missing: dict[Node, int]) -> GraphModule:
    if len(new.nodes) < len(gm.graph.nodes):
        raise RuntimeError(f"Input graph has cycles, unable to add {[node for node in missing if missing[node] != 0]}")
    new._codegen = gm.graph._codegen
    gm.graph = new
    return gm


def legalize_graph(gm: GraphModule) -> GraphModule:
    """Nodes after those that they use; arithmetic of sizes as early as it can be. RuntimeError for a circle."""
    missing, new = _missing(gm), Graph()
    queue = collections.deque(n for n in gm.graph.nodes if missing[n] == 0)
    env: dict[Node, Node] = {}
    while queue:
        node = queue.popleft()
        env[node] = new.node_copy(node, env.__getitem__)
        for user in node.users:
            missing[user] -= 1
            if missing[user] == 0:
                (queue.appendleft if user.op == "call_function" and user.target in _FIRST else queue.append)(user)
    return _finish(gm, new, missing)


def stable_topological_sort(gm: GraphModule) -> GraphModule:
    """Nodes after those that they use, and otherwise in the order that they had. RuntimeError for a circle."""
    missing, new = _missing(gm), Graph()
    order = {node: i for i, node in enumerate(gm.graph.nodes)}
    queue = [(i, n) for n, i in order.items() if missing[n] == 0]
    heapq.heapify(queue)
    env: dict[Node, Node] = {}
    while queue:
        _, node = heapq.heappop(queue)
        env[node] = new.node_copy(node, env.__getitem__)
        for user in node.users:
            missing[user] -= 1
            if missing[user] == 0:
                heapq.heappush(queue, (order[user], user))
    return _finish(gm, new, missing)
