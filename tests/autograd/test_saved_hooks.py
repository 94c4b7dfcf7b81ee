"""Hooks on saved tensors, mutation of what was saved, hooks on several gradients."""

from __future__ import annotations

import pytest

import jtorch as torch
from jtorch.autograd import graph


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_pack_and_unpack_are_asked_for_each_pass():
    seen = []
    x = leaf(1.0, 2.0)
    with graph.saved_tensors_hooks(lambda t: (seen.append("pack"), t.detach() * 2)[1], lambda t: (seen.append("unpack"), t / 2)[1]):
        y = x.exp()
    assert seen == ["pack"]
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    assert seen == ["pack", "unpack", "unpack"]
    assert torch.allclose(x.grad, 2 * x.detach().exp())


def test_the_innermost_pair_is_asked():
    seen = []
    x = leaf(1.0)
    with graph.saved_tensors_hooks(lambda t: (seen.append("outer"), t)[1], lambda t: t):
        with graph.saved_tensors_hooks(lambda t: (seen.append("inner"), t)[1], lambda t: t):
            y = x.exp()
        y = y.exp()
    y.exp()
    assert seen == ["inner", "outer"]


def test_hooks_that_are_wrong():
    x = leaf(1.0)
    with graph.saved_tensors_hooks(lambda t: t, lambda t: 5):
        y = x.exp()
    with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor but got result of type int"):
        y.backward()
    with graph.saved_tensors_hooks(lambda t: t.detach().mul_(2), lambda t: t), pytest.raises(RuntimeError, match="modifying its input in place"):
        x.exp()
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            pass
    x.exp()  # hooks are off again


def test_functions_and_the_cpu():
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return x * w

        @staticmethod
        def backward(ctx, g):
            x, w = ctx.saved_tensors
            return g * w, g * x

    x, w, shapes = leaf(1.0, 2.0), leaf(3.0, 4.0), []
    with graph.saved_tensors_hooks(lambda t: (shapes.append(t.shape), t)[1], lambda t: t):
        y = Product.apply(x, w)
    with graph.save_on_cpu():
        y = (y * y).sum()
    y.backward()
    assert shapes == [(2,), (2,)]
    assert x.grad.tolist() == [18.0, 64.0]


def test_a_second_derivative_through_hooks():
    x = leaf(1.0, 2.0)
    with graph.saved_tensors_hooks(lambda t: t.detach().numpy(), lambda a: torch.from_numpy(a)):
        y = (x * x * x).sum()
        (g,) = torch.autograd.grad(y, x, create_graph=True)
    g.sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]


def test_saved_values_as_attributes():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * w
    assert y.grad_fn._saved_self is x
    assert y.exp().grad_fn._saved_result.grad_fn is not None
    y.grad_fn._raw_saved_other.register_hooks(lambda t: t * 2, lambda t: t)
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 8.0]
    with pytest.raises(RuntimeError, match="a second time"):
        _ = y.grad_fn._saved_self
    with pytest.raises(AttributeError):
        _ = y.grad_fn._saved_nothing


def test_writing_to_what_was_saved():
    x = leaf(1.0, 1.0)
    with graph.allow_mutation_on_saved_tensors():
        y = x.clone()
        z = (y * y).sum()
        y.sin_()
        z.backward()
        assert x.grad.tolist() == [2.0, 2.0]
        y = x.clone()
        z = (y * y).sum()
        y.zero_()
    with pytest.raises(AssertionError, match="outside of the"):
        z.backward()


def test_a_hook_on_several_gradients():
    a, b, seen = leaf(1.0), leaf(2.0), []
    c, d = a * b, a * 3
    handle = graph.register_multi_grad_hook((a, b, c, d), lambda gs: seen.append([g is not None for g in gs]))
    c.sum().backward(retain_graph=True)
    (c + d).sum().backward()
    assert seen == [[True, True, True, False], [True] * 4]
    handle.remove()
    first = []
    with graph.register_multi_grad_hook((a, b), lambda g: first.append(g.item()), mode="any"):
        (a * b).sum().backward()
    assert len(first) == 1
