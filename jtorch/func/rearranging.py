"""``torch.func.rearrange``: dims named in a pattern, as einops has it."""

from __future__ import annotations

import keyword
import math
import re
import warnings
from typing import Any

from jtorch._public import torch

__all__ = ["rearrange"]

_DOTS = "…"
_PARTS = re.compile(r"[()]|[^() ]+")


class DimensionBindError(Exception):
    """A size that does not fit its names."""


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """The tensor's dims as the right side of ``"left -> right"`` orders, joins and splits them: names in brackets are one dim, ``...`` is any number of them, ``1`` and ``()`` a dim of size 1. A list or
    tuple of tensors is stacked first. ``axes_lengths``: sizes of names. ValueError for what is no such pattern, DimensionBindError for sizes that do not fit it, TypeError for a length that is no int.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.func.rearrange.html"""
    if not isinstance(tensor, torch.Tensor):
        tensor = torch.stack(tensor)
    try:
        left_text, right_text = pattern.split("->")
    except ValueError:
        raise ValueError("Pattern must contain a single '->' separator") from None
    left, right = _Side(left_text), _Side(right_text)
    if right.dots and not left.dots:
        raise ValueError(f"Ellipsis found in right side, but not left side of a pattern {pattern}")
    if left.dots and left.dots_inside:
        raise ValueError(f"Ellipsis is parenthesis in the left side is not allowed: {pattern}")
    _check(left, right, axes_lengths)
    rest = _rest(left, tensor.dim())
    return _rearranged(tensor, left, right, axes_lengths, rest)


class _Side:
    """One side of a pattern: ``dims``, a list of names for each (``_DOTS`` itself for the ellipsis)."""

    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self.dims: list[Any] = []
        self.dots = self.dots_inside = self.odd = False
        if "." in text:
            if "..." not in text:
                raise ValueError("Expression may contain dots only inside ellipsis (...)")
            if text.count("...") != 1 or text.count(".") != 3:
                raise ValueError("Expression may contain dots only inside ellipsis (...); only one ellipsis for tensor ")
            text = text.replace("...", _DOTS)
            self.dots = True
        for char in text:
            if not (char in "() _" + _DOTS or char.isalnum()):
                raise ValueError(f"Unknown character '{char}'")
        group: list[str] | None = None
        for part in _PARTS.findall(text):
            if part == "(":
                if group is not None:
                    raise ValueError("Axis composition is one-level (brackets inside brackets not allowed)")
                group = []
            elif part == ")":
                if group is None:
                    raise ValueError("Brackets are not balanced")
                self.dims.append(group)
                group = None
            else:
                self._name(part, group)
        if group is not None:
            raise ValueError(f"Imbalanced parentheses in expression: '{text.replace(_DOTS, '...')}'")

    def _name(self, name: str, group: list[str] | None) -> None:
        if name in self.names:
            raise ValueError(f"Indexing expression contains duplicate dimension '{name.replace(_DOTS, '...')}'")
        if name == _DOTS:
            self.dots_inside = group is not None
        elif name.isdecimal():
            if int(name) == 1:
                if group is None:
                    self.dims.append([])
                return
            if int(name) < 1:
                raise ValueError(f"Anonymous axis should have positive length, not {int(name)}")
            self.odd = True
        else:
            _check_name(name)
        self.names.append(name)
        if group is not None:
            group.append(name)
        else:
            self.dims.append(name if name == _DOTS else [name])


def _check_name(name: str) -> None:
    reason = "not a valid python identifier" if not name.isidentifier() else "axis name should should not start or end with underscore" if name[0] == "_" or name[-1] == "_" else ""
    if reason:
        raise ValueError(f"Invalid axis identifier: {name}\n{reason}")
    if keyword.iskeyword(name):
        warnings.warn(f"It is discouraged to use axes names that are keywords: {name}", RuntimeWarning, stacklevel=6)
    if name == "axis":
        warnings.warn("It is discouraged to use 'axis' as an axis name and will raise an error in future", FutureWarning, stacklevel=6)


def _check(left: _Side, right: _Side, lengths: dict[str, Any]) -> None:
    for n in lengths.values():
        if type(n) is not int:
            raise TypeError(f"rearrange axis lengths must be integers, got: {type(n)}")
    if left.odd or right.odd:
        raise ValueError("rearrange only supports unnamed axes of size 1")
    if one_sided := {n.replace(_DOTS, "...") for n in set(left.names) ^ set(right.names)}:
        raise ValueError(f"Identifiers only on one side of rearrange expression (should be on both): {one_sided}")
    if unknown := lengths.keys() - set(left.names):
        raise ValueError(f"Identifiers not found in rearrange expression: {unknown}")


def _rest(left: _Side, n: int) -> int:
    """How many dims the ellipsis stands for."""
    if not left.dots:
        if len(left.dims) != n:
            raise ValueError(f"Number of dimensions in pattern ({len(left.dims)}) must be equal to the number of dimensions in the tensor ({n})")
        return 0
    least = sum(not d for d in left.dims) + len(left.names) - 1
    if least > n:
        raise ValueError(f"Number of dimensions in pattern ({least}) must be less than or equal to the number of dimensions in the tensor ({n})")
    return n - (len(left.dims) - 1)


def _rearranged(x: Any, left: _Side, right: _Side, lengths: dict[str, int], rest: int) -> Any:
    sizes: dict[str, int] = {}
    split: list[str] = []  # the names in the order of the left side; those of the ellipsis are numbered
    shape = list(x.shape)
    at = units = 0  # units: dims of size 1 without a name
    dots = [f"{_DOTS}{i}" for i in range(rest)]
    for d in left.dims:
        if d == _DOTS:
            for name in dots:
                sizes[name] = shape[at]
                at += 1
            split += dots
            continue
        _fit(d, shape[at], lengths, sizes, len(split) + units)
        units += not d
        split += d
        at += 1
    named = x.reshape([sizes[n] for n in split])
    joined: list[list[str]] = []
    for d in right.dims:
        if d == _DOTS:
            joined += [[n] for n in dots]
        else:
            joined.append([m for n in d for m in (dots if n == _DOTS else [n])])
    order = [n for d in joined for n in d]
    return named.permute([split.index(n) for n in order]).reshape([math.prod(sizes[n] for n in d) for d in joined])


def _fit(names: list[str], size: int, lengths: dict[str, int], sizes: dict[str, int], first: int) -> None:
    """The sizes of the names that one dim is split into. ``first``: how many dims have come before."""
    numbered = [f"d{first + i}" for i in range(len(names))]
    open_ = [n for n in names if n not in lengths]
    known = math.prod(lengths[n] for n in names if n in lengths)
    if len(open_) > 1:
        one, two = [numbered[names.index(n)] for n in open_[:2]]
        raise DimensionBindError(f"cannot infer the sizes of two dimensions at once {one} and {two}")
    if open_ and (known == 0 or size % known):
        raise DimensionBindError(f"inferred dimension does not evenly fit into larger dimension: {size} vs {tuple(lengths.get(n, '?') for n in names)}")
    if not open_ and known != size:
        pack = ", ".join(numbered) + ("," if len(names) == 1 else "")
        raise DimensionBindError(f"Dimension sizes to do not match ({size} != {known}) when matching dimension pack ({pack})")
    sizes.update({n: lengths[n] if n in lengths else size // known for n in names})
