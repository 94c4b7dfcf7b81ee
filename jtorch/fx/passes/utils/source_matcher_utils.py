"""The nodes that came from one call of the program, by what a tracer noted in their ``meta``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...graph import Graph
from ...node import Node

__all__ = ["get_source_partitions", "check_subgraphs_connected", "SourcePartition"]


@dataclass
class SourcePartition:
    """Nodes of one call, and what goes in and comes out."""

    nodes: list[Node]
    source: Any
    input_nodes: list[Node] = field(default_factory=list)
    output_nodes: list[Node] = field(default_factory=list)
    params: list[Node] = field(default_factory=list)


def get_source_partitions(graph: Graph, wanted_sources: list[Any], filter_fn: Callable[[Node], bool] | None = None) -> dict[Any, list[SourcePartition]]:
    """Functions or module classes to the groups of nodes that their calls made."""
    groups: dict[Any, dict[str, list[Node]]] = {}
    for node in graph.nodes:
        stack = node.meta.get("source_fn_stack") or node.meta.get("torch_fn")
        if not stack:
            continue
        name, source = stack[-1] if isinstance(stack[-1], tuple) else stack
        if source in wanted_sources:
            groups.setdefault(source, {}).setdefault(name, []).append(node)

    def make(nodes: list[Node], source: Any) -> SourcePartition:
        own = set(nodes)
        inputs = dict.fromkeys(a for n in nodes for a in n.all_input_nodes if a not in own and a.op != "get_attr")
        params = dict.fromkeys(n for n in nodes if n.op == "get_attr")
        outputs = [n for n in nodes if any(u not in own for u in n.users)]
        return SourcePartition(nodes, source, list(inputs), outputs, list(params))

    found = {source: [make(nodes, source) for nodes in by_name.values()] for source, by_name in groups.items()}
    if filter_fn is not None:
        found = {s: [p for p in parts if all(map(filter_fn, p.output_nodes))] for s, parts in found.items()}
    return {s: parts for s, parts in found.items() if parts}


def check_subgraphs_connected(subgraph1: SourcePartition, subgraph2: SourcePartition) -> bool:
    """Whether the second takes a value of the first."""
    return any(a in subgraph1.nodes for n in subgraph2.nodes for a in n.all_input_nodes)
