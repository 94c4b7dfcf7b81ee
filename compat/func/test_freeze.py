"""A backbone is frozen and unfrozen in mid-training: ``.backward()``, the functional path and real torch give the same updates."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import torch

import jtorch
from jtorch.func import tree_of, value_and_grad

STEPS = 9


def build(lib: Any) -> Any:
    lib.manual_seed(0)

    class Net(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = lib.nn.Sequential(lib.nn.Linear(5, 7), lib.nn.Tanh())
            self.head = lib.nn.Linear(7, 3)

        def forward(self, x: Any) -> Any:
            return self.head(self.backbone(x))

    return Net()


def data(lib: Any) -> tuple[Any, Any]:
    lib.manual_seed(1)
    return lib.randn(8, 5), lib.randint(0, 3, (8,))


def frozen(step: int) -> bool:
    return step % 6 < 3


def by_backward(lib: Any) -> list[np.ndarray]:
    net, (x, y) = build(lib), data(lib)
    optimizer = lib.optim.SGD(net.parameters(), lr=0.5)
    for step in range(STEPS):
        net.backbone.requires_grad_(not frozen(step))
        optimizer.zero_grad()
        lib.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return [p.detach().numpy().copy() for p in net.parameters()]


def by_function() -> list[np.ndarray]:
    net, (x, y) = build(jtorch), data(jtorch)
    params, buffers = tree_of(net)
    for step in range(STEPS):
        net.backbone.requires_grad_(not frozen(step))
        run = jax.jit(value_and_grad(net, jtorch.nn.functional.cross_entropy))
        _, grads = run(params, buffers, x.jax(), y.jax())
        params = jax.tree.map(lambda p, g: p - 0.5 * g, params, grads)
    return [np.asarray(params[name]) for name, _ in net.named_parameters()]


def test_three_ways_agree() -> None:
    want = by_backward(torch)
    for found in (by_backward(jtorch), by_function()):
        for a, b in zip(found, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def test_the_program_of_a_frozen_backbone_has_no_backward_of_it() -> None:
    """Products in the program: two forward; backward one for each weight that is trained, and one for what is behind the head."""
    net, (x, y) = build(jtorch), data(jtorch)
    for freeze, products in ((True, 3), (False, 5)):
        net.backbone.requires_grad_(not freeze)
        step = jax.jit(value_and_grad(net, jtorch.nn.functional.cross_entropy))
        text = step.lower(*tree_of(net), x.jax(), y.jax()).as_text()
        assert text.count("dot_general") == products
        assert text.count("tanh") == 1  # its slope is made of its result
        todo, seen = [jtorch.nn.functional.cross_entropy(net(x), y).grad_fn], set()
        while todo:
            node = todo.pop()
            seen.add(type(node).__name__)
            todo += [n for n, _ in node.next_functions if n is not None]
        assert ("TanhBackward0" in seen) != freeze
