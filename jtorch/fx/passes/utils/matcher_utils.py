"""Where a graph contains another one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor

from ...graph import Graph
from ...graph_module import _get_attr
from ...node import Node
from .fuser_utils import validate_partition

__all__ = ["SubgraphMatcher", "InternalMatch"]


@dataclass
class InternalMatch:
    """One place: the pattern's nodes with the graph's, and which of these are inputs and results."""

    anchors: list[Node]
    nodes_map: dict[Node, Any] = field(default_factory=dict)
    placeholder_nodes: list[Any] = field(default_factory=list)
    returning_nodes: list[Node] = field(default_factory=list)
    name_node_map: dict[str, Node] = field(default_factory=dict)

    def __copy__(self) -> InternalMatch:
        return InternalMatch(self.anchors, self.nodes_map.copy(), self.placeholder_nodes.copy(), self.returning_nodes.copy())


_ENDS = ("placeholder", "output")


class SubgraphMatcher:
    """Finds a pattern. It is matched from its results backwards; inner values may not be used outside a place.

    ValueError for a pattern without nodes; AssertionError for one with dead code.
    """

    def __init__(self, pattern: Graph, match_output: bool = False, match_placeholder: bool = False, remove_overlapping_matches: bool = True, ignore_literals: bool = False) -> None:
        self.pattern, self.match_output, self.match_placeholder = pattern, match_output, match_placeholder
        self.remove_overlapping_matches, self.ignore_literals = remove_overlapping_matches, ignore_literals
        if len(pattern.nodes) == 0:
            raise ValueError("SubgraphMatcher cannot be initialized with an empty pattern")
        for node in pattern.nodes:
            if node.op != "output" and not node.is_impure():
                assert node.users, "SubgraphMatcher cannot be initialized with an pattern with dead code"
        self.pattern_placeholder_nodes = [n for n in pattern.nodes if n.op == "placeholder"]
        output = pattern.output_node()
        self.pattern_returning_nodes = output.all_input_nodes
        self.pattern_anchors = [output] if match_output else [n for n in output.all_input_nodes if len(n.users) == 1]

    def _same_attribute(self, pn: Node, gn: Node) -> bool:
        mine, theirs = _get_attr(pn.graph.owning_module, pn.target), _get_attr(gn.graph.owning_module, gn.target)
        if type(mine) is not type(theirs):
            return False
        if isinstance(mine, Tensor):
            return True
        raise RuntimeError(f"Unsupported type {mine} when matching attributes")

    def _nodes_are_equal(self, pn: Node, gn: Node, node_name_match: str = "") -> bool:
        if not self.match_placeholder and pn.op == "placeholder":
            return True
        if node_name_match and node_name_match in gn.name:
            return True
        if pn.op != gn.op:
            return False
        if pn.op in _ENDS:
            return True
        return self._same_attribute(pn, gn) if pn.op == "get_attr" else pn.target == gn.target

    def _is_contained(self, nodes_map: dict[Node, Any]) -> bool:
        inside = {gn: pn for pn, gn in nodes_map.items() if pn.op != "placeholder"}
        return all(user in inside for gn, pn in inside.items() if pn not in self.pattern_returning_nodes for user in gn.users)

    def _remove_overlapping_matches(self, matches: list[InternalMatch]) -> list[InternalMatch]:
        kept, taken = [], set()
        for match in matches:
            own = {gn for pn, gn in match.nodes_map.items() if pn.op not in _ENDS}
            if not own & taken:
                kept.append(match)
                taken |= own
        return kept

    def _match_literals(self, pn: Any, gn: Any, match: InternalMatch) -> bool:
        if isinstance(pn, Node):
            if pn.op != "placeholder":
                return False
            if pn in match.nodes_map:
                return bool(match.nodes_map[pn] == gn)
            match.nodes_map[pn] = gn
            return True
        return not isinstance(gn, Node) and type(gn) is type(pn) and bool(gn == pn)

    def _match_args(self, a: Any, b: Any, match: InternalMatch) -> bool:
        if len(a) != len(b):
            return False
        for x, y in zip(a, b, strict=True):
            if isinstance(x, Node) and isinstance(y, Node):
                same = self._match_nodes(x, y, match)
            elif isinstance(x, (list, tuple)) and isinstance(y, (list, tuple)):
                same = self._match_args(x, y, match)
            else:
                same = self._match_literals(x, y, match) or self.ignore_literals
            if not same:
                return False
        return True

    def _match_nodes(self, pn: Node, gn: Node, match: InternalMatch, node_name_match: str = "") -> bool:
        assert isinstance(pn, Node) and isinstance(gn, Node), f"pn and gn must be Node, pn: {pn}, gn: {gn}"
        if pn in match.nodes_map:
            return match.nodes_map[pn] is gn
        if any(gn is value for value in match.nodes_map.values()) or not self._nodes_are_equal(pn, gn, node_name_match):
            return False
        match.nodes_map[pn] = gn
        if pn.op == "placeholder":
            return True
        mine, theirs = _in_full(pn), _in_full(gn)
        if len(pn.args) == len(gn.args) and list(pn.kwargs) == list(gn.kwargs):
            mine, theirs = [*pn.args, *pn.kwargs.values()], [*gn.args, *gn.kwargs.values()]
        return mine is not None and theirs is not None and self._match_args(mine, theirs, match)

    def match(self, graph: Graph, node_name_match: str = "") -> list[InternalMatch]:
        """All places in ``graph``, in order."""
        candidates = []
        for anchor in self.pattern_anchors:
            nodes = [n for n in graph.nodes if self._nodes_are_equal(anchor, n, node_name_match)]
            if nodes:
                candidates.append((anchor, nodes))
        found: list[InternalMatch] = []

        def search(at: int, match: InternalMatch) -> None:
            if at == len(candidates):
                match.placeholder_nodes = [match.nodes_map[pn] for pn in self.pattern_placeholder_nodes]
                match.returning_nodes = [match.nodes_map[pn] for pn in self.pattern_returning_nodes]
                found.append(match)
                return
            anchor, nodes = candidates[at]
            for node in nodes:
                attempt = match.__copy__()
                if self._match_nodes(anchor, node, attempt, node_name_match):
                    search(at + 1, attempt)

        if candidates:
            search(0, InternalMatch(anchors=self.pattern_anchors))
        found = [m for m in found if self._is_contained(m.nodes_map)]
        found = [m for m in found if validate_partition([gn for pn, gn in m.nodes_map.items() if pn.op not in _ENDS])]
        return self._remove_overlapping_matches(found) if self.remove_overlapping_matches else found


def _in_full(node: Node) -> list[Any] | None:
    """An operator's arguments in the order of its schema, defaults filled in."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return None
    out = []
    for i, argument in enumerate(schema.arguments):
        if argument.name in node.kwargs:
            out.append(node.kwargs[argument.name])
        elif not argument.kwarg_only and i < len(node.args):
            out.append(node.args[i])
        else:
            out.append(argument.default_value)
    return out
