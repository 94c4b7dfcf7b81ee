"""Replacing every place where a graph does what a pattern does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from jtorch.nn.modules.module import Module

from ._compatibility import compatibility
from ._symbolic_trace import symbolic_trace
from .graph import Graph
from .graph_module import GraphModule
from .node import Node

__all__ = ["Match", "replace_pattern", "replace_pattern_with_filters", "ReplacedPatterns"]


class Match(NamedTuple):
    """A place that was replaced: its last node, and the pattern's nodes with those that they were."""

    anchor: Node
    nodes_map: dict[Node, Node]


@dataclass
class ReplacedPatterns:
    """As :class:`Match`, with the nodes that came instead."""

    anchor: Node
    nodes_map: dict[Node, Node]
    replacements: list[Node]


def _graph_of(what: Any) -> Graph:
    if isinstance(what, GraphModule):
        return what.graph
    return what if isinstance(what, Graph) else symbolic_trace(what).graph


def _find(module: Any, path: str) -> Any:
    where, _, name = path.rpartition(".")
    try:
        return getattr(module.get_submodule(where), name, None)
    except AttributeError:
        return None


def _replace_attributes(gm: GraphModule, replacement: Module) -> None:
    """Give the module what the replacement's nodes name."""
    gm.delete_all_unused_submodules()
    if isinstance(replacement, GraphModule):
        replacement.graph.lint()
    for node in gm.graph.nodes:
        if node.op not in ("call_module", "get_attr") or _find(gm, node.target) is not None:
            continue
        theirs = _find(replacement, node.target)
        if theirs is None:
            raise RuntimeError(
                'Attempted to create a "', node.op, f'" node during subgraph rewriting with target {node.target}, but the referenced attribute does not '
                "exist in the replacement GraphModule",
            )  # fmt: skip
        twin = copy.deepcopy(theirs)
        if isinstance(theirs, Module):
            gm.add_submodule(node.target, twin)
        else:
            setattr(gm, node.target, twin)
    gm.graph.lint()


@compatibility(is_backward_compatible=True)
def replace_pattern(gm: GraphModule, pattern: Any, replacement: Any) -> list[Match]:
    """Replace every part of the graph that does what ``pattern`` does by what ``replacement`` does; both are functions or modules of the same inputs.

    Places that overlap an earlier one, or whose inner values are used outside, stay.
    """
    return [Match(m.anchor, m.nodes_map) for m in _replace_pattern(gm, pattern, replacement)]


def replace_pattern_with_filters(
    gm: GraphModule, pattern: Any, replacement: Any = None, match_filters: list[Callable[[Any, Graph, Graph], bool]] | None = None,
    ignore_literals: bool = False, replacement_callback: Callable[[Any, Graph, Graph], Graph] | None = None, node_name_match: str = "",
) -> list[ReplacedPatterns]:  # fmt: skip
    """As :func:`replace_pattern`, where all filters agree; ``replacement_callback`` makes a replacement for each place."""
    return _replace_pattern(gm, pattern, replacement, match_filters, ignore_literals, replacement_callback, node_name_match)


def _replace_pattern(
    gm: GraphModule, pattern: Any, replacement: Any = None, match_filters: Any = None, ignore_literals: bool = False, replacement_callback: Any = None,
    node_name_match: str = "",
) -> list[ReplacedPatterns]:  # fmt: skip
    from .passes.utils.matcher_utils import SubgraphMatcher

    graph, wanted = gm.graph, _graph_of(pattern)
    matcher = SubgraphMatcher(wanted, match_output=False, match_placeholder=False, remove_overlapping_matches=True, ignore_literals=ignore_literals)
    found = [m for m in matcher.match(graph, node_name_match=node_name_match) if all(f(m, graph, wanted) for f in match_filters or ())]
    if replacement is None and replacement_callback is None:
        raise AssertionError("Must provide either a replacement GraphModule or a replacement callback")
    common = None if replacement is None else _graph_of(replacement)
    changed: dict[Node, Node] = {}
    done = []
    for match in found:
        new = replacement_callback(match, graph, wanted) if replacement_callback is not None else common
        copies = _insert(graph, match, new, changed)  # type: ignore[arg-type]
        for old, made in zip(match.returning_nodes, copies.results, strict=True):
            old.replace_all_uses_with(made)
            changed[old] = made
        for node in reversed(wanted.nodes):
            if node.op not in ("placeholder", "output"):
                graph.erase_node(match.nodes_map[node])
        done.append(ReplacedPatterns(match.anchors[0], match.nodes_map, copies.nodes))
    gm.recompile()
    if isinstance(replacement, Module):
        _replace_attributes(gm, replacement)
    return done


class _Copies(NamedTuple):
    results: tuple[Node, ...]
    nodes: list[Node]


def _insert(graph: Graph, match: Any, new: Graph, changed: dict[Node, Node]) -> _Copies:
    """Copy a replacement in front of the first node that needs its results."""
    inputs = [n for n in new.nodes if n.op == "placeholder"]
    assert len(match.placeholder_nodes) == len(inputs), f"Placeholder count mismatch: {len(match.placeholder_nodes)} vs {len(inputs)}"
    values: dict[Node, Any] = {}
    for i, (mine, theirs) in enumerate(zip(inputs, list(match.placeholder_nodes), strict=True)):
        values[mine] = theirs
        if isinstance(theirs, Node) and theirs in changed:  # an earlier replacement made this input
            values[mine] = match.placeholder_nodes[i] = changed[theirs]
            for key, value in match.nodes_map.items():
                if value is theirs:
                    match.nodes_map[key] = changed[theirs]
    users = {user for node in match.returning_nodes for user in node.users}
    point = next((n for n in graph.nodes if n in users), None)
    if point is None:
        last = max(match.returning_nodes)
        point = next((n for n in graph.nodes if n > last), None)
    assert point is not None, "The insert point can't be None"
    with graph.inserting_before(point):
        results = graph.graph_copy(new, values)
    if isinstance(results, Node):
        results = (results,)
    assert len(match.returning_nodes) == len(results), f"Returning nodes count mismatch: {len(match.returning_nodes)} vs {len(results)}"
    given = match.placeholder_nodes
    return _Copies(tuple(results), [n for n in values.values() if not any(n is g for g in given)])
