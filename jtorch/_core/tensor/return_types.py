"""``torch.return_types``: named results, printed as torch prints them."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from jtorch._registry import Op

__all__ = ["namedtuple_for", "TYPES", "return_type"]

TYPES: dict[str, type] = {}


class _Result(tuple[Any, ...]):
    """A structured result: a tuple with names."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __new__(cls, *values: Any) -> Any:
        if len(values) == 1 and len(cls._fields) != 1:
            values = tuple(values[0])
        if len(values) != len(cls._fields):
            raise TypeError(f"{cls.__qualname__}() takes a {len(cls._fields)}-sequence ({len(values)}-sequence given)")
        return tuple.__new__(cls, values)

    def __repr__(self) -> str:
        inner = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{inner})"

    def __reduce__(self) -> Any:
        return tuple, (tuple(self),)

    @property
    def n_fields(self) -> int:
        return len(self._fields)


def return_type(name: str, fields: tuple[str, ...]) -> type:
    """The result class of this name, made once."""
    found = TYPES.get(name)
    if found is None:
        body: dict[str, Any] = {"__slots__": (), "_fields": fields, "__module__": "torch.return_types", "n_sequence_fields": len(fields)}
        for i, f in enumerate(fields):
            body[f] = property(itemgetter(i))
        found = TYPES[name] = type(name, (_Result,), body)
    return found


def namedtuple_for(op: Op) -> Any:
    space = op.where[0]
    prefix = "" if space in ("torch", "Tensor", "nn.functional", "internal") else f"{space.replace('.', '_')}_"
    return return_type(prefix + op.name, op.fields)
