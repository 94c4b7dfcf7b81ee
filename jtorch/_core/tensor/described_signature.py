"""``__signature__`` of the functions that come from the registry: what ``help``, ``inspect.signature`` and editors show."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from jtorch._registry import Op, Param, Signature

__all__ = ["ANNOTATIONS", "described", "described_forms"]

# Each kind of parameter as an annotation.
ANNOTATIONS = {
    "Tensor": "Tensor", "Tensor|Scalar": "Tensor | Number", "Scalar": "Number", "Number": "Number", "int": "int", "index": "int", "bool": "bool",
    "float": "float", "str": "str", "dtype": "torch.dtype", "device": "torch.device | str | int", "layout": "torch.layout",
    "memory_format": "torch.memory_format", "Generator": "torch.Generator", "any": "Any", "Tensor[]": "tuple[Tensor, ...] | list[Tensor]", "Tensor?[]": "Sequence[Tensor | None]",
    "int[]": "Sequence[int]", "index[]": "Sequence[int]", "float[]": "Sequence[float]", "bool[]": "Sequence[bool]", "Scalar[]": "Sequence[Number]", "Number[]": "Sequence[Number]",
}  # fmt: skip
_POSITIONAL, _KEYWORD = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
_EMPTY = inspect.Parameter.empty


def annotation(p: Param) -> str:
    """The annotation of one parameter."""
    text = ANNOTATIONS[p.kind]
    if p.size == 1 or p.size and p.kind in ("int[]", "index[]"):
        text += f" | {text[9:-1]}"  # one number stands for all
    return text + (" | None" if p.optional or p.default is None else "")


def described(overloads: Sequence[Op], method: bool, inplace: bool = False) -> inspect.Signature:
    """One signature for all overloads of an operator."""
    out = not method and not inplace and overloads[0].out and not any(s == "nn.functional" for s in overloads[0].where)
    more = [inspect.Parameter("out", _KEYWORD, default=None, annotation="Tensor | None" if not overloads[0].fields else "tuple[Tensor, ...] | None")] if out else []
    return described_forms([s for o in overloads for s in o.signatures], method, _result(overloads), more)


def described_forms(every: Sequence[Signature], method: bool, result: str, more: Sequence[inspect.Parameter] = ()) -> inspect.Signature:
    """One signature for all forms of a function: that of the longest. What another form does without is optional in it (``...``: no one default)."""
    widest = max(every, key=lambda s: len(s.params))
    shared = set.intersection(*[{p.name for p in s.params} for s in every])
    always = min(len([p for p in s.positional if p.required]) for s in every)  # so many are needed, whatever their names
    params = []
    for i, p in enumerate(widest.params):
        texts = [annotation(q) for s in every for q in s.params if q.name == p.name]
        params.append(_parameter(p, p.name in shared or i < always, method and i == 0, " | ".join(dict.fromkeys(" | ".join(texts).split(" | ")))))
    params += more
    params.sort(key=lambda p: p.kind)
    seen = False  # a parameter without a default cannot follow one that has it
    for i, made in enumerate(params):
        if made.kind is _POSITIONAL:
            seen |= made.default is not _EMPTY
            if seen and made.default is _EMPTY:
                params[i] = made.replace(default=...)
    return inspect.Signature(params, return_annotation=result, __validate_parameters__=False)


def _parameter(p: Param, shared: bool, is_self: bool, text: str) -> inspect.Parameter:
    default: Any = _EMPTY if p.required else p.default
    if default is _EMPTY and not shared:
        default = ...
    return inspect.Parameter("self" if is_self else p.name, _KEYWORD if p.keyword_only else _POSITIONAL, default=default, annotation=_EMPTY if is_self else text)


def _result(overloads: Sequence[Op]) -> str:
    if any(o.fields for o in overloads):
        return f"torch.return_types.{overloads[-1].name}" if all(o.fields for o in overloads) else f"Tensor | torch.return_types.{overloads[-1].name}"
    returns = str(overloads[0].fn.__annotations__.get("return", ""))
    return "tuple[Tensor, ...]" if returns.startswith(("tuple", "list")) else "Tensor"
