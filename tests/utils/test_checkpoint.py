"""Checkpoints: the same numbers, the same random numbers, run twice, and errors where the runs differ."""

from __future__ import annotations

import pytest

import jtorch as torch
from jtorch import nn as nn
from jtorch.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 4))


def run(wrap):
    m = model()
    x = torch.arange(8.0).reshape(2, 4).requires_grad_()
    y = wrap(m, x)
    y.sum().backward()
    return [y.tolist(), x.grad.tolist(), [p.grad.tolist() for p in m.parameters()], torch.rand(2).tolist()]


def close(a, b):
    if isinstance(a, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))
    return a == pytest.approx(b, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("reentrant", [True, False])
def test_as_without(reentrant):
    calls = []

    def counted(m):
        def f(x):
            calls.append(1)
            return m(x)

        return f

    plain = run(lambda m, x: m(x))
    assert close(run(lambda m, x: checkpoint(counted(m), x, use_reentrant=reentrant)), plain) and len(calls) == 2
    assert close(run(lambda m, x: checkpoint_sequential(m, 2, x, use_reentrant=reentrant)), plain)


def test_nested_and_keyword_arguments():
    m = model().eval()
    x = torch.ones(2, 4, requires_grad=True)

    def inner(x, *, scale):
        return checkpoint(m, x, use_reentrant=False) * scale

    y = checkpoint(inner, x, scale=torch.tensor(2.0), use_reentrant=False)
    y.sum().backward()
    got, x.grad = x.grad.tolist(), None
    (m(x) * 2).sum().backward()
    assert close(got, x.grad.tolist())


def test_second_derivative():
    a = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = checkpoint(lambda a: a**3, a, use_reentrant=False)
    (g,) = torch.autograd.grad(y.sum(), a, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), a)
    assert g.tolist() == [3.0, 12.0] and h.tolist() == [6.0, 12.0]


def test_differences_between_the_runs():
    runs = []

    def odd(x):
        runs.append(1)
        return (x * x).sin() if len(runs) == 1 else x * x

    x = torch.ones(2, requires_grad=True)
    with pytest.raises(CheckpointError, match="A different number of tensors"):
        checkpoint(odd, x, use_reentrant=False).sum().backward()
    runs.clear()

    def wider(x):
        runs.append(1)
        return (x.expand(len(runs), 2) ** 2).sum()

    with pytest.raises(CheckpointError, match="different metadata"):
        checkpoint(wider, x, use_reentrant=False).backward()


def test_without_gradients_and_wrong_arguments():
    x = torch.ones(2)
    with torch.no_grad():
        assert checkpoint(lambda x: x * 2, x, use_reentrant=False).tolist() == [2.0, 2.0]
    with pytest.warns(UserWarning, match="None of the inputs"):
        checkpoint(lambda x: x * 2, x, use_reentrant=True)
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed"):
        checkpoint(lambda x: x * 2, x.requires_grad_())
    with pytest.raises(ValueError, match="Unexpected keyword arguments: foo"):
        checkpoint(lambda x: x, x, use_reentrant=True, foo=1)
    with pytest.raises(ValueError, match="determinism_check"):
        checkpoint(lambda x: x, x, use_reentrant=False, determinism_check="maybe")
