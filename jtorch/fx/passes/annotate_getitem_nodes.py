"""Types for the parts of typed tuples and lists."""

from __future__ import annotations

import operator
import typing

from ..graph import Graph

__all__ = ["annotate_getitem_nodes"]


def annotate_getitem_nodes(graph: Graph) -> None:
    """Give ``x[i]`` the type that ``x``'s annotation says of its elements."""
    for node in graph.nodes:
        if node.target is not operator.getitem or node.type is not None:
            continue
        kind = node.args[0].type
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        if origin is tuple and args:
            node.type = args[0] if len(args) == 2 and args[1] is ... else args[node.args[1]] if node.args[1] < len(args) else None
        elif origin in (list, dict) and args:
            node.type = args[-1]
        elif isinstance(kind, type) and hasattr(kind, "_fields"):
            node.type = list(kind.__annotations__.values())[node.args[1]]
