"""``as_strided`` of tensors that are views themselves, and tensors given as ``out=`` that share memory."""

from __future__ import annotations

import pytest

import jtorch as torch


def leaf() -> torch.Tensor:
    return torch.arange(12.0).reshape(3, 4)[:, ::2].detach().requires_grad_()


def test_the_gradient_goes_to_the_leaf_and_what_is_outside_is_dropped():
    x = leaf()
    y = torch.as_strided(x, (2, 2), (1, 2))
    assert y.tolist() == [[0, 2], [1, 3]]
    (g,) = torch.autograd.grad((y**2).sum(), x, create_graph=True)
    assert g.tolist() == [[0, 4], [0, 0], [0, 0]]
    assert torch.autograd.grad(g.sum(), x)[0].tolist() == [[2, 2], [0, 0], [0, 0]]
    assert torch.autograd.grad(y[0].sum(), x)[0].tolist() == [[1, 1], [0, 0], [0, 0]]


def test_overlapping_elements_share_the_gradient():
    b = torch.as_strided(torch.arange(4.0), (3, 2), (1, 1)).requires_grad_()
    g = torch.autograd.grad(b.as_strided((2, 2), (2, 1)).sum(), b)[0]
    assert g.tolist() == [[1, 0.5], [0.5, 0.5], [0.5, 1]]


def test_in_place():
    z = torch.arange(4.0, requires_grad=True) * 2
    assert z.as_strided_((2, 2), (1, 2)) is z and z._version == 1 and z.tolist() == [[0, 4], [2, 6]]
    with pytest.raises(RuntimeError, match="a leaf Variable"):
        torch.ones(3, requires_grad=True).as_strided_((2,), (1,))
    x = leaf().detach()
    x.mul_(torch.ones((), requires_grad=True))
    with pytest.raises(NotImplementedError, match="clone"):
        torch.as_strided(x, (2, 2), (1, 2)).mul_(2)


def test_outside_of_memory():
    with pytest.raises(RuntimeError, match="out of bounds for storage of size 12"):
        torch.zeros(3).as_strided((2,), (3,))


def test_out_that_shares_memory():
    x = torch.arange(4.0)
    with pytest.raises(RuntimeError, match="more than one element"):
        torch.add(x, 1, out=torch.zeros(1).expand(4))
    with pytest.raises(RuntimeError, match="some elements of the input"):
        torch.add(x[:3], 1, out=x[1:])
    with pytest.raises(RuntimeError, match="some elements of the input"):
        torch.gather(x, 0, torch.arange(4), out=x)
    assert torch.add(x, 1, out=x) is x and x.tolist() == [1, 2, 3, 4]
