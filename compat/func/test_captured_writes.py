"""``torch.func`` and what a function writes in place: its arguments and what it made may be written, a tensor from around it may not, in both libraries.

A write that went through would leave the tensor with a graph of the inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import jtorch

BOTH = pytest.mark.parametrize("lib", [torch, jtorch], ids=["torch", "jtorch"])


def _no_grad(lib: Any, c: Any, x: Any) -> None:
    with lib.no_grad():
        c.sub_(x)


# What a function does with a captured tensor ``c`` and its argument ``x``, both of three elements.
REFUSED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "copy_": lambda lib, c, x: c.copy_(x),
    "add_": lambda lib, c, x: c.add_(x),
    "add_ of what has no gradient": lambda lib, c, x: c.add_(x.detach()),
    "mul_ by a number": lambda lib, c, x: c.mul_(2),
    "augmented": lambda lib, c, x: c.__iadd__(x),
    "an element": lambda lib, c, x: c.__setitem__(0, x[0]),
    "an element, a number": lambda lib, c, x: c.__setitem__(0, 5.0),
    "index_put_": lambda lib, c, x: c.index_put_((lib.tensor([0]),), x[:1]),
    "a view": lambda lib, c, x: c[1:].add_(x[1:]),
    "without gradients": _no_grad,
    "data": lambda lib, c, x: c.data.add_(x),
    "fill_": lambda lib, c, x: c.fill_(x[0]),
    "zero_": lambda lib, c, x: c.zero_(),
    "relu_": lambda lib, c, x: lib.nn.functional.relu(c, inplace=True),
    "normal_": lambda lib, c, x: c.normal_(),
    "unsqueeze_": lambda lib, c, x: c.unsqueeze_(0),
    "detach_": lambda lib, c, x: c.detach_(),
    "out=": lambda lib, c, x: lib.add(x, x, out=c),
}
# What is done beside the operators on one tensor is not looked at. What it computes has no history.
WRITTEN: dict[str, Callable[[Any, Any, Any], Any]] = {
    "foreach": lambda lib, c, x: lib._foreach_add_([c], [x]),
    "out= of what has no gradient": lambda lib, c, x: lib.add(x.detach(), x.detach(), out=c),
    "running statistics": lambda lib, c, x: lib.nn.functional.batch_norm(x.expand(2, 3), c, lib.ones(3), training=True),
}


def _run(lib: Any, transform: str, f: Callable[[Any], Any]) -> Any:
    x, fn = lib.arange(1.0, 4.0), lib.func
    return {
        "grad": lambda: fn.grad(f)(x),
        "vjp": lambda: fn.vjp(f, x),
        "jvp": lambda: fn.jvp(f, (x,), (x,)),
        "jacrev": lambda: fn.jacrev(f)(x),
        "jacfwd": lambda: fn.jacfwd(f, randomness="same")(x),
        "grad of grad": lambda: fn.grad(lambda y: fn.grad(f)(y).sum())(x),
        "vmap of grad": lambda: fn.vmap(fn.grad(f), randomness="same")(lib.stack([x, x])),
        "grad of vmap": lambda: fn.grad(lambda y: fn.vmap(lambda z: f(y) * z, randomness="same")(lib.ones(2)).sum())(x),
    }[transform]()


@pytest.mark.parametrize("transform", ["grad", "jvp", *[pytest.param(t, marks=pytest.mark.slow) for t in ("vjp", "jacrev", "jacfwd", "grad of grad", "vmap of grad", "grad of vmap")]])
@BOTH
def test_what_is_captured_is_not_written(lib: Any, transform: str) -> None:
    for name, write in REFUSED.items():
        c = lib.zeros(3)
        with pytest.raises(RuntimeError, match="captured Tensor|out=") as said:
            _run(lib, transform, lambda x, c=c, write=write: (write(lib, c, x), (x * x).sum())[1])
        if name.endswith("_"):
            assert f"(aten::{name}" in str(said.value), name
        assert name == "out=" or (c.tolist() == [0, 0, 0] and not c.requires_grad), name  # torch has written by then


@pytest.mark.parametrize("transform", ["grad", "vjp", "jvp"])
@BOTH
def test_what_is_not_looked_at(lib: Any, transform: str) -> None:
    for name, write in WRITTEN.items():
        c = lib.zeros(3)
        _run(lib, transform, lambda x, c=c, write=write: (write(lib, c, x), (x * x).sum())[1])
        assert c.tolist() == pytest.approx({"foreach": [1, 2, 3], "out= of what has no gradient": [2, 4, 6], "running statistics": [0.1, 0.2, 0.3]}[name]) and not c.requires_grad, name


@BOTH
def test_levels(lib: Any) -> None:
    x, grad = lib.arange(1.0, 4.0), lib.func.grad

    def inner_writes(make: Any) -> Any:
        def outer(x: Any) -> Any:
            c = make(x)
            return (grad(lambda y: (c.add_(y), (c * y).sum())[1])(x) * c).sum()

        return outer

    for make in (lambda x: lib.zeros(3), lambda x: x * 2):  # made in the level outside is captured in the one inside
        with pytest.raises(RuntimeError, match="captured Tensor"):
            grad(inner_writes(make))(x)
    with pytest.raises(RuntimeError, match="captured Tensor"):  # an argument of the inner level, captured by the outer
        grad(lambda x, c=lib.zeros(3): grad(lambda y, c: (c.add_(y), (c * y).sum())[1])(x, c).sum())(x)
    with pytest.raises(RuntimeError, match="captured Tensor"):  # the argument by its name outside
        grad(lambda y: (x.add_(y), (y * y).sum())[1])(x)
    for made in (lambda y: lib.zeros(3), lambda y: lib.tensor([0.0, 0.0, 0.0]), lambda y: lib.empty(3).fill_(0), lambda y: y - y, lambda y: lib.stack([y - y, y])[0]):

        def local(y: Any, made: Any = made) -> Any:
            c = made(y)
            c.add_(y)
            str(c)  # what was recorded runs
            c[0] = 7.0
            return (c.mul_(y) * y).sum()

        assert grad(local)(x).tolist() == [14, 12, 27]
        assert grad(lambda y, local=local: grad(local)(y).sum() * 1)(x).tolist() == [14, 12, 18]


@BOTH
def test_arguments(lib: Any) -> None:
    def f(x: Any, c: Any) -> Any:
        c.add_(x)
        return (x * c).sum()

    x, whole = lib.arange(1.0, 4.0), lib.zeros(4)
    for c in (lib.zeros(3), whole[1:]):
        assert lib.func.grad(f)(x, c).tolist() == [2, 4, 6]
        assert c.tolist() == [1, 2, 3] and not c.requires_grad
    assert whole.tolist() == [0, 1, 2, 3] and not whole.requires_grad
    c = lib.zeros(3)
    lib.func.grad(f)(x, c=c)
    for jacobian in (lib.func.jacrev, lib.func.jacfwd):
        jacobian(f)(x, c)
    assert c.tolist() == [3, 6, 9] and not c.requires_grad
    assert lib.func.jacrev(lambda x, c: c.copy_(x))(x, c).tolist() == lib.eye(3).tolist() and not c.requires_grad  # what was written is what is returned
    for write in (lambda x: x.add_(1), lambda x: x[1:].add_(1)):  # what is differentiated is a leaf
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
            lib.func.grad(lambda x, write=write: (write(x), (x * x).sum())[1])(x)
    lib.func.jvp(lambda x: (x.add_(1), (x * x).sum())[1], (x,), (x.clone(),))
    assert x.tolist() == [2, 3, 4] and not x.requires_grad


@BOTH
def test_a_step_of_an_optimizer(lib: Any) -> None:
    for make in (lambda p: lib.optim.SGD(p, 0.1), lambda p: lib.optim.Adam(p, 0.1)):
        p = lib.nn.Parameter(lib.ones(3))
        p.grad = lib.ones(3)
        optimizer = make([p])
        with pytest.raises(RuntimeError, match="captured Tensor"):
            lib.func.grad(lambda x, optimizer=optimizer: (optimizer.step(), x.sum())[1])(lib.ones(3))
        assert p.tolist() == [1, 1, 1]


@BOTH
def test_batch_norm_in_training(lib: Any) -> None:
    model = lib.nn.BatchNorm1d(3)
    params, buffers = dict(model.named_parameters()), dict(model.named_buffers())

    def loss(params: Any, buffers: Any) -> Any:
        return lib.func.functional_call(model, (params, buffers), (lib.arange(6.0).reshape(2, 3),)).square().sum()

    with pytest.raises(RuntimeError, match="captured Tensor"):
        lib.func.grad(lambda params: loss(params, buffers))(params)
    assert buffers["num_batches_tracked"] == 0
    lib.func.grad(loss)(params, buffers)
    assert buffers["num_batches_tracked"] == 1 and buffers["running_mean"].tolist() == pytest.approx([0.15, 0.25, 0.35])
    assert not any(b.requires_grad for b in buffers.values())


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")
def test_linearize_lets_captured_tensors_be_written() -> None:
    found = []
    for lib in (torch, jtorch):
        rows = []
        for f in (lambda c, x: (c.copy_(x.detach()), x * 2)[1], lambda c, x: c.copy_(x) * 2):
            c, x = lib.zeros(3), lib.arange(1.0, 4.0)
            out, push = lib.func.linearize(lambda x, f=f, c=c: f(c, x), x)
            rows.append((out.tolist(), push(x * 3).tolist(), c.tolist(), c.requires_grad))
        found.append(rows)
    assert found[0] == found[1]
