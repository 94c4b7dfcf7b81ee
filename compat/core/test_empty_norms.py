"""Norms of matrices without rows or columns: 0 where a largest is asked for, an error where a smallest is."""

from __future__ import annotations

import math
from typing import Any

import torch

import jtorch


def _found(lib: Any, f: Any) -> Any:
    try:
        return f(lib).tolist()
    except Exception as e:  # noqa: BLE001 - compared
        return type(e).__name__, str(e)


def test_norms_of_empty_matrices() -> None:
    for shape in ((0, 0), (2, 0), (0, 2)):
        for ord in (math.inf, -math.inf, 1, -1, 2, -2, "fro", "nuc"):
            for f in (
                lambda lib: lib.linalg.norm(lib.ones(*shape), ord),  # noqa: B023
                lambda lib: lib.linalg.norm(lib.ones(*shape), ord, keepdim=True),  # noqa: B023
                lambda lib: lib.linalg.matrix_norm(lib.ones(3, *shape), ord, dim=(2, 1)),  # noqa: B023
            ):
                assert _found(jtorch, f) == _found(torch, f), (shape, ord)
