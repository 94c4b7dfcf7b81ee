"""Results and views written in place while backward still needs them: the same gradients as torch's, or both refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

# Each writes into y = x * 1 (2 x 6), and may return what is to be summed; else y is.
WRITES: dict[str, Any] = {
    "relu_ of a view": lambda t, y: t.relu_(y.view(3, 4)),
    "sin_ of columns": lambda t, y: y[:, 1:3].sin_(),
    "square_ of a transposed part": lambda t, y: y.view(3, 4)[1:].t().square_(),
    "leaky_relu_ after flatten": lambda t, y: t.nn.functional.leaky_relu_(y.flatten()),
    "clamp_ of one view, elu_ of another": lambda t, y: (y.view(3, 4).clamp_(2, 5), t.nn.functional.elu_(y.t())) and None,
    "masked_fill_ by the view itself": lambda t, y: (y[:, 2:].masked_fill_(y[:, 2:] > 9, 0.0), None)[1],
    "columns in a loop": lambda t, y: [y[:, i].mul_(2).sin_() for i in range(3)] and None,
    "cumprod_ of a row": lambda t, y: y[0].cumprod_(0),
    "a part, then the rest": lambda t, y: (y[:, :2].sin_(), y[:, 3:].add_(1)) and None,
    "a part whose result is kept, then the rest": lambda t, y: (y[:, :2].sigmoid_(), y[:, 3:].add_(1)) and None,
    "exp_ of a view, then all": lambda t, y: (y.view(-1).exp_(), y.add_(1)) and None,
    "times itself": lambda t, y: y.mul_(y),
    "a view times itself": lambda t, y: y.view(-1).mul_(y.view(-1)),
    "a column times another": lambda t, y: y[:, 0].mul_(y[:, 1]),
    "a column divided by another's copy": lambda t, y: y[:, 0].div_(y[:, 1].clone()),
    "addcmul_ of itself": lambda t, y: y[:, 0].addcmul_(y[:, 0], y[:, 2].clone()),
    "a column of squares of another": lambda t, y: y.__setitem__((slice(None), 0), y[:, 1] ** 2),
    "what sin saved, by a view": lambda t, y: (y.sin(), y[:, :2].add_(1))[0],
    "a detached view of what square saved": lambda t, y: ((y**2).sum(), y.detach()[0].mul_(3))[0],
    "batch_norm without weights": lambda t, y: t.nn.functional.batch_norm(y, None, None, training=True).mul_(y.detach()),
    "instance_norm, then relu_": lambda t, y: t.relu_(t.nn.functional.instance_norm(y.view(1, 2, 6))) * y.detach(),
    "layer_norm without weights": lambda t, y: t.nn.functional.layer_norm(y, (6,)).mul_(y.detach()),
    "group_norm without weights": lambda t, y: t.nn.functional.group_norm(y, 2).mul_(y.detach()),
    "erfinv": lambda t, y: (y / 20).erfinv().mul_(2),
    "max along a dim": lambda t, y: y.max(0).values.mul_(2),
    "min along a dim, kept": lambda t, y: y.min(1, keepdim=True)[0].mul_(2),
    "softmax": lambda t, y: y.softmax(1).mul_(2),
    "tanh": lambda t, y: y.tanh().mul_(2),
}


def gradient(t: Any, write: Any) -> Any:
    """The gradient of x, or the type of the exception."""
    x = t.arange(1.0, 13.0).view(2, 6).requires_grad_()
    y = x * 1
    try:
        out = write(t, y)
        (y if out is None else out).sum().backward()
    except RuntimeError as error:
        return type(error)
    return x.grad.numpy()


@pytest.mark.parametrize("name", WRITES)
def test_gradients_are_torchs(name: str) -> None:
    theirs, ours = gradient(torch, WRITES[name]), gradient(jtorch, WRITES[name])
    if isinstance(theirs, type) or isinstance(ours, type):
        assert ours is theirs
    else:
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("host", [False, True])
def test_a_factor_of_memory_that_numpy_shares(host: bool) -> None:
    """The gradient of a factor needs the elements as they were before the write."""

    def program(t: Any) -> Any:
        w = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
        whole = t.ones(2, 3) * 2
        shared = whole.numpy() if host else None
        whole[0].mul_(w)
        whole.view(-1)[3:].mul_(w)
        whole.sum().backward()
        return w.grad.numpy().tolist(), shared is None or shared.tolist()

    assert program(jtorch) == program(torch)


def _without_grad(t: Any, write: Any) -> None:
    with t.no_grad():
        write()


LEAF_WRITES: dict[str, Any] = {
    "a row": lambda t, x: _without_grad(t, lambda: x[0].fill_(5)),
    "an element": lambda t, x: _without_grad(t, lambda: x.__setitem__((0, 1), 5.0)),
    "all": lambda t, x: _without_grad(t, lambda: x.mul_(3)),
    "by data": lambda t, x: x.data.mul_(2),
    "a detached row": lambda t, x: x.detach()[1].mul_(2),
    "what it is a view of": lambda t, x: x._base.mul_(2),
    "with gradients": lambda t, x: x.add_(1),
    "a row with gradients": lambda t, x: x[0].add_(1),
}


@pytest.mark.parametrize("name", LEAF_WRITES)
def test_a_leaf_that_is_a_view_stays_one_when_written(name: str) -> None:
    def program(t: Any) -> Any:
        x = t.arange(6.0).view(2, 3).requires_grad_()
        found = []
        for _ in range(2):
            try:
                LEAF_WRITES[name](t, x)
            except RuntimeError as error:
                found.append(str(error))
            (x * x).sum().backward()
            found.append((x.is_leaf, x.requires_grad, x.grad.tolist()))
        return found

    assert program(jtorch) == program(torch)


@pytest.mark.parametrize("again", [False, True])
def test_a_kept_gradient_is_that_of_what_was_written(again: bool) -> None:
    def program(t: Any) -> Any:
        x = t.arange(1.0, 4.0).requires_grad_()
        y = x * 1
        y.retain_grad()
        y.mul_(3)
        if again:
            y.sin_().retain_grad()
        z = y * 2
        z.sum().backward()
        return y.retains_grad, y.grad.tolist(), x.grad.numpy()

    (kept, grad, leaf), want = program(jtorch), program(torch)
    assert (kept, grad) == want[:2] and leaf == pytest.approx(want[2], rel=1e-5)
