"""What ``x[index] = value`` takes, and what becomes of numbers that a type cannot hold: results and kinds of exceptions are torch's."""

from __future__ import annotations

import decimal
import enum
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from compat import bridge


class _Choice(enum.IntEnum):
    A = 1


VALUES: dict[str, Callable[[Any], Any]] = {
    **{f"numpy.{k}": lambda t, k=k: np.dtype(k).type(2) for k in ("bool", "uint8", "int64", "uint16", "float16", "float32", "float64", "complex64", "complex128")},
    **{f"array {k}{list(s)}": lambda t, k=k, s=s: np.full(s, 2, k) for k in ("bool", "int64", "float32", "float64") for s in ((), (1,), (2,), (3,))},
    "number": lambda t: 3, "float": lambda t: 1.5, "bool": lambda t: True, "complex": lambda t: 1 + 2j, "real complex": lambda t: 1 + 0j,
    "list": lambda t: [5, 6], "tuple": lambda t: (5, 6), "empty": lambda t: [], "nested": lambda t: [[1, 2]], "list of tensors": lambda t: [t.tensor(1.0)] * 2,
    "None": lambda t: None, "str": lambda t: "1", "bytes": lambda t: b"1", "dict": lambda t: {}, "range": lambda t: range(2), "enum": lambda t: _Choice.A,
    "decimal": lambda t: decimal.Decimal("1.5"), "Size": lambda t: t.Size([5, 6]), "numpy.str": lambda t: np.str_("2"), "dtype": lambda t: t.float32,
    "2**63": lambda t: 2**63, "10**20": lambda t: 10**20, "300": lambda t: 300, "1e39": lambda t: 1e39, "70000.0": lambda t: 70000.0, "nan": lambda t: float("nan"),
    "0-dim": lambda t: t.tensor(2.0), "0-dim int": lambda t: t.tensor(2), "0-dim bool": lambda t: t.tensor(True), "one": lambda t: t.ones(1),
    "two": lambda t: t.ones(2), "three": lambda t: t.ones(3), "leading one": lambda t: t.ones(1, 2), "half": lambda t: t.ones(2).half(),
    "complex tensor": lambda t: t.ones(2) * (1 + 1j), "mask": lambda t: t.tensor([True, False]), "with grad": lambda t: t.ones(2, requires_grad=True),
}  # fmt: skip
INDICES: dict[str, Callable[[Any], Any]] = {
    "number": lambda t: 0, "slice": lambda t: slice(None), "element": lambda t: (0, 0), "True": lambda t: True, "list": lambda t: [0, 1],
    "mask": lambda t: t.tensor([[True, False], [False, True]]), "rows": lambda t: t.tensor([True, False]), "index": lambda t: t.tensor([0, 1]),
}  # fmt: skip
NUMBERS = (300, -1, -129, 2**31, 2**63, 1.5, -1.5, 300.7, 1e10, 1e39, float("inf"), float("nan"), 70000, 1 + 2j, True)
WRITES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "full": lambda t, x, v: t.full((1,), v, dtype=x.dtype),
    "full_like": lambda t, x, v: t.full_like(x, v),
    "new_full": lambda t, x, v: x.new_full((1,), v),
    "tensor": lambda t, x, v: t.tensor([v], dtype=x.dtype),
    "tensor of a number": lambda t, x, v: t.tensor(v, dtype=x.dtype),
    "fill_": lambda t, x, v: x.fill_(v),
    "masked_fill": lambda t, x, v: x.masked_fill(t.tensor([True]), v),
    "index_fill": lambda t, x, v: x.index_fill(0, t.tensor([0]), v),
    "scatter": lambda t, x, v: x.scatter(0, t.tensor([0]), v),
    "threshold": lambda t, x, v: t.threshold(x, 1, v),
}
KINDS = ("uint8", "int8", "int32", "int64", "bool", "float16", "bfloat16", "float32", "float64", "complex64")
# Floats into float32 are filled in without a look (jtorch/_ops/_fitting.py).
NOT_LOOKED_AT = {("fill_", "float32", 1e39)}


def _outcome(make: Callable[[], Any], numbers: bool = False) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return str(make().tolist())
        except Exception as e:
            return type(e).__name__, str(e).partition("\n")[0] if numbers else ""


# How a value is brought to the type depends little on the index: every type has every way of writing (one element, a part, by a mask, by places), float32 and int64 all indices.
WAYS = ("element", "slice", "mask", "index")


@pytest.mark.parametrize(
    ("kind", "index"),
    [pytest.param(k, i, marks=pytest.mark.slow if k not in ("float32", "int64") and i not in WAYS else ()) for k in ("float32", "int64", "bool", "float16", "complex64") for i in INDICES],
)
def test_values(kind: str, index: str) -> None:
    def write(t: Any, make: Callable[[Any], Any]) -> Any:
        x = t.zeros(2, 2).to(getattr(t, kind))
        x[INDICES[index](t)] = make(t)
        return x.detach()

    wrong = []
    for name, make in VALUES.items():
        theirs, ours = (_outcome(lambda: write(t, make)) for t in (torch, bridge.jtorch()))  # noqa: B023
        if theirs != ours:
            wrong.append(f"{name}: torch {theirs}, jtorch {ours}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRITES)
def test_numbers_that_do_not_fit(name: str, kind: str) -> None:
    wrong = []
    for number in NUMBERS:
        theirs, ours = (_outcome(lambda: WRITES[name](t, t.zeros(1, dtype=getattr(t, kind)), number), True) for t in (torch, bridge.jtorch()))  # noqa: B023
        if (theirs != ours) != ((name, kind, number) in NOT_LOOKED_AT):
            wrong.append(f"{number}: torch {theirs}, jtorch {ours}")
    assert not wrong, "\n".join(wrong)


def test_words() -> None:
    for kind in ("float32", "int64"):
        for make in (lambda t: [1, 2], lambda t: np.float32(2), lambda t: np.ones(2), lambda t: None, lambda t: t.Size([1]), lambda t: "a"):
            said = []
            for t in (torch, bridge.jtorch()):
                with pytest.raises(TypeError) as error:
                    t.zeros(2, dtype=getattr(t, kind))[0] = make(t)
                said.append(str(error.value))
            assert said[0] == said[1]
