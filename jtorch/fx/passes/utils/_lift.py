"""Modules made of parts of graphs."""

from __future__ import annotations

from typing import Any

from jtorch.nn.modules.module import Module

from ...graph import Graph
from ...graph_module import GraphModule

__all__ = ["HolderModule", "lift_subgraph_as_module"]


class HolderModule(Module):
    """A module that has other modules."""

    def __init__(self, d: dict[str, Any]) -> None:
        super().__init__()
        for name, module in d.items():
            self.add_module(name, module)


def lift_subgraph_as_module(gm: GraphModule, subgraph: Graph, comp_name: str = "", class_name: str = "GraphModule") -> tuple[GraphModule, dict[str, str]]:
    """A module of a part of ``gm``'s graph, and where the parts that it names were: new path to path in ``gm``."""
    root = HolderModule({})
    paths: dict[str, str] = {}
    for node in subgraph.nodes:
        if node.op not in ("call_module", "get_attr"):
            continue
        found: Any = gm
        holder: Module = root
        *prefix, field = node.target.split(".")
        for part in prefix:
            found = getattr(found, part)
            if not hasattr(holder, part):
                holder.add_module(part, HolderModule({}))
            holder = getattr(holder, part)
        value = getattr(found, field)
        if not hasattr(holder, field):
            setattr(holder, field, value)
        paths[f"{comp_name}.{node.target}" if comp_name else node.target] = node.target
    return GraphModule(root, subgraph, class_name), paths
