"""The largest parts of a graph that somebody can take over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...graph_module import GraphModule
from ...node import Node
from ..operator_support import OperatorSupportBase
from ..utils.fuser_utils import fuse_by_partitions, validate_partition

__all__ = ["Partition", "CapabilityBasedPartitioner"]


class Partition:
    """Nodes that go together."""

    def __init__(self, id: int | None = None, nodes: Iterable[Node] | None = None, node_orders: Iterable[int] | None = None) -> None:
        self.id = id
        self.nodes: dict[Node, int | None] = {} if nodes is None else dict(zip(nodes, node_orders, strict=True)) if node_orders else dict.fromkeys(nodes)

    def __repr__(self) -> str:
        return str(self.nodes)

    def add_node(self, node: Node, node_order: int | None = None) -> None:
        """Take a node in."""
        self.nodes[node] = node_order

    def remove_node(self, node: Node) -> None:
        """Let a node go."""
        del self.nodes[node]

    def size(self) -> int:
        """How many."""
        return len(self.nodes)


class CapabilityBasedPartitioner:
    """Cuts a graph by what ``operator_support`` can do."""

    def __init__(
        self, graph_module: GraphModule, operator_support: OperatorSupportBase, allows_single_node_partition: bool = False,
        non_compute_ops: Any = None, allowed_single_node_partition_ops: Any = None, skip_horizontal_fusion: bool = False,
    ) -> None:  # fmt: skip
        self.graph_module, self.operator_support = graph_module, operator_support
        self.allows_single_node_partition = allows_single_node_partition
        self.non_compute_ops = non_compute_ops or []
        self.allowed_single_node_partition_ops = allowed_single_node_partition_ops or []

    def _is_node_supported(self, node: Node) -> bool:
        return self.operator_support.is_node_supported(self._modules(), node)

    def _modules(self) -> Mapping[str, Any]:
        return dict(self.graph_module.named_modules())

    def propose_partitions(self) -> list[Partition]:
        """The parts: nodes are joined as long as no value would lead out of a part and back into it."""
        parts: list[dict[Node, None]] = []
        for node in reversed(self.graph_module.graph.nodes):
            if node.op not in ("call_module", "call_function", "call_method") and node.op != "get_attr" or not self._is_node_supported(node):
                continue
            joined: dict[Node, None] = {node: None}
            for other in list(parts):
                merged = {**joined, **other}
                if validate_partition(list(merged)):
                    parts.remove(other)
                    joined = merged
            parts.append(joined)
        if not self.allows_single_node_partition:
            plain = {"torch.ops.aten.view", "_operator.getitem", *self.non_compute_ops}
            counted = lambda p: [n for n in p if n.op == "call_function" and _path(n.target) not in plain or n.op in ("call_module", "call_method")]
            parts = [p for p in parts if len(counted(p)) > 1 or any(_path(n.target) in self.allowed_single_node_partition_ops for n in counted(p))]
        order = {n: i for i, n in enumerate(self.graph_module.graph.nodes)}
        return [Partition(i, sorted(p), sorted(order[n] for n in p)) for i, p in enumerate(p for p in parts if p)]

    def fuse_partitions(self, partitions: list[Partition], prefix: str = "fused_") -> GraphModule:
        """Make a module of each part."""
        return fuse_by_partitions(self.graph_module, [list(p.nodes) for p in partitions], prefix)

    def partition_and_fuse(self, prefix: str = "fused_") -> GraphModule:
        """Both."""
        return self.fuse_partitions(self.propose_partitions(), prefix)


def _path(target: Any) -> str:
    return target if isinstance(target, str) else f"{getattr(target, '__module__', '')}.{getattr(target, '__name__', '')}"
