"""What nodes that are made now are to remember: where they come from, and what the program says about them."""

from __future__ import annotations

import copy
import functools
import traceback as _tb
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

__all__ = [
    "annotate", "annotate_fn", "preserve_node_meta", "has_preserved_node_meta", "set_stack_trace", "set_grad_fn_seq_nr", "reset_grad_fn_seq_nr", "format_stack",
    "set_current_meta", "get_current_meta", "NodeSource", "NodeSourceAction", "get_graph_provenance_json", "set_current_replay_node", "get_current_replay_node",
]  # fmt: skip

GRADIENT_ACC_SPECIAL_STACK = "Gradient addition node due to multiple use of tensor around:"
current_meta: dict[str, Any] = {}
should_preserve_node_meta = False
current_replay_node: Any = None


class NodeSourceAction(Enum):
    """What a pass did to make a node of another."""

    CREATE = "create"
    REPLACE = "replace"


class NodeSource:
    """Which node, by which pass, and how, another node was made from."""

    def __init__(self, node: Any, pass_name: str = "", action: Any = None) -> None:
        self.pass_name = pass_name
        self.action = [] if action is None else list(action) if isinstance(action, (list, tuple)) else [action]
        self.node_info = None if node is None else (node.name, str(node.target), id(node.graph))
        self.from_node: list[NodeSource] = copy.deepcopy(node.meta.get("from_node", [])) if node is not None else []

    @property
    def name(self) -> str:
        return self.node_info[0] if self.node_info else ""

    @property
    def target(self) -> str:
        return self.node_info[1] if self.node_info else ""

    @property
    def graph_id(self) -> int:
        return self.node_info[2] if self.node_info else -1

    def _get_action_string(self) -> str:
        return "+".join(a.name.lower() for a in self.action)

    def print_readable(self, indent: int = 0) -> str:
        text = " " * indent + f"(name={self.name}, pass_name={self.pass_name}, action={self._get_action_string()}, graph_id={self.graph_id})\n"
        return text + "".join(each.print_readable(indent + 4) for each in self.from_node)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "target": self.target, "graph_id": self.graph_id, "pass_name": self.pass_name, "action": self._get_action_string(),
            "from_node": [each.to_dict() for each in self.from_node],
        }  # fmt: skip

    def __repr__(self) -> str:
        return self.print_readable()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeSource) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(repr(self.to_dict()))


@contextmanager
def preserve_node_meta(enable: bool = True) -> Iterator[None]:
    """Inside, nodes that are made take over what is said of the one that is being run."""
    global should_preserve_node_meta, current_meta
    before = should_preserve_node_meta, current_meta
    should_preserve_node_meta, current_meta = enable, {**current_meta}
    try:
        yield
    finally:
        should_preserve_node_meta, current_meta = before


def has_preserved_node_meta() -> bool:
    return should_preserve_node_meta


@contextmanager
def annotate(annotation_dict: dict[str, Any]) -> Iterator[None]:
    """Inside, nodes that are made have these entries in ``node.meta["custom"]``."""
    global current_meta
    had, before = "custom" in current_meta, current_meta.get("custom", {})
    current_meta["custom"] = {**before, **annotation_dict}
    try:
        yield
    finally:
        if had:
            current_meta["custom"] = before
        else:
            current_meta.pop("custom", None)


def annotate_fn(annotation_dict: dict[str, Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """:func:`annotate` around every call of a function."""

    def decorate(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def run(*args: Any, **kwargs: Any) -> Any:
            with annotate(annotation_dict):
                return fn(*args, **kwargs)

        return run

    return decorate


def set_stack_trace(stack: list[str]) -> None:
    if should_preserve_node_meta and stack:
        current_meta["stack_trace"] = "".join(stack)


def set_grad_fn_seq_nr(seq_nr: int) -> None:
    if should_preserve_node_meta:
        current_meta["grad_fn_seq_nr"] = [*current_meta.get("grad_fn_seq_nr", []), seq_nr]
        current_meta["in_grad_fn"] = current_meta.get("in_grad_fn", 0) + 1


def reset_grad_fn_seq_nr() -> None:
    if should_preserve_node_meta:
        level = current_meta.get("in_grad_fn", 0)
        if level == 1:
            current_meta.pop("in_grad_fn"), current_meta.pop("grad_fn_seq_nr")
        elif level > 1:
            current_meta["in_grad_fn"] = level - 1
            current_meta["grad_fn_seq_nr"] = current_meta["grad_fn_seq_nr"][:-1]


def format_stack() -> list[str]:
    """The stack where the node comes from that is being run, else this one."""
    if should_preserve_node_meta:
        return [current_meta.get("stack_trace", "")]
    return _tb.format_list(_tb.extract_stack()[:-1])


@contextmanager
def set_current_meta(node: Any, pass_name: str = "") -> Iterator[None]:
    """While ``node`` is run by a pass, what is said of it is what new nodes take over."""
    global current_meta
    if not should_preserve_node_meta or not node.meta:
        yield
        return
    before = current_meta
    current_meta = {**node.meta, "from_node": [NodeSource(node, pass_name, NodeSourceAction.CREATE)]}
    try:
        yield
    finally:
        current_meta = before


def get_current_meta() -> dict[str, Any]:
    return current_meta


@contextmanager
def set_current_replay_node(node: Any) -> Iterator[None]:
    """While a node is made again from another one."""
    global current_replay_node
    before, current_replay_node = current_replay_node, node
    try:
        yield
    finally:
        current_replay_node = before


def get_current_replay_node() -> Any:
    return current_replay_node


def get_graph_provenance_json(graph: Any) -> dict[str, Any]:
    """Name of a node to the sources it was made from, as dicts."""
    return {n.name: [s.to_dict() for s in n.meta["from_node"]] for n in graph.nodes if n.op in ("call_function", "call_method", "call_module") and "from_node" in n.meta}
