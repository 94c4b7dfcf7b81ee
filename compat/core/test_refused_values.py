"""Values that torch refuses: its exception and its words, whether they are known or still to be computed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from compat import bridge

nan, inf = math.nan, math.inf
SINGULAR, INDEFINITE, HOLE = [[1.0, 2.0], [2.0, 4.0]], [[1.0, 2.0], [2.0, 1.0]], [[nan, 1.0], [1.0, 2.0]]
SECOND = [[[1.0, 0.0], [0.0, 1.0]], SINGULAR]
# name -> (library, a maker of the tensor that is looked at) -> a tensor
CASES: dict[str, Callable[[Any, Any], Any]] = {
    "quantile": lambda t, v: t.quantile(t.tensor([0.5, 0.3]), v([1.5, 0.5])),
    "nanquantile": lambda t, v: t.nanquantile(t.tensor([0.5, 0.3]), v([nan, 0.5])),
    "bernoulli": lambda t, v: t.bernoulli(v([0.5, 1.5])),
    "bernoulli_": lambda t, v: t.ones(2).bernoulli_(v([0.5, nan])),
    "normal": lambda t, v: t.normal(t.zeros(2), v([1.0, -1.0])),
    "normal, nan": lambda t, v: t.normal(0.0, v([1.0, nan])),
    "inv_ex": lambda t, v: t.linalg.inv_ex(v(SINGULAR), check_errors=True)[0],
    "solve_ex": lambda t, v: t.linalg.solve_ex(v(SECOND), t.ones(2, 1), check_errors=True)[0],
    "cholesky_ex": lambda t, v: t.linalg.cholesky_ex(v(INDEFINITE), check_errors=True)[0],
    "lu_factor_ex": lambda t, v: t.linalg.lu_factor_ex(v(SECOND), check_errors=True)[0],
    "tensorinv": lambda t, v: t.linalg.tensorinv(v(SINGULAR), ind=1),
    "tensorsolve": lambda t, v: t.linalg.tensorsolve(v(SINGULAR), t.ones(2)),
    "matrix_power": lambda t, v: t.linalg.matrix_power(v(SECOND), -2),
    "matrix_power, right": lambda t, v: t.matrix_power(v(INDEFINITE), -2),
    "cholesky_inverse": lambda t, v: t.cholesky_inverse(v([[1.0, 0.0], [2.0, 0.0]])),
    "cholesky_inverse, batch": lambda t, v: t.cholesky_inverse(v([[[1.0, 0.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]])),
    "eig": lambda t, v: t.linalg.eig(v(HOLE))[0],
    "svd": lambda t, v: t.linalg.svd(v(HOLE))[1],
    "svd, batch": lambda t, v: t.svd(v([SINGULAR, HOLE]))[1],
    "svdvals": lambda t, v: t.linalg.svdvals(v(HOLE)),
    "pinv": lambda t, v: t.linalg.pinv(v(HOLE)),
    "matrix_rank": lambda t, v: t.linalg.matrix_rank(v(HOLE)),
    "lu_solve, large": lambda t, v: t.linalg.lu_solve(t.eye(2), v([1, 5]).int(), t.ones(2, 1)),
    "lu_solve, zero": lambda t, v: t.linalg.lu_solve(t.eye(2), v([0, 2]).int(), t.ones(2, 1)),
    "lu_unpack": lambda t, v: t.lu_unpack(t.eye(2), v([0, 2]).int())[0],
    "ldl_solve": lambda t, v: t.linalg.ldl_solve(t.eye(2), v([0, 2]).int(), t.ones(2, 1)),
    "ctc_loss, inputs": lambda t, v: _ctc(t, v([9]), t.tensor([2])),
    "ctc_loss, negative inputs": lambda t, v: _ctc(t, v([-1]), t.tensor([2])),
    "ctc_loss, targets": lambda t, v: _ctc(t, t.tensor([4]), v([5])),
    "ctc_loss, negative targets": lambda t, v: _ctc(t, t.tensor([4]), v([-5])),
    "embedding_bag": lambda t, v: t.nn.functional.embedding_bag(t.tensor([0, 1]), t.ones(3, 2), v([1, 1])),
    "div, floor": lambda t, v: t.div(t.tensor([2, 3]), v([1, 0]), rounding_mode="floor"),
    "div, trunc by number": lambda t, v: t.div(v([2]), 0, rounding_mode="trunc"),
    "div": lambda t, v: t.div(t.tensor([2, 3]), v([1, 0])),
    "floor_divide": lambda t, v: t.tensor([2]) // v([0]),
    "floor_divide of a number": lambda t, v: 2 // v([0]),
    "floor_divide_": lambda t, v: t.tensor([2]).floor_divide_(v([0])),
    "floor_divide of floats": lambda t, v: t.tensor([2]) // v([0.0]),
    "floor_divide by 0.0": lambda t, v: v([2]) // 0.0,
    "remainder": lambda t, v: t.tensor([2]) % v([False]),
    "remainder by number": lambda t, v: v([2]) % 0,
    "remainder of a number": lambda t, v: 2 % v([0]),
    "fmod": lambda t, v: t.fmod(t.tensor([2]), v([0])),
    "fmod by number": lambda t, v: t.fmod(v([2]), 0),
    "masked_scatter": lambda t, v: t.zeros(3).masked_scatter(v([True, True, True]), t.ones(2)),
    "masked_scatter, broadcast": lambda t, v: t.zeros(2, 3).masked_scatter_(v([True, False, True]), t.ones(3)),
    "masked_scatter, enough": lambda t, v: t.zeros(2, 3).masked_scatter_(v([True, False, True]), t.ones(4)),
    "cov": lambda t, v: t.cov(t.ones(2, 2), fweights=v([0, 0])),
    "repeat_interleave": lambda t, v: t.repeat_interleave(t.tensor([1, 2]), v([1, 2]), output_size=4),
    "_assert_async": lambda t, v: t._assert_async(v([0])),
    "_assert_async, said": lambda t, v: t._assert_async(v(False), "why"),
    **{
        f"binary_cross_entropy of {x}": lambda t, v, x=x: t.nn.functional.binary_cross_entropy(v([0.5, x]), t.tensor([0.0, 1.0]))
        for x in (1.5, -0.1, nan, 1.0)
    },
    "binary_cross_entropy, target": lambda t, v: t.nn.functional.binary_cross_entropy(t.tensor([0.5, 0.5]), v([0.0, 1.5])),
    "BCELoss of halves": lambda t, v: t.nn.BCELoss()(v([0.5, 1.5]).half(), t.tensor([0.0, 1.0]).half()),
}  # fmt: skip
# Here torch's text names values that are not looked at.
KINDS: dict[str, Callable[[Any, Any], Any]] = {
    "histc": lambda t, v: t.histc(v([0.0, inf])),
    "histc, given range": lambda t, v: t.histc(v([0.0, nan]), min=0, max=1),
    "histc, no range": lambda t, v: t.histc(v([0.0, 1.0]), min=nan, max=1),
    "histogram": lambda t, v: t.histogram(v([0.0, nan]), 4)[0],
    "histogram, no range": lambda t, v: t.histogram(v([0.0, 1.0]), 4, range=(nan, 1.0))[0],
    "histogramdd": lambda t, v: t.histogramdd(v([[0.0, inf]]), [2, 2])[0],
}


def _ctc(t: Any, inputs: Any, targets: Any) -> Any:
    return t.nn.functional.ctc_loss(t.zeros(4, 1, 3).log_softmax(2), t.tensor([[1, 2]]), inputs, targets)


def _outcome(t: Any, case: Callable[[Any, Any], Any], computed: bool) -> Any:
    def value(values: Any) -> Any:
        return t.tensor(values) * 1 if computed and not isinstance(values, bool) else t.tensor(values)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = case(t, value)
            if result is None:
                (t.ones(1) + 1).sum().item()  # the next look
                return None
            return str(result.tolist())[:6]
        except RuntimeError as error:
            return type(error).__name__, str(error).partition("\n")[0]


@pytest.mark.parametrize("computed", [False, True], ids=["known", "computed"])
@pytest.mark.parametrize("name", CASES)
def test_as_torch(name: str, computed: bool) -> None:
    assert _outcome(bridge.jtorch(), CASES[name], computed) == _outcome(torch, CASES[name], computed)


@pytest.mark.parametrize("computed", [False, True], ids=["known", "computed"])
@pytest.mark.parametrize("name", KINDS)
def test_kind_of_error(name: str, computed: bool) -> None:
    assert _outcome(bridge.jtorch(), KINDS[name], computed)[0] == _outcome(torch, KINDS[name], computed)[0]
