"""Signatures of operators from the annotations of Python functions."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._device import device as _device
from jtorch._dtypes import dtype as _dtype
from jtorch.types import Number

__all__ = ["infer_schema"]


def _parameters() -> dict[Any, str]:
    found: dict[Any, str] = {}
    # type, its name in signatures, whether a list of it, of optional ones, or an optional list may be
    for kind, name, lists, of_optional, optional_lists in (
        (Tensor, "Tensor", True, True, False), (int, "SymInt", True, False, True), (float, "float", True, False, True), (bool, "bool", True, False, True),
        (str, "str", False, False, False), (Number, "Scalar", True, False, False), (_dtype, "ScalarType", False, False, False),
        (_device, "Device", False, False, False),
    ):  # fmt: skip
        sequences = lambda t: (typing.Sequence[t], typing.List[t], collections.abc.Sequence[t], list[t])  # type: ignore[valid-type] # noqa: UP006
        found[kind] = name
        found[typing.Optional[kind]] = f"{name}?"  # noqa: UP045
        for each in sequences(kind):
            if lists:
                found[each] = f"{name}[]"
            if optional_lists:
                found[typing.Optional[each]] = f"{name}[]?"  # noqa: UP045
        if of_optional:
            found.update(dict.fromkeys(sequences(typing.Optional[kind]), f"{name}?[]"))  # noqa: UP045
    return found


_PARAMETERS = _parameters()
_RESULTS: dict[Any, str] = {
    Tensor: "Tensor", typing.List[Tensor]: "Tensor[]", list[Tensor]: "Tensor[]", int: "SymInt", float: "float", bool: "bool", Number: "Scalar",  # noqa: UP006
}  # fmt: skip


def infer_schema(prototype_function: Callable[..., Any], /, *, mutates_args: str | Sequence[str], op_name: str | None = None, tags: Any = ()) -> str:
    """The signature that a function's annotations say. ``mutates_args``: the names of what it writes to, or "unknown".

    ValueError for what no signature can say.
    """
    signature = inspect.signature(prototype_function)

    def refuse(what: str) -> typing.NoReturn:
        raise ValueError(f"infer_schema(func): {what} Got func with signature {signature})")

    def real(kind: Any) -> Any:
        if isinstance(kind, str):
            try:
                return eval(kind, prototype_function.__globals__)
            except NameError as e:
                refuse(
                    f"Unsupported type annotation {kind}. It is not a type. ({e}). If you are using 'from __future__ import annotations', note that "
                    "annotations are evaluated lazily as strings; make sure all types referenced in annotations are importable at module scope, not only "
                    "inside a local function."
                )
            except Exception as e:
                refuse(f"Unsupported type annotation {kind}. It is not a type. ({type(e).__name__}: {e})")
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        if origin is not None and any(isinstance(a, str) for a in args):
            return types.GenericAlias(origin, tuple(map(real, args)))
        if origin is types.UnionType:  # X | None as typing.Optional[X]
            return typing.Union[args]  # noqa: UP007
        return kind

    written = mutates_args if isinstance(mutates_args, str) else tuple(mutates_args)
    if isinstance(written, str) and written != "unknown":
        raise ValueError("mutates_args must either be a sequence of the names of the arguments that are mutated or the string 'unknown'. ")
    parts: list[str] = []
    for i, (name, param) in enumerate(signature.parameters.items()):
        if param.kind not in (param.POSITIONAL_OR_KEYWORD, param.KEYWORD_ONLY):
            refuse("We do not support positional-only args, varargs, or varkwargs.")
        if param.kind is param.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        if param.annotation is param.empty:
            refuse(f"Parameter {name} must have a type annotation.")
        kind = _PARAMETERS.get(real(param.annotation))
        if kind is None:
            tuples = ""
            if typing.get_origin(real(param.annotation)) is tuple:
                tuples = "We do not support Tuple inputs in schema. As a workaround, please try to use List instead. "
            refuse(f"Parameter {name} has unsupported type {param.annotation}. {tuples}The valid types are: {_PARAMETERS.keys()}.")
        if (written == "unknown" and kind.startswith("Tensor")) or (written != "unknown" and name in written):
            if not kind.startswith("Tensor"):
                refuse(f"Parameter {name} is in mutable_args but only Tensors or collections of Tensors can be mutated")
            kind = f"Tensor(a{i}!){kind[len('Tensor') :]}"
        parts.append(f"{kind} {name}" + ("" if param.default is param.empty else f"={_default(name, param.default, refuse)}"))
    missing = set() if isinstance(written, str) else set(written) - set(signature.parameters)
    if missing:
        refuse(
            f"{missing} in mutates_args were not found in the custom op's signature. mutates_args should contain the names of all args that the custom op "
            "mutates, or just the string 'unknown' if you don't know."
        )
    return f"{op_name or ''}({', '.join(parts)}) -> {_result(real(signature.return_annotation), refuse)}"


def _default(name: str, value: Any, refuse: Callable[[str], Any]) -> Any:
    if value is None or isinstance(value, (int, float, bool)):
        return str(value)
    if isinstance(value, (str, _device)):
        return f'"{value}"'
    if isinstance(value, _dtype):
        return str(value).removeprefix("torch.")
    return refuse(f"Parameter {name} has an unsupported default value type {type(value)}. Please file an issue on GitHub so we can prioritize this.")


def _result(kind: Any, refuse: Callable[[str], Any]) -> Any:
    if kind is None:
        return "()"
    if kind is inspect.Parameter.empty:
        return refuse("No return type annotation was provided. Please add one.")
    if typing.get_origin(kind) is not tuple:
        return _RESULTS[kind] if kind in _RESULTS else refuse(f"Return has unsupported type {kind}. The valid types are: {_RESULTS}.")
    args = typing.get_args(kind)
    if any(a not in _RESULTS for a in args):
        return refuse(f"Return has unsupported type {kind}. The valid types are: {_RESULTS}.")
    text = ", ".join(_RESULTS[a] for a in args)
    return f"({text})" if len(args) != 1 else f"(({text}))"
