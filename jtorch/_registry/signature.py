"""torch's published signatures, as data.

``parse("sum(Tensor input, int[1]? dim, bool keepdim=False, *, dtype? dtype=None)")`` gives a :class:`Signature`, from
which the binder checks arguments and words torch's errors. The kinds of parameter:

================== ==========================================================================================
``Tensor``         a tensor; ``Tensor?`` may be None; ``Tensor[]`` a sequence of them; ``Tensor?[]`` with gaps
``Tensor|Scalar``  a tensor or a Python number, which is then a runtime scalar
``Scalar``         a Python number (or 0-dim tensor) that may change without a new compilation: a runtime scalar
``index``          an int that may change without a new compilation (a position, never a size); ``index[]`` several
``Number``         a Python number that is part of the program's structure (``pow``'s exponent)
``int bool float str dtype device layout memory_format Generator any`` and ``int[] int[N] float[] bool[]``
                   structure: a change of value is another program; ``?`` allows None
================== ==========================================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Param", "Signature", "parse", "REQUIRED"]


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()

# How torch's messages name each kind.
_WORDS = {
    "Tensor": "Tensor", "Tensor|Scalar": "Tensor", "Scalar": "Number", "Number": "Number", "int": "int", "index": "int",
    "bool": "bool", "float": "float", "str": "str", "dtype": "torch.dtype", "device": "torch.device", "layout": "torch.layout",
    "memory_format": "torch.memory_format", "Generator": "torch.Generator", "any": "object", "Tensor[]": "tuple of Tensors",
    "Tensor?[]": "tuple of Tensors", "int[]": "tuple of ints", "index[]": "tuple of ints", "float[]": "tuple of floats", "bool[]": "tuple of bools",
    "Scalar[]": "tuple of Scalars", "Number[]": "tuple of Scalars",
}  # fmt: skip


@dataclass(frozen=True)
class Param:
    """One parameter: its name, kind, default, and whether it is keyword-only."""

    name: str
    kind: str
    optional: bool
    default: Any
    keyword_only: bool
    size: int = 0  # N of int[N]: one int stands for N of them

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def word(self) -> str:
        """The kind as torch's error messages spell it."""
        return _WORDS[self.kind]


@dataclass(frozen=True)
class Signature:
    """One overload: name, parameters and the field names of a structured result."""

    name: str
    params: tuple[Param, ...]
    fields: tuple[str, ...] = ()
    shown: str = field(init=False, compare=False)  # what errors call it
    positional: tuple[Param, ...] = field(init=False, compare=False)
    by_name: dict[str, Param] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", self.name)
        object.__setattr__(self, "positional", tuple(p for p in self.params if not p.keyword_only))
        object.__setattr__(self, "by_name", {p.name: p for p in self.params})

    def text(self, method: bool = False, out: bool = False) -> str:
        """``(Tensor input, int dim, *, Tensor out = None)``: the line that torch prints for this overload."""
        shown, starred = [], False
        for p in self.params[1:] if method else self.params:
            if p.keyword_only and not starred:
                shown.append("*")
                starred = True
            shown.append(f"{p.word} {p.name}" + ("" if p.required else f" = {p.default}"))
        if out:
            shown += ["Tensor out = None"] if starred else ["*", "Tensor out = None"]
        return f"({', '.join(shown)})"


_PARAM = re.compile(r"^(?P<kind>[A-Za-z_|]+\??(?:\[(?P<size>\d*)\])?)(?P<opt>\?)?\s+(?P<name>\w+)(?:\s*=\s*(?P<default>.+))?$")
_KINDS = frozenset(_WORDS)


def _split(text: str) -> list[str]:
    parts, depth, last = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            parts.append(text[last:i])
            last = i + 1
    return [p.strip() for p in [*parts, text[last:]] if p.strip()]


def parse(text: str) -> Signature:
    """Read one signature. ValueError says which part could not be read."""
    head, _, tail = text.partition("->")
    match = re.match(r"^\s*(\w+)\((.*)\)\s*$", head, re.S)
    if match is None:
        raise ValueError(f"not a signature: {text!r}")
    params, keyword_only = [], False
    for part in _split(match[2]):
        if part == "*":
            keyword_only = True
            continue
        m = _PARAM.match(part)
        if m is None:
            raise ValueError(f"not a parameter: {part!r} in {text!r}")
        kind, size = m["kind"], int(m["size"]) if m["size"] else 0
        kind = re.sub(r"\[\d*\]$", "[]", kind)
        optional = m["opt"] is not None
        if kind.endswith("?"):
            kind, optional = kind[:-1], True
        if kind not in _KINDS:
            raise ValueError(f"unknown kind {kind!r} in {text!r}; known: {sorted(_KINDS)}")
        default = REQUIRED if m["default"] is None else eval(m["default"], {"inf": float("inf")}, {})
        params.append(Param(m["name"], kind, optional, default, keyword_only, size))
    return Signature(match[1], tuple(params), tuple(re.findall(r"\w+", tail)))
