"""Cutting a module by tags on its nodes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from ..graph import Graph
from ..graph_module import GraphModule
from ..node import Node, map_arg
from ..proxy import Proxy
from .utils import HolderModule, lift_subgraph_as_module

__all__ = ["getattr_recursive", "setattr_recursive", "Component", "split_by_tags"]


def getattr_recursive(obj: Any, name: str) -> Any:
    """What is at a path, None if nothing."""
    for part in name.split("."):
        obj = getattr(obj, part, None)
    return obj


def setattr_recursive(obj: Any, attr: str, value: Any) -> None:
    """Put something at a path."""
    *prefix, field_ = attr.split(".")
    for part in prefix:
        obj = getattr(obj, part)
    setattr(obj, field_, value)


@dataclass
class Component:
    """The part of one tag."""

    graph: Graph
    order: int
    name: str
    input_placeholders: list[Node] = field(default_factory=list)
    orig_inputs: list[Node] = field(default_factory=list)
    orig_outputs: list[Node] = field(default_factory=list)
    getattr_maps: dict[Node, Node] = field(default_factory=dict)
    constructor_args: list[str] = field(default_factory=list)
    gm: GraphModule | None = None


def split_by_tags(gm: GraphModule, tags: list[str], return_fqn_mapping: bool = False, return_tuple: bool = False, GraphModuleCls: Any = GraphModule) -> Any:
    """A module of one module for each tag, in the tags' order; every call's node has a ``tag``. AssertionError where an earlier part needs a later one."""
    parts = {tag: Component(Graph(), i, tag) for i, tag in enumerate(tags)}
    part_of: dict[Node, Component] = {}
    copies: dict[Node, Node] = {}
    main = Graph()
    env: dict[Node, Node] = {}
    used: dict[Node, None] = {}
    for node in gm.graph.nodes:
        if node.op == "placeholder":
            env[node] = main.placeholder(node.name, type_expr=node.type)
            env[node].meta = copy.copy(node.meta)
        if node.op in ("placeholder", "get_attr", "output"):
            continue
        assert hasattr(node, "tag"), f"Node does not have tag: {node.format_node()}"
        part = parts[node.tag]
        part_of[node] = part
        latest = max((part_of[x].order for x in node.all_input_nodes if x in part_of), default=0)
        assert part.order >= latest, f"Component {part.name} order must be >= max of its upstream components, order={part.order} and max={latest}"

        def remap(x: Node, part: Component = part) -> Node:
            if x.op == "get_attr":
                if x not in part.getattr_maps:
                    part.getattr_maps[x] = part.graph.get_attr(x.target, type_expr=x.type)
                    part.getattr_maps[x].meta = copy.copy(x.meta)
                return part.getattr_maps[x]
            if part_of.get(x) is part:
                return copies[x]
            if x not in part.orig_inputs:
                part.orig_inputs.append(x)
                made = part.graph.placeholder(x.name, type_expr=x.type)
                made.meta = copy.copy(x.meta)
                part.input_placeholders.append(made)
                used[x] = None
            return part.input_placeholders[part.orig_inputs.index(x)]

        copies[node] = part.graph.node_copy(node, remap)
        copies[node].tag = node.tag  # type: ignore[attr-defined]
    output = gm.graph.output_node()
    attributes = [x for x in output.all_input_nodes if x.op == "get_attr"]
    for x in output.all_input_nodes:
        if x.op == "get_attr":
            env[x] = main.get_attr(x.name, type_expr=x.type)
        else:
            used[x] = None
    for x in used:
        if x.op != "placeholder":
            part_of[x].orig_outputs.append(x)
    mapping: dict[str, str] = {}
    for part in parts.values():
        outs = tuple(copies[n] for n in part.orig_outputs)
        single = len(outs) == 1 and not return_tuple
        part.graph.output(outs[0] if single else outs)
        part.gm, paths = lift_subgraph_as_module(gm, subgraph=part.graph, comp_name=part.name)
        mapping.update({old: new for new, old in paths.items()})
        call = main.call_module(part.name, tuple(env[n] for n in part.orig_inputs))
        for i, old in enumerate(part.orig_outputs):
            env[old] = call if single else Proxy(call)[i].node  # type: ignore[index]
    main.output(map_arg(output.args[0], env.__getitem__))
    root = HolderModule({part.name: part.gm for part in parts.values()})
    main._codegen = gm.graph._codegen
    for x in attributes:
        setattr(root, x.name, getattr_recursive(gm, x.target))
    made = GraphModuleCls(root, main)
    return (made, mapping) if return_fqn_mapping else made
