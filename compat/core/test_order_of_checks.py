"""Which of two things that are wrong a reduction complains of, and what an empty tensor lets pass: dims before types, in torch's words. Both libraries print the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

NAMES = ["median", "nanmedian", "mode", "max", "min", "kthvalue", "topk", "cummax", "cummin", "argmax", "amax", "amin", "aminmax", "sum", "nansum", "softmax", "log_softmax", "unbind", "unique_consecutive", "sort"]


def outcomes(lib: Any, name: str) -> list[str]:
    """Shapes and types, or the error's type and first line, for complex, bool and empty tensors along dims that there are and are not."""
    found = []
    given = [lib.ones(shape, dtype=kind) for kind in (lib.complex64, lib.bool, lib.float32) for shape in ((2, 3), (), (0, 3), (2, 0)) if shape not in ((2, 3), ()) or kind is not lib.float32]
    for x in given:
        for dim in (5, -4, 0, 1):
            try:
                out = getattr(lib, name)(x, 1, dim) if name in ("kthvalue", "topk") else getattr(lib, name)(x, dim=dim)
                parts = out if isinstance(out, tuple) else (out,)
                found.append(f"{x.dtype} {tuple(x.shape)} {dim}: " + ", ".join(f"{tuple(t.shape)} {t.dtype}" for t in parts))
            except (RuntimeError, IndexError, NotImplementedError) as error:
                found.append(f"{x.dtype} {tuple(x.shape)} {dim}: {type(error).__name__} " + str(error).partition("\n")[0])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_what_is_refused_first(name: str) -> None:
    assert outcomes(jtorch, name) == outcomes(torch, name)
