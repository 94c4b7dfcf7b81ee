"""Pointwise operators where torch's convention is one of several: signs, ties, nan, overflow, gradients at kinks."""

from __future__ import annotations

import math

import pytest

import jtorch as torch

INF, NAN = math.inf, math.nan


def grad_of(fn, *values, dtype=torch.float64):
    inputs = [torch.tensor(v, dtype=dtype, requires_grad=True) for v in values]
    fn(*inputs).sum().backward()
    found = [x.grad.tolist() for x in inputs]
    return found[0] if len(found) == 1 else found


def same(tensor, expected):
    got = tensor.tolist()
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b)), (got, expected)


def test_integer_division_and_remainder_signs() -> None:
    a, b = torch.tensor([7, -7, 7, -7]), torch.tensor([3, 3, -3, -3])
    assert (a // b).tolist() == [2, -3, -3, 2]
    assert torch.div(a, b, rounding_mode="trunc").tolist() == [2, -2, -2, 2]
    assert (a % b).tolist() == [1, 2, -2, -1]
    assert torch.fmod(a, b).tolist() == [1, -1, 1, -1]
    assert torch.remainder(-7, b).tolist() == [2, 2, -1, -1]
    assert (a / b).dtype is torch.float32


def test_float_floor_division_follows_the_exact_remainder() -> None:
    same(torch.tensor([1.0, -1.0, 6.0, -0.0]) // torch.tensor([0.1, 0.1, -2.5, 3.0]), [9.0, -10.0, -3.0, -0.0])
    same(torch.div(torch.tensor([-1.0, 1.0]), 4, rounding_mode="trunc"), [-0.0, 0.0])
    with pytest.raises(RuntimeError, match="div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'up'"):
        torch.div(torch.ones(1), 2, rounding_mode="up")


def test_integers_wrap() -> None:
    x = torch.tensor([127, -128], dtype=torch.int8)
    assert (x + 1).tolist() == [-128, -127]
    assert (x * 2).tolist() == [-2, 0]
    assert x.abs().tolist() == [127, -128]
    assert (torch.tensor([200], dtype=torch.uint8) + 100).tolist() == [44]
    assert (torch.tensor([3, -2], dtype=torch.int32) ** 41).tolist() == [(3**41 + 2**31) % 2**32 - 2**31, 0]


def test_integer_powers_by_tensors_and_shifts() -> None:
    assert torch.pow(torch.tensor([2, 1, -1, -1, 0]), torch.tensor([-1, -5, -3, -2, -1])).tolist() == [0, 1, -1, 1, 0]
    with pytest.raises(RuntimeError, match="Integers to negative integer powers are not allowed"):
        torch.tensor([2]) ** -1
    x = torch.tensor([1, -1, -8], dtype=torch.int32)
    assert (x << 33).tolist() == [0, 0, 0]
    assert (x >> 40).tolist() == [0, -1, -1]
    assert (x >> 2).tolist() == [0, -1, -2]


def test_bools_in_arithmetic() -> None:
    a, b = torch.tensor([True, False]), torch.tensor([True, True])
    assert (a + b).tolist() == [True, True]
    assert (a * b).tolist() == [True, False]
    with pytest.raises(RuntimeError, match="with two bool tensors is not supported"):
        a - b
    with pytest.raises(RuntimeError, match="Negation, the `-` operator, on a bool tensor"):
        -a
    with pytest.raises(RuntimeError, match="alpha must not be a floating point number"):
        torch.add(torch.tensor([1]), torch.tensor([1]), alpha=0.5)


def test_nan_in_extrema() -> None:
    a, b = torch.tensor([1.0, NAN, 3.0]), torch.tensor([NAN, 2.0, 1.0])
    same(torch.maximum(a, b), [NAN, NAN, 3.0])
    same(torch.fmax(a, b), [1.0, 2.0, 3.0])
    same(torch.fmin(a, b), [1.0, 2.0, 1.0])
    same(torch.clamp(a, 0, 2), [1.0, NAN, 2.0])
    same(torch.clamp(torch.tensor([1.0]), 3, 2), [2.0])
    same(torch.sign(torch.tensor([NAN, -0.0, -2.0])), [0.0, 0.0, -1.0])
    same(torch.nan_to_num(torch.tensor([NAN, INF]), nan=5.0, posinf=7.0), [5.0, 7.0])


def test_ties_share_the_gradient_or_do_not() -> None:
    assert grad_of(torch.maximum, [1.0, 2.0], [1.0, 1.0]) == [[0.5, 1.0], [0.5, 0.0]]
    assert grad_of(torch.minimum, [1.0, 2.0], [1.0, 1.0]) == [[0.5, 0.0], [0.5, 1.0]]
    assert grad_of(torch.fmax, [1.0], [1.0]) == [[1.0], [0.0]]
    assert grad_of(lambda x: torch.clamp(x, 0, 1), [-1.0, 0.0, 0.5, 1.0, 2.0]) == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert grad_of(lambda x, lo: torch.clamp(x, min=lo), [1.0, 0.0], [1.0, 1.0]) == [[1.0, 0.0], [0.0, 1.0]]


def test_gradients_at_kinks_are_torchs() -> None:
    assert grad_of(torch.abs, [0.0, -1.0]) == [0.0, -1.0]
    assert grad_of(lambda x: x**0, [0.0]) == [0.0]
    assert grad_of(lambda x, y: x**y, [0.0], [0.0]) == [[0.0], [0.0]]
    assert grad_of(torch.atan2, [0.0], [0.0]) == [[0.0], [0.0]]
    assert grad_of(torch.sinc, [0.0]) == [0.0]
    assert grad_of(torch.xlogy, [0.0], [0.0])[0] == [0.0]
    assert grad_of(lambda x: torch.nan_to_num(x), [NAN, INF, 1.0]) == [0.0, 0.0, 1.0]
    assert grad_of(torch.fmod, [7.0], [-3.0]) == [[1.0], [2.0]]
    assert grad_of(torch.remainder, [7.0], [-3.0]) == [[1.0], [3.0]]
    z = torch.zeros(1, dtype=torch.complex128, requires_grad=True)
    z.abs().sum().backward()
    assert z.grad.tolist() == [0j]


def test_names_of_grad_fn_follow_the_overload() -> None:
    x = torch.ones(2, requires_grad=True)
    names = {
        "PowBackward0": x**2, "PowBackward1": x**x, "PowBackward2": 2**x, "RemainderBackward0": x % 2, "RemainderBackward1": x % x,
        "ClampBackward0": x.clamp(min=x), "ClampBackward1": x.clamp(min=0), "RsubBackward1": 1 - x, "Log1PBackward0": x.log1p(),
    }  # fmt: skip
    assert [t.grad_fn.name() for t in names.values()] == list(names)


def test_second_derivatives() -> None:
    x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert second.tolist() == [3.0, 12.0]


def test_exact_powers_of_two() -> None:
    same(torch.exp2(torch.tensor([10.0, -126.0, 127.0, 128.0, -INF])), [1024.0, 2.0**-126, 2.0**127, INF, 0.0])
    m, e = torch.frexp(torch.tensor([1e30, -6.0, 0.0]))
    assert (m * 2.0 ** e.to(torch.float64)).tolist() == [float(torch.tensor(1e30)), -6.0, 0.0]
    assert e.tolist() == [100, 3, 0]


def test_types_that_are_refused() -> None:
    with pytest.raises(NotImplementedError, match='"floor_vml_cpu" not implemented for \'Bool\''):
        torch.floor(torch.tensor([True]))
    with pytest.raises(NotImplementedError, match='"lt_cpu" not implemented for \'ComplexFloat\''):
        torch.tensor([1j]) < 1
    with pytest.raises(NotImplementedError, match='"bitwise_and_cpu" not implemented for \'Float\''):
        torch.ones(1) & 1
    with pytest.raises(RuntimeError, match="In-place abs is not supported for complex tensors"):
        torch.tensor([1j]).abs_()
    with pytest.raises(RuntimeError, match="has dtype Float but the operation's result requires dtype Double"):
        torch.ones(1).float_power_(2)


def test_where_and_masked_fill() -> None:
    m = torch.tensor([True, False])
    assert torch.where(m, 1, 2.5).tolist() == [1.0, 2.5]
    assert [i.tolist() for i in torch.where(torch.tensor([[0, 3], [4, 0]]))] == [[0, 1], [1, 0]]
    assert torch.ones(2).masked_fill(m, -INF).tolist() == [-INF, 1.0]
    with pytest.raises(RuntimeError, match="only supports boolean masks"):
        torch.ones(2).masked_fill(torch.tensor([1, 0]), 0)
    with pytest.raises(RuntimeError, match="where expected condition to be a boolean tensor"):
        torch.where(torch.tensor([1, 0]), 1, 2)


def test_in_place_keeps_what_its_own_backward_needs() -> None:
    x = torch.tensor([-2.0, 3.0], requires_grad=True)
    y = (x * 1).abs_()
    y.sum().backward()
    assert x.grad.tolist() == [-1.0, 1.0]
