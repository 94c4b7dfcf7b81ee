"""numpy's scalars and arrays beside tensors, and numbers in the place of tensors: type, shape, values and exceptions are torch's."""

from __future__ import annotations

import copy
import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from compat import bridge

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    n: getattr(operator, n)
    for n in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "eq", "ne", "lt", "ge", "iadd", "isub", "imul", "ipow")
}
NUMBERS = {f"numpy.{k}": np.dtype(k).type(2) for k in ("bool", "int8", "int64", "float32", "float64", "complex64", "complex128")}
ARRAYS = {f"array {k}{list(s)}": np.full(s, 2, k) for k in ("int64", "float64") for s in ((), (1,), (2,))}
OTHERS: dict[str, Any] = {**NUMBERS, **ARRAYS, "True": True, "list": [1, 2]}
FUNCTIONS = ("add", "sub", "mul", "div", "true_divide", "floor_divide", "remainder", "pow", "rsub")


def seen(library: Any, make: Callable[[Any], Any]) -> Any:
    """Type, shape and values of a result, or the type of the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            r = make(library)
        except Exception as e:
            return type(e).__name__
    if isinstance(r, library.Tensor):
        return str(r.dtype).replace("jtorch", "torch"), tuple(r.shape), r.tolist()
    return type(r).__name__, str(r)


def same(make: Callable[[Any], Any]) -> None:
    theirs, ours = seen(torch, make), seen(bridge.jtorch(), make)
    if isinstance(theirs, tuple) and isinstance(theirs[-1], (list, float)) and isinstance(ours, tuple):
        assert ours[:-1] == theirs[:-1]
        np.testing.assert_allclose(ours[-1], theirs[-1], rtol=1e-6)  # one division may be a product with a reciprocal
    else:
        assert ours == theirs


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str, other: str) -> None:
    f = OPERATORS[name]
    for kind in ("float32", "int64", "bool"):
        for values in ([1, 3], 3):
            same(lambda t: f(t.tensor(values).to(getattr(t, kind)), copy.copy(OTHERS[other])))  # noqa: B023
            same(lambda t: f(copy.copy(OTHERS[other]), t.tensor(values).to(getattr(t, kind))))  # noqa: B023


@pytest.mark.parametrize("kind", ["float16", "float32", "int8", "bool"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_in_the_first_place(name: str, kind: str) -> None:
    for number in (2, 2.5, True, np.float64(2.5), "a"):
        for values in ([5, 3], 7):
            same(lambda t: getattr(t, name)(number, t.tensor(values).to(getattr(t, kind))))  # noqa: B023
        same(lambda t: getattr(t, name)(number, 2))  # noqa: B023


def test_gradient_of_a_tensor_in_the_second_place() -> None:
    def grads(t: Any) -> Any:
        x = t.tensor([2.0, 3.0], requires_grad=True)
        (t.div(1.0, x) + t.mul(3, x) * t.sub(1, x)).sum().backward()
        return x.grad

    same(grads)


def test_subtraction_of_bools_is_refused() -> None:
    for f in (lambda t, x, m: x - m, lambda t, x, m: m - x, lambda t, x, m: 1 - m, lambda t, x, m: t.rsub(m, 1), lambda t, x, m: x.sub_(True)):
        same(lambda t: f(t, t.ones(2), t.tensor([True, False])))  # noqa: B023


def test_ufuncs_give_tensors() -> None:
    for f in (np.sin, np.exp, np.sqrt, lambda x: np.add(x, 1), lambda x: np.greater(x, 0)):
        for values in ([1.0, 2.0], 2.0):
            same(lambda t: f(t.tensor(values)))  # noqa: B023


def test_half_beside_complex() -> None:
    for make in (lambda t, x: x * 1j, lambda t, x: x**1j, lambda t, x: t.result_type(x, 1j), lambda t, x: t.tensor(1j) + x):
        same(lambda t: make(t, t.ones(2).half()))  # noqa: B023
