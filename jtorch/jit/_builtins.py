"""``torch.jit._builtins``: which functions of Python stand for operators of torch's library."""

from __future__ import annotations

import functools
import math
from typing import Any

from jtorch import _namespace
from jtorch._public import F, torch

__all__: list[str] = []

_registered: dict[Any, str] = {}


@functools.cache
def _table() -> dict[int, str]:
    spaces = ((_namespace.torch, "{}"), (_namespace.C_nn, "{}"), (torch.linalg, "linalg_{}"), (torch.fft, "fft_{}"), (torch.special, "special_{}"))
    found = {}
    for space, form in spaces:
        for name, fn in vars(space).items():
            op = form.format(name.removeprefix(form[:-2]))
            if callable(fn) and not name.startswith("__") and getattr(torch.ops.aten, op, None) is not None:
                found[id(fn)] = f"aten::{op}"
    for name in ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "gelu", "one_hot", "pad", "scaled_dot_product_attention"):
        found[id(getattr(F, name))] = f"aten::{name}"
    return {**found, id(math.gcd): "aten::gcd", id(math.isfinite): "aten::isfinite", id(math.remainder): "aten::mathremainder"}


def _find_builtin(fn: Any) -> str | None:
    """The operator's name, ``"aten::add"`` of ``torch.add``; None for functions that are written in Python."""
    return _registered.get(fn) or _table().get(id(fn))


def _register_builtin(fn: Any, op: str) -> None:
    """Say that a function stands for an operator."""
    _registered[fn] = op
