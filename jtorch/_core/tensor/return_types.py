"""``torch.return_types``: named results, printed as torch prints them."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from jtorch._registry import Op

__all__ = ["COMPOSED", "namedtuple_for", "TYPES", "return_type"]

TYPES: dict[str, type] = {}
COMPOSED = {  # results of functions that are made of several operators
    "histogramdd": ("hist", "bin_edges"),
    "linalg_ldl_factor": ("LD", "pivots"),
    "linalg_lstsq": ("solution", "residuals", "rank", "singular_values"),
    "linalg_lu": ("P", "L", "U"),
    "linalg_lu_factor": ("LU", "pivots"),
    "lu_unpack": ("P", "L", "U"),
}


class _Result(tuple[Any, ...]):
    """A structured result: a tuple with names."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __new__(cls, *values: Any) -> Any:
        if len(values) == 1 and len(cls._fields) != 1:
            values = tuple(values[0])
        if len(values) != len(cls._fields):
            raise TypeError(f"torch.return_types.{cls.__qualname__}() takes a {len(cls._fields)}-sequence ({len(values)}-sequence given)")
        return tuple.__new__(cls, values)

    def __repr__(self) -> str:
        inner = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{inner})"

    def __reduce__(self) -> Any:
        return tuple, (tuple(self),)


def return_type(name: str, fields: tuple[str, ...] = ()) -> type:
    """The result class of this name, made once. Without ``fields``: of a :data:`COMPOSED` function."""
    found = TYPES.get(name)
    if found is None:
        fields = fields or COMPOSED[name]
        body: dict[str, Any] = {"__slots__": (), "_fields": fields, "__match_args__": fields, "__module__": "torch.return_types"}
        body.update(n_fields=len(fields), n_sequence_fields=len(fields), n_unnamed_fields=0)
        for i, f in enumerate(fields):
            body[f] = property(itemgetter(i))
        found = TYPES[name] = type(name, (_Result,), body)
    return found


def namedtuple_for(op: Op) -> Any:
    return return_type(name_of(op), op.fields)


def name_of(op: Op) -> str:
    """The name of an operator's result class."""
    space = op.where[0]
    prefix = "" if space in ("torch", "Tensor", "nn.functional", "internal") else f"{space.replace('.', '_')}_"
    return prefix + op.name
