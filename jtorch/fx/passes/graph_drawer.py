"""Graphs as pictures, by the package ``pydot``."""

from __future__ import annotations

import hashlib
from typing import Any

from ..graph_module import GraphModule
from ..node import Node
from .shape_prop import TensorMetadata

__all__ = ["FxGraphDrawer"]

_COLORS = {"placeholder": '"AliceBlue"', "call_module": "LemonChiffon1", "get_param": "Yellow2", "get_attr": "LightGrey", "output": "PowderBlue"}
_BY_HASH = ("CadetBlue1", "Coral", "DarkOliveGreen1", "DarkSeaGreen1", "GhostWhite", "Khaki1", "LavenderBlush1", "LightSkyBlue", "MistyRose1", "MistyRose2", "PaleTurquoise2", "PeachPuff1", "Salmon", "Thistle1", "Thistle3", "Wheat1")


class FxGraphDrawer:
    """A picture of a graph: ``get_dot_graph()`` is a ``pydot.Dot``. RuntimeError without pydot."""

    def __init__(
        self, graph_module: GraphModule, name: str, ignore_getattr: bool = False, ignore_parameters_and_buffers: bool = False, skip_node_names_in_args: bool = True,
        parse_stack_trace: bool = False, dot_graph_shape: str | None = None, normalize_args: bool = False,
    ) -> None:  # fmt: skip
        try:
            import pydot
        except ImportError:
            raise RuntimeError("FXGraphDrawer requires the pydot package to be installed. Please install pydot through your favorite Python package manager.") from None
        self._name, self.shape = name, dot_graph_shape or "record"
        dot = pydot.Dot(name, rankdir="TB")
        for node in graph_module.graph.nodes:
            if ignore_getattr and node.op == "get_attr":
                continue
            color = _COLORS.get(node.op) or _BY_HASH[int(hashlib.md5(node._pretty_print_target(node.target).encode()).hexdigest()[0], 16) % len(_BY_HASH)]
            dot.add_node(pydot.Node(node.name, label=self._label(graph_module, node, skip_node_names_in_args), shape=self.shape, style='"filled,rounded"', fillcolor=color, fontcolor="#000000"))
        for node in graph_module.graph.nodes:
            for user in node.users if not (ignore_getattr and node.op == "get_attr") else ():
                dot.add_edge(pydot.Edge(node.name, user.name))
        self._dot_graphs = {name: dot}

    def get_dot_graph(self, submod_name: str | None = None) -> Any:
        """The picture."""
        return self._dot_graphs[self._name if submod_name is None else f"{self._name}_{submod_name}"]

    get_main_dot_graph = get_dot_graph

    def get_all_dot_graphs(self) -> dict[str, Any]:
        """All pictures by name."""
        return self._dot_graphs

    def _label(self, gm: GraphModule, node: Node, skip_names: bool) -> str:
        text = "{" + f"name=%{node.name}|op_code={node.op}\n"
        if node.op == "call_module":
            module = gm.get_submodule(node.target)
            text += rf"|{module.__class__.__name__}\n|"
            text += rf"|target={node._pretty_print_target(node.target)}\n" if node.op == "get_attr" else ""
            text += "".join(rf"|{c}: {getattr(module, c)}\n" for c in getattr(module, "__constants__", ()) if hasattr(module, c))
        else:
            text += rf"|target={node._pretty_print_target(node.target)}\n"
            if node.args:
                text += r"|args=(" + ",\n".join("*" if isinstance(a, Node) and skip_names else str(a) for a in node.args) + r")\n"
            text += f"|num_users={len(node.users)}\\n"
        meta = node.meta.get("tensor_meta")
        if isinstance(meta, TensorMetadata):
            text += rf"|dtype={meta.dtype}|shape={tuple(meta.shape)}|requires_grad={meta.requires_grad}|stride={meta.stride}\n"
        return text.replace("{", r"\{").replace("}", r"\}").replace("<", r"\<").replace(">", r"\>").replace(r"\{", "{", 1) + "}"
