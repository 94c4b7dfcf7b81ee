"""Which nodes somebody can take over."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any

from ..node import Node
from .shape_prop import TensorMetadata
from .tools_common import CALLABLE_NODE_OPS, get_node_target

__all__ = ["OperatorSupportBase", "OperatorSupport", "create_op_support", "chain", "OpSupports", "any_chain"]


class OperatorSupportBase(abc.ABC):
    """Says of a node whether it can be taken over."""

    @abc.abstractmethod
    def is_node_supported(self, submodules: Mapping[str, Any], node: Node) -> bool:
        """Whether this node can be."""


class OperatorSupport(OperatorSupportBase):
    """By a dict of targets; its values are None, or the types allowed: of arguments by position (None: any) and by name."""

    def __init__(self, support_dict: Mapping[str, Any] | None = None) -> None:
        self._support_dict = support_dict or {}

    def is_node_supported(self, submodules: Mapping[str, Any], node: Node) -> bool:
        if node.op not in CALLABLE_NODE_OPS:
            return True
        target = get_node_target(submodules, node)
        if target not in self._support_dict:
            return False
        allowed = self._support_dict[target]
        if allowed is None:
            return True
        by_position, by_name = allowed
        pairs = [*zip(node.args, by_position, strict=False), *((node.kwargs[k], kinds) for k, kinds in by_name.items() if k in node.kwargs)]
        return all(_dtype_of(arg) in kinds for arg, kinds in pairs if kinds is not None and isinstance(arg, Node))


def _dtype_of(arg: Node) -> Any:
    meta = arg.meta.get("tensor_meta")
    return meta.dtype if isinstance(meta, TensorMetadata) else arg.meta["type"]


def create_op_support(is_node_supported: Callable[[Mapping[str, Any], Node], bool]) -> OperatorSupportBase:
    """A function as an object."""

    class FunctionalOperatorSupport(OperatorSupportBase):
        def is_node_supported(self, submodules: Mapping[str, Any], node: Node) -> bool:
            return is_node_supported(submodules, node)

    return FunctionalOperatorSupport()


def chain(*op_support: OperatorSupportBase) -> OperatorSupportBase:
    """What all support."""
    return create_op_support(lambda modules, node: all(x.is_node_supported(modules, node) for x in op_support))


def any_chain(*op_support: OperatorSupportBase) -> OperatorSupportBase:
    """What one supports."""
    return create_op_support(lambda modules, node: any(x.is_node_supported(modules, node) for x in op_support))


class OpSupports:
    """Common rules."""

    @classmethod
    def decline_if_input_dtype(cls, dtype: Any) -> OperatorSupportBase:
        """Not where an input has this type."""
        return create_op_support(lambda modules, node: all(_dtype_of(arg) != dtype for arg in node.all_input_nodes))

    @classmethod
    def decline_if_node_in_names(cls, disallow_set: set[str]) -> OperatorSupportBase:
        """Not nodes of these names."""
        return create_op_support(lambda modules, node: node.name not in disallow_set)
