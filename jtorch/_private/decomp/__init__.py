"""``torch._decomp``: functions that do an operator's work with others, as programs register them. None come with the library: operators are Python functions here,
and not taken apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jtorch.library.operators import OpOverload, OpOverloadPacket
from jtorch.utils._pytree import tree_leaves

__all__ = [
    "core_aten_decompositions", "decomposition_table", "get_decompositions", "global_decomposition_table", "meta_table", "pre_autograd_decomposition_table", "register_decomposition",
    "remove_decompositions",
]  # fmt: skip

global_decomposition_table: dict[str, dict[Any, Callable[..., Any]]] = defaultdict(dict)
decomposition_table = global_decomposition_table["post_autograd"]
pre_autograd_decomposition_table = global_decomposition_table["pre_autograd"]
meta_table = global_decomposition_table["meta"]
_KINDS = {"post_autograd", "pre_autograd", "meta"}


def _overloads(op: Any) -> list[Any]:
    return [getattr(op, name) for name in op.overloads()] if isinstance(op, OpOverloadPacket) else [op]


def register_decomposition(aten_op: Any, registry: dict[Any, Any] | None = None, *, type: str = "post_autograd", unsafe: bool = False) -> Callable[[Any], Any]:  # noqa: A002
    """A decorator: the function does the work of an operator, of all overloads of one, or of several. AssertionError for another ``type`` than
    ``post_autograd``, ``pre_autograd`` and ``meta``; RuntimeError for an operator that has one.
    """
    if type not in _KINDS:
        raise AssertionError(f"type must be one of {_KINDS}, got {type}")
    table = global_decomposition_table[type] if registry is None else registry

    def register(fn: Any) -> Any:
        for op in tree_leaves(aten_op):
            for overload in _overloads(op):
                if overload in table:
                    raise RuntimeError(f"multiple registrations for {overload}")
                table[overload] = fn
        return fn

    return register


def get_decompositions(aten_ops: Sequence[Any], type: str = "post_autograd") -> dict[Any, Callable[..., Any]]:  # noqa: A002 - torch's name
    """Those of these operators that are registered, by overload."""
    if type not in _KINDS:
        raise AssertionError(f"type must be one of {_KINDS}, got {type}")
    table = global_decomposition_table[type]
    return {overload: table[overload] for op in aten_ops for overload in _overloads(op) if overload in table}


def remove_decompositions(decompositions: dict[Any, Callable[..., Any]], aten_ops: Iterable[OpOverload | OpOverloadPacket]) -> None:
    """Take operators out of a table."""
    for op in aten_ops:
        for overload in _overloads(op):
            decompositions.pop(overload, None)


def core_aten_decompositions() -> dict[Any, Callable[..., Any]]:
    """What programs registered."""
    return dict(decomposition_table)
