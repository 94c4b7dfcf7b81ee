"""What a call's arguments come to is remembered by their pattern; what the pattern does not hold must not be remembered."""

from __future__ import annotations

import pytest

import jtorch as torch


def test_scalars_change_and_defaults_stay() -> None:
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    for _ in range(2):
        assert x.add(y).tolist() == [11.0, 22.0]
        for alpha in (1, 2, -3, 2.5):
            assert x.add(y, alpha=alpha).tolist() == [1 + 10 * alpha, 2 + 20 * alpha]
    for low in (0.0, -0.0, 1.5, 1.5, 2.0):
        assert torch.clamp(x, min=low).tolist() == [max(1.0, low), max(2.0, low)]
    for v in (3, 3.0, True):
        assert torch.full_like(x, v).tolist() == [float(v)] * 2


def test_numbers_of_different_classes_are_different_calls() -> None:
    i = torch.tensor([1, 2])
    assert i.mul(2).dtype is torch.int64
    assert i.mul(2.0).dtype is torch.float32
    assert i.mul(True).dtype is torch.int64
    assert i.mul(2).dtype is torch.int64
    x = torch.arange(6.0).view(2, 3)
    assert x.sum(1, True).shape == (2, 1)
    assert x.sum(1, False).shape == (2,)
    with pytest.raises(TypeError):
        x.sum(1.0)


def test_sequences_and_names() -> None:
    x = torch.arange(6.0).view(2, 3)
    for dims in ((0, 1), [0, 1], torch.Size([0, 1])):
        assert x.sum(dims).item() == 15.0
    for _ in range(2):
        assert x.sum(axis=0).tolist() == [3.0, 5.0, 7.0]
        assert x.sum(dim=0).tolist() == [3.0, 5.0, 7.0]
        assert x.permute(1, 0).shape == x.permute((1, 0)).shape == (3, 2)
        assert torch.cat([x, x]).shape == (4, 3)
        assert torch.cat([x, x, x], 1).shape == (2, 9)
    with pytest.raises(TypeError):
        x.permute((1.0, 0.0))


def test_places_of_tensors() -> None:
    a, b, c = torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([3.0])
    for _ in range(2):
        assert torch.addcmul(a, b, c).item() == 7.0
        assert torch.addcmul(a, tensor2=c, tensor1=b).item() == 7.0
        assert torch.addcmul(a, tensor1=c, tensor2=a).item() == 4.0
        assert torch.addcmul(a, b, c, value=0.5).item() == 4.0
        assert torch.where(torch.tensor([True]), a, 5.0).item() == 1.0
        assert torch.where(torch.tensor([False]), a, 6.0).item() == 6.0


def test_in_place_on_a_tensor_that_nobody_else_sees_and_on_others() -> None:
    x = torch.zeros(3)
    kept, version = x * 1, x._version
    assert x.add_(1) is x
    assert x._version == version + 1
    assert kept.tolist() == [0.0, 0.0, 0.0]
    view = x[1:]
    x += 1
    assert view.tolist() == [2.0, 2.0]
    view *= 3
    assert x.tolist() == [2.0, 6.0, 6.0]
    w = torch.ones(2, requires_grad=True)
    y = w * 2
    y.mul_(w)
    y.sum().backward()
    assert w.grad.tolist() == [4.0, 4.0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        w.add_(1)
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        x.add_(torch.ones(2, 3))
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.ones(2, dtype=torch.int64).add_(0.5)
