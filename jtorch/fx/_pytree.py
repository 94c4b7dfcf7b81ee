"""Flattening by a known structure: what the generated code of a graph over containers calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch.utils import _pytree as pytree

SUPPORTED_NODES: dict[Any, Callable[[Any, Any], list[Any]]] = {}
SUPPORTED_NODES_EXACT_MATCH: dict[Any, Callable[[Any, Any], bool] | None] = {}


def register_pytree_flatten_spec(cls: Any, flatten_fn_spec: Callable[[Any, Any], list[Any]], flatten_fn_exact_match_spec: Callable[[Any, Any], bool] | None = None) -> None:
    """How the children of a container are found when its structure is known already."""
    SUPPORTED_NODES[cls] = flatten_fn_spec
    SUPPORTED_NODES_EXACT_MATCH[cls] = flatten_fn_exact_match_spec


def _deregister_pytree_flatten_spec(cls: Any) -> None:
    del SUPPORTED_NODES[cls], SUPPORTED_NODES_EXACT_MATCH[cls]


def tree_flatten_spec(pytree_: Any, spec: Any) -> list[Any]:
    """The leaves of a tree by its structure. Sequences may be longer and dicts may hold more than the structure says. RuntimeError for another structure."""
    if spec.is_leaf():
        return [pytree_]
    children_of = SUPPORTED_NODES.get(spec.type)
    if children_of is not None:
        return [leaf for child, inner in zip(children_of(pytree_, spec), spec.children(), strict=False) for leaf in tree_flatten_spec(child, inner)]
    leaves, found = pytree.tree_flatten(pytree_)
    if spec != found:
        raise RuntimeError(
            f"Real spec {found} of object {pytree_} is different from expected spec {spec}. "
            "Please file an issue at https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml"
        )
    return leaves


def _by_position(of: Any, spec: Any) -> list[Any]:
    return [of[i] for i in range(spec.num_children)]


def _same_length(of: Any, spec: Any) -> bool:
    return len(of) == spec.num_children


register_pytree_flatten_spec(dict, lambda of, spec: [of[k] for k in spec.context], _same_length)
for _kind in (list, tuple, pytree.namedtuple):
    register_pytree_flatten_spec(_kind, _by_position, _same_length)
