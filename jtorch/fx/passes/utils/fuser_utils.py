"""Making one call of several nodes."""

from __future__ import annotations

import copy
from collections import deque
from typing import Any

from ...graph import Graph
from ...graph_module import GraphModule
from ...node import Node
from ...proxy import Proxy
from ._lift import lift_subgraph_as_module

__all__ = ["topo_sort", "validate_partition", "fuse_as_graphmodule", "insert_subgm", "erase_nodes", "fuse_by_partitions"]


def topo_sort(nodes: list[Node]) -> list[Node]:
    """Nodes after those that they use."""
    waiting = {n: sum(1 for i in n.all_input_nodes if i in set(nodes)) for n in nodes}
    ready = deque(n for n in nodes if waiting[n] == 0)
    out = []
    while ready:
        node = ready.popleft()
        out.append(node)
        for user in node.users:
            if user in waiting:
                waiting[user] -= 1
                if waiting[user] == 0:
                    ready.append(user)
    assert len(out) == len(nodes), "topological sorted nodes doesn't have same length as input nodes"
    return out


def validate_partition(partition: list[Node]) -> bool:
    """Whether nodes could be one call: none of their users outside leads back to them."""
    inside = set(partition)
    seen: set[Node] = set()
    todo = [user for node in partition for user in node.users if user not in inside]
    while todo:
        node = todo.pop()
        if node in inside:
            return False
        if node not in seen:
            seen.add(node)
            todo += node.users
    return True


def fuse_as_graphmodule(gm: GraphModule, nodes: list[Node], module_name: str, partition_lookup_table: Any = None, *, always_return_tuple: bool = False) -> tuple[GraphModule, tuple[Node, ...], tuple[Node, ...]]:
    """A module of some nodes, sorted; the nodes outside whose values it takes; and those of its own that are used outside."""
    assert validate_partition(nodes), "Invalid partition, found dependency cycles"
    graph = Graph()
    inputs: dict[Node, Node] = {}
    own: dict[Node, Node] = {}
    inside = set(nodes)

    def remap(x: Node) -> Node:
        if x.op == "get_attr":
            if x not in own:
                own[x] = graph.node_copy(x, lambda n: n)
            return own[x]
        if x in inside:
            return own[x]
        if x not in inputs:
            made = graph.placeholder(x.name, type_expr=x.type)
            made.meta = copy.copy(x.meta)
            inputs[x] = made
        return inputs[x]

    for node in nodes:
        own[node] = graph.node_copy(node, remap)
    outputs = {n: own[n] for n in nodes if any(user not in inside for user in n.users)}
    outs = tuple(outputs.values())
    graph.output(outs[0] if len(outs) == 1 and not always_return_tuple else outs)
    graph.lint()
    fused, _ = lift_subgraph_as_module(gm, graph, comp_name="", class_name=module_name)
    return fused, tuple(inputs), tuple(outputs)


def insert_subgm(gm: GraphModule, sub_gm: GraphModule, orig_inputs: tuple[Node, ...], orig_outputs: tuple[Node, ...]) -> GraphModule:
    """Call ``sub_gm`` in the graph, and use its results in the place of the old ones."""
    name = sub_gm.__class__.__name__
    gm.add_submodule(name, sub_gm)
    last = max(orig_outputs) if orig_outputs else next(n for n in reversed(gm.graph.nodes) if n.op != "output")
    with gm.graph.inserting_after(last):
        call = gm.graph.call_module(name, orig_inputs)
        result = sub_gm.graph.output_node().args[0]
        if len(orig_outputs) == 1 and not isinstance(result, tuple):
            orig_outputs[0].replace_all_uses_with(call, propagate_meta=True)
        else:
            gm.graph.inserting_after(call)
            for i, old in enumerate(orig_outputs):
                old.replace_all_uses_with(Proxy(call)[i].node, propagate_meta=True)  # type: ignore[index]
            call.meta["val"] = tuple(n.meta.get("val") for n in orig_outputs)
    return gm


def erase_nodes(gm: GraphModule, nodes: list[Node]) -> None:
    """Take nodes out, last first."""
    for node in reversed(nodes):
        gm.graph.erase_node(node)


def fuse_by_partitions(gm: GraphModule, partitions: list[Any], prefix: str = "fused_", always_return_tuple: bool = False) -> GraphModule:
    """Make one module of each partition."""
    for i, part in enumerate(partitions):
        ordered = topo_sort(sorted(part))
        fused, inputs, outputs = fuse_as_graphmodule(gm, ordered, f"{prefix}{i}", always_return_tuple=always_return_tuple)
        insert_subgm(gm, fused, inputs, outputs)
        erase_nodes(gm, ordered)
    from ..tools_common import legalize_graph

    return legalize_graph(gm)
