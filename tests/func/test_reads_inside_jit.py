"""Values that somebody's ``jax.jit`` is the first to read: they are computed outside of it, whatever held them, and are there afterwards. Expectations are numpy's."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtorch as torch
from jtorch.func import to_jax


def pending(n):
    return [torch.ones(n) * 3, torch.zeros(n) + 3]


def written(n):
    x = torch.empty(n)
    x.fill_(2.0)
    return [x + 1, x.add_(1)]


def of_a_module(n):
    layer = torch.nn.BatchNorm1d(n)
    with torch.no_grad():
        layer.bias.add_(3)
        layer.weight.mul_(3)
    return [layer.weight, layer.bias]


def gradients(n):
    w = [torch.nn.Parameter(torch.ones(n)) for _ in range(2)]
    (3 * (w[0] + w[1])).sum().backward()
    return [p.grad for p in w]


def of_another_thread(n):
    made = []
    other = threading.Thread(target=lambda: made.extend(pending(n)))
    other.start()
    other.join()
    return made


@pytest.mark.parametrize("make", [pending, written, of_a_module, gradients, of_another_thread])
def test_read_first_inside_jit(make):
    for n in (4, 4, 4, 5, 6, 7, 9, 4, 5, 6, 8, 9):  # sizes that change bring programs for all of them, whose results are held padded
        tensors = make(n)
        out = jax.jit(lambda k, tensors=tensors: k * sum(jnp.asarray(to_jax(t)).sum() for t in tensors))(1.0)
        assert out == 6 * n
        assert all(np.array_equal(t.detach().numpy(), np.full(n, 3, np.float32)) for t in tensors)
        assert all(float((t.detach() + 1).sum()) == 4 * n for t in tensors)


def test_a_look_inside_jit():
    for n in (4, 4, 5, 6, 7, 9, 8):
        x = torch.full((n,), 2.0).square()

        @jax.jit
        def f(k, x=x):
            return k * float(x.sum())

        assert f(1.0) == 4 * n and x.tolist() == [4.0] * n
