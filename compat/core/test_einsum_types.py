"""einsum of operands of unlike types: what is only multiplied is promoted, what is contracted asks for one type, and sums of one operand widen integers, pair by pair as torch goes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from compat import bridge

TYPES = {"f": "float32", "d": "float64", "i": "int32", "b": "bool", "h": "float16", "c": "complex64", "l": "int64"}
EQUATIONS = ("ij,ij->ij", "ij,ij->i", "ij,kj->ij", "ij,kl->ik", "ij,jk->", "...i,...j->...ij", "ii,i->i", "ij,jk,kl->il", "i,j,k->ijk")


def _outcome(t: Any, equation: str, sizes: dict[str, int], kinds: str) -> Any:
    terms = equation.split("->")[0].replace("...", ".").split(",")
    given = []
    for term, kind in zip(terms, kinds, strict=False):
        shape = [sizes[c] for c in term]
        given.append((t.arange(t.Size(shape).numel()) % 3).view(shape).to(getattr(t, TYPES[kind])))
    try:
        x = t.einsum(equation, *given)
    except Exception as error:
        return type(error).__name__, str(error)
    return str(x.dtype).replace("jtorch", "torch"), x.tolist()


@pytest.mark.parametrize("equation", EQUATIONS)
def test_as_torch(equation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jtorch._config.EAGER", True)  # operators share programs, and say what is wrong at once
    for j in (3, 1):
        sizes = {"i": 2, "j": j, "k": 2, "l": 2, ".": 2}
        for kinds in ("fdf", "fif", "iii", "bbb", "bib", "cff", "hfh", "ili"):
            assert _outcome(bridge.jtorch(), equation, sizes, kinds) == _outcome(torch, equation, sizes, kinds), (kinds, j)


def test_derivatives_have_their_operands_types() -> None:
    for t in (bridge.jtorch(), torch):
        a, b = t.tensor([[1.0 + 1j, 2.0], [0.5, 1j]], requires_grad=True), t.tensor([[1.0, 3.0], [2.0, 0.5]], requires_grad=True)
        t.einsum("ij,ij->ij", a, b).abs().sum().backward()
        assert (a.grad.dtype, b.grad.dtype) == (t.complex64, t.float32)
        assert b.grad.flatten().tolist() == pytest.approx([2**0.5, 2.0, 0.5, 1.0])
