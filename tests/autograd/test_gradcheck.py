"""``gradcheck`` accepts right gradients of functions that save their inputs, refuses wrong ones, and leaves the inputs as they were."""

from __future__ import annotations

from typing import Any

import pytest

import jtorch
from jtorch.autograd import gradcheck, gradgradcheck


def _leaf(*shape: int, dtype: Any = jtorch.double) -> Any:
    return jtorch.rand(*shape, dtype=dtype).requires_grad_()


class _Halved(jtorch.autograd.Function):  # type: ignore[misc]
    """The square, with half of its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * x


@pytest.mark.parametrize("make", [lambda: (jtorch.sin, _leaf(2, 2)), lambda: (lambda v: v**2, _leaf(2)), lambda: (lambda v: v.sum(0), _leaf(2, 3).t()), lambda: (lambda v: v * v, _leaf(2, dtype=jtorch.cdouble)), lambda: (lambda a, b: (a @ b, a.exp()), (_leaf(2, 2), _leaf(2, 3)))], ids=["sin", "square", "transposed", "complex", "two outputs"])  # fmt: skip
def test_right_gradients_pass(make: Any) -> None:
    jtorch.manual_seed(0)
    func, inputs = make()
    assert gradcheck(func, inputs)


def test_parameters_that_the_function_knows_by_itself() -> None:
    layer, x = jtorch.nn.Linear(2, 2).double(), _leaf(3, 2)
    assert gradcheck(lambda *_: layer(x), (x, *layer.parameters()))
    assert gradgradcheck(lambda v: (v**3).sin(), _leaf(2))


def test_a_wrong_gradient_is_found() -> None:
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"):
        gradcheck(_Halved.apply, _leaf(2))
    assert not gradcheck(_Halved.apply, _leaf(2), raise_exception=False)


def test_graphs_made_before_stay_good() -> None:
    x = _leaf(2)
    before, version = x.detach().clone(), x._version
    y = x.sin().sum()
    assert gradcheck(jtorch.cos, x)
    y.backward()
    assert jtorch.equal(x, before) and x._version == version and jtorch.allclose(x.grad, before.cos())
