"""Arguments of a call put in the order of a signature, with defaults; refused in torch's words where they don't fit."""

from __future__ import annotations

import numbers
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._dtypes import dtype as _dtype

from .jit_types import ListType, OptionalType, Type
from .schema import Argument, FunctionSchema

__all__ = ["bind"]


def _is_int(v: Any) -> bool:
    return isinstance(v, numbers.Integral) or (isinstance(v, Tensor) and v.numel() == 1 and not v.is_floating_point())  # type: ignore[attr-defined]


def _is_float(v: Any) -> bool:
    return isinstance(v, numbers.Real) or (isinstance(v, Tensor) and v.numel() == 1)  # type: ignore[attr-defined]


_FITS = {
    "Tensor": lambda v: isinstance(v, Tensor),
    "int": _is_int,
    "float": _is_float,
    "bool": lambda v: isinstance(v, (bool, numbers.Integral)),
    "str": lambda v: isinstance(v, str),
    "number": lambda v: isinstance(v, numbers.Number) or (isinstance(v, Tensor) and v.dim() == 0),  # type: ignore[attr-defined]
    "complex": lambda v: isinstance(v, numbers.Number),
}


def _fits(value: Any, kind: Type) -> bool:
    if isinstance(kind, OptionalType):
        return value is None or _fits(value, kind.element)
    if isinstance(kind, ListType):
        if kind.size is not None and _fits(value, kind.element) and not isinstance(value, Tensor):
            return True
        return isinstance(value, (list, tuple)) and all(_fits(v, kind.element) for v in value)
    if kind.name == "ScalarType":
        return isinstance(value, (_dtype, int))
    check = _FITS.get(str(kind)) if kind.name not in ("Layout", "MemoryFormat") else None
    return check is None or check(value)


def _taken(value: Any, kind: Type) -> Any:
    """A value as the kernel gets it: one number for a list of a size, numbers of tensors."""
    if isinstance(kind, OptionalType):
        return None if value is None else _taken(value, kind.element)
    if isinstance(kind, ListType):
        return [value] * kind.size if kind.size is not None and not isinstance(value, (list, tuple)) else list(value)
    shown = str(kind)
    if shown in ("int", "float") and isinstance(value, Tensor):
        return value.item()  # type: ignore[attr-defined]
    if shown == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _wrong_type(schema: FunctionSchema, argument: Argument, value: Any, position: int | None) -> RuntimeError:
    where = "" if position is None else f"Position: {position}\n"
    kind = str(argument.type)
    why = f"Cast error details: Unable to cast {value} to Tensor" if kind == "Tensor" else (
        f"Cast error details: Unable to cast Python instance of type {type(value)} to C++ type '?' (#define PYBIND11_DETAILED_ERROR_MESSAGES or compile in "
        "debug mode for details)"
    )  # fmt: skip
    return RuntimeError(
        f"{schema.name}() Expected a value of type '{kind}' for argument '{argument.name}' but instead found type '{type(value).__name__}'.\n{where}"
        f"Value: {value!r}\nDeclaration: {schema}\n{why}"
    )


def bind(schema: FunctionSchema, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(positional, keyword-only) arguments, defaults filled in. RuntimeError where they don't fit."""
    name = schema.name
    if len(args) > len(schema._positional):
        raise RuntimeError(f"{name}() expected at most {len(schema.arguments)} argument(s) but received {len(args) + len(kwargs)} argument(s). Declaration: {schema}")
    by_position: list[Any] = []
    by_name: dict[str, Any] = {}
    left = dict(kwargs)
    for i, argument in enumerate(schema.arguments):
        if not argument.kwarg_only and i < len(args):
            if argument.name in left:
                raise RuntimeError(f"Argument '{argument.name}' specified both as positional and keyword argument. Schema: {schema}")
            value, position = args[i], i
        elif argument.name in left:
            value, position = left.pop(argument.name), None  # type: ignore[assignment]
        elif argument.has_default_value():
            (by_name.__setitem__(argument.name, argument.default_value) if argument.kwarg_only else by_position.append(argument.default_value))
            continue
        else:
            raise RuntimeError(f"{name}() is missing value for argument '{argument.name}'. Declaration: {schema}")
        if not _fits(value, argument.type):
            raise _wrong_type(schema, argument, value, position)
        value = _taken(value, argument.type)
        if argument.kwarg_only:
            by_name[argument.name] = value
        else:
            by_position.append(value)
    if left:
        raise RuntimeError(f"Unknown keyword argument '{next(iter(left))}' for operator '{name}'. Schema: {schema}")
    return tuple(by_position), by_name
