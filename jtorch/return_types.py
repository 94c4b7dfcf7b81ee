"""``torch.return_types``: the classes of structured results, made as operators are used."""

from __future__ import annotations

from typing import Any

from jtorch._core.tensor.return_types import COMPOSED, TYPES, name_of, return_type
from jtorch._registry import OPS

__all__ = ["all_return_types", "pytree_register_structseq"]  # noqa: F822 - by __getattr__


def pytree_register_structseq(cls: type) -> None:
    """Let pytrees go into results of this class. (They go into all that are here anyway.)"""
    from jtorch.utils._pytree import register_pytree_node

    register_pytree_node(cls, lambda result: (list(result), None), lambda values, _: cls(values))


def _fields() -> dict[str, tuple[str, ...]]:
    """Of the result classes of all operators; those that were written into ``out=`` have classes of their own."""
    found = dict(COMPOSED)
    for overloads in OPS.values():
        for record in overloads:
            if record.fields:
                found[name_of(record)] = record.fields
    return {**found, **{f"{name}_out": fields for name, fields in found.items()}}


def __getattr__(name: str) -> Any:
    if name == "all_return_types":
        return [return_type(n, fields) for n, fields in sorted(_fields().items())]
    if name in TYPES:
        return TYPES[name]
    fields = _fields().get(name) if name[:1] != "_" or name.startswith("_l") else None
    if fields is not None:
        return return_type(name, fields)
    raise AttributeError(f"module 'torch.return_types' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *_fields()]
