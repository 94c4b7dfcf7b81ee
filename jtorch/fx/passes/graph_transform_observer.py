"""Watching what a pass makes and erases."""

from __future__ import annotations

from typing import Any

from ..graph_module import GraphModule
from ..node import Node
from ..traceback import NodeSource, NodeSourceAction

__all__ = ["GraphTransformObserver"]


class GraphTransformObserver:
    """Inside, new nodes note the pass and the nodes that they replace, in ``meta["from_node"]``."""

    def __init__(self, gm: GraphModule, passname: str, subsystem: str | None = None, log_url: str | None = None) -> None:
        self.gm, self.passname, self.subsystem = gm, passname, subsystem
        self.erased_nodes: set[str] = set()
        self.created_nodes: set[str] = set()
        self.name_to_node: dict[str, Node] = {}

    def __enter__(self) -> GraphTransformObserver:
        self.gm._register_create_node_hook(self.on_node_creation)
        self.gm._register_erase_node_hook(self.on_node_erase)
        self.gm._register_replace_node_hook(self.on_node_replace)
        self.name_to_node = {n.name: n for n in self.gm.graph.nodes}
        return self

    def __exit__(self, *_: object) -> None:
        self.gm._unregister_create_node_hook(self.on_node_creation)
        self.gm._unregister_erase_node_hook(self.on_node_erase)
        self.gm._unregister_replace_node_hook(self.on_node_replace)

    def apply_gm_pass(self, pass_fn: Any) -> Any:
        """Run a pass of a module, watched."""
        with self:
            return pass_fn(self.gm)

    def apply_graph_pass(self, pass_fn: Any) -> Any:
        """Run a pass of a graph, watched."""
        with self:
            return pass_fn(self.gm.graph)

    def on_node_creation(self, node: Node) -> None:
        self.created_nodes.add(node.name)
        self.name_to_node[node.name] = node
        node.meta["from_node"] = [NodeSource(None, self.passname, NodeSourceAction.CREATE)]

    def on_node_erase(self, node: Node) -> None:
        self.erased_nodes.add(node.name)
        self.name_to_node.pop(node.name, None)

    def on_node_replace(self, old: Node, new: str, user: Node) -> None:
        made = self.name_to_node.get(new)
        if made is None:
            return
        made.meta.setdefault("from_node", [])
        actions = [NodeSourceAction.REPLACE, *([NodeSourceAction.CREATE] if made.name in self.created_nodes else [])]
        if not any(s.name == old.name and s.pass_name == self.passname for s in made.meta["from_node"]):
            made.meta["from_node"] = [NodeSource(old, self.passname, actions)]
