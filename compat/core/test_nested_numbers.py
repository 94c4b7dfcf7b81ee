"""``torch.tensor`` of sequences that hold numbers of Python and numpy, tensors and what is none of them: the same values and types, or the same refusal, as torch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from compat import bridge

KINDS = ("float32", "int32", "bool", "float16", "complex64")


def _leaves(t: Any) -> dict[str, Any]:
    numbers = {"float": 0.5, "int": 2, "bool": True, "complex": 1j, "big": 2**63, "inf": float("inf"), "str": "x", "None": None, "list": [1], "empty": [], "dict": {}}
    arrays = {"float32": np.float32(2), "float64": np.float64(2), "int8": np.int8(2), "bool_": np.bool_(True), "half": np.float16(1), "array": np.array(3.0), "row": np.ones(1)}
    tensors = {"one": t.tensor(0.5), "double": t.tensor(0.5, dtype=t.float64), "short": t.tensor(3, dtype=t.int16), "grad": t.tensor(0.25, requires_grad=True), "vector": t.ones(1), "two": t.ones(2)}
    return numbers | arrays | tensors | {"complex tensor": t.tensor(1j)}


def _outcome(t: Any, make: Any) -> Any:
    try:
        x = make(t)
    except Exception as error:
        return type(error).__name__, str(error)
    return x.tolist(), str(x.dtype).replace("jtorch", "torch"), x.requires_grad


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", _leaves(torch))
def test_as_torch(first: str) -> None:
    libraries = [(t, _leaves(t)) for t in (bridge.jtorch(), torch)]

    def same(make: Any) -> None:
        ours, theirs = [_outcome(t, lambda t: make(t, leaves)) for t, leaves in libraries]  # noqa: B023
        assert str(ours) == str(theirs), (first, second)

    for second in libraries[0][1]:
        same(lambda t, x: t.tensor([x[first], x[second]]))
    for second, kind in itertools.product(("float", "int", "one", "float32", "float64", "row", "list", "str"), KINDS):
        same(lambda t, x: t.tensor([[x[second], x[first]], [x[first], x[second]]], dtype=getattr(t, kind)))
        same(lambda t, x: t.as_tensor(([x[second]], [x[first]])))


@pytest.mark.filterwarnings("ignore")
def test_legacy_constructors_read_tensors_that_require_grad() -> None:
    for t in (bridge.jtorch(), torch):
        p = t.tensor(0.5, requires_grad=True)
        assert t.FloatTensor([0.0, p * p]).tolist() == [0.0, 0.25]
