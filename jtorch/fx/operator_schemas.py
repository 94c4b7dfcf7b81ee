"""Calls in a normal form: every argument by name, or by position as far as it is required."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from ._naming import torch_name

__all__ = ["ArgsKwargsPair", "check_for_mutable_operation", "get_signature_for_torch_op", "create_type_hint", "type_matches", "normalize_function", "normalize_module"]


class ArgsKwargsPair(NamedTuple):
    """Arguments."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def _is_written_to(target: Any) -> bool:
    schema = getattr(target, "_schema", None)
    if schema is not None:
        return bool(schema.is_mutable)
    named = torch_name(target)
    return named is not None and named[1].endswith("_") and not named[1].startswith("_")


def check_for_mutable_operation(target: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """RuntimeError for a call that writes into an argument."""
    if _is_written_to(target) or (torch_name(target) is not None and kwargs.get("out") is not None):
        named = torch_name(target)
        raise RuntimeError(f"Tried to trace mutable operation {named[1] if named else target}. FX only supports functional code, so operations that mutate operands in-place (e.g. via `out` arguments) are not supported")


def get_signature_for_torch_op(op: Callable[..., Any], return_schemas: bool = False) -> Any:
    """The signatures of one of torch's functions, a list; None for other functions."""
    if torch_name(op) is None and getattr(op, "_schema", None) is None:
        return (None, None) if return_schemas else None
    try:
        found = [inspect.signature(op)]
    except (TypeError, ValueError):
        return (None, None) if return_schemas else None
    return (found, [getattr(op, "_schema", None)]) if return_schemas else found


def create_type_hint(x: Any) -> Any:
    """The type of a nested value, as an annotation; None for what has none."""
    if isinstance(x, (list, tuple)):
        inner = [create_type_hint(a) for a in x]
        if not inner:
            return list[Any] if isinstance(x, list) else tuple[Any, ...]
        same = inner[0] if all(a == inner[0] for a in inner) else Any
        return list[same] if isinstance(x, list) else tuple[same, ...]  # type: ignore[valid-type]
    return x


def type_matches(signature_type: Any, argument_type: Any) -> bool:
    """Whether an argument of one type may be given where the other is asked for."""
    if signature_type is argument_type or signature_type is Any:
        return True
    if signature_type is float and argument_type is int:
        return True
    return inspect.isclass(signature_type) and inspect.isclass(argument_type) and issubclass(argument_type, signature_type)


def normalize_function(
    target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, arg_types: Any = None, kwarg_types: Any = None,
    normalize_to_only_use_kwargs: bool = False,
) -> ArgsKwargsPair | None:  # fmt: skip
    """The arguments of a call of one of torch's functions in normal form; None for other functions."""
    if torch_name(target) is None and getattr(target, "_schema", None) is None:
        return None
    try:
        return _normal(inspect.signature(target), args, kwargs or {}, normalize_to_only_use_kwargs)
    except (TypeError, ValueError):
        return None


def normalize_module(root: Any, target: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, normalize_to_only_use_kwargs: bool = False) -> ArgsKwargsPair | None:
    """The arguments of a call of one of torch.nn's modules in normal form; None for other modules. RuntimeError if there is none at ``target``."""
    try:
        module = root.get_submodule(target)
    except AttributeError as error:
        raise RuntimeError(f"Tried to normalize node with target {target} but root did not have that target!") from error
    from jtorch import nn

    if getattr(nn, module.__class__.__name__, None) is not module.__class__:
        return None
    return _normal(inspect.signature(module.forward), args, kwargs or {}, normalize_to_only_use_kwargs)


def _normal(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any], only_kwargs: bool) -> ArgsKwargsPair | None:
    kinds = {p.kind for p in signature.parameters.values()}
    if not kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}:
        # torch's method takes "from" as a keyword, which Python's syntax doesn't allow; nothing else has such parameters.
        if only_kwargs:
            return None
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    by_position: list[Any] = []
    by_name: dict[str, Any] = {}
    for i, (name, value) in enumerate(bound.arguments.items()):
        if not only_kwargs and i < len(args):
            by_position.append(value)
        else:
            by_name[name] = value
    return ArgsKwargsPair(tuple(by_position), by_name)


