"""The random functions of both libraries, run by the same programs from one seed: values, types, layouts, histories and errors."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import jtorch

FLOATS = ["float32", "float64", "float16", "bfloat16"]


def host(t: Any) -> np.ndarray:
    t = t.detach()
    if "bfloat16" in str(t.dtype):
        t = t.float()
    return np.asarray(t.resolve_conj().numpy() if hasattr(t, "resolve_conj") else t.numpy())


def same(a: Any, b: Any, note: str = "") -> None:
    if isinstance(a, (tuple, list)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y, note)
        return
    if not isinstance(a, torch.Tensor):
        assert a == b, note
        return
    assert str(a.dtype) == str(b.dtype) and tuple(a.shape) == tuple(b.shape), note
    assert tuple(a.stride()) == tuple(b.stride()), f"{note}: strides {a.stride()} {b.stride()}"
    x, y = host(a), host(b)
    assert ((x == y) | ((x != x) & (y != y))).all(), f"{note}: {x} {y}"
    assert a.requires_grad == b.requires_grad, note
    assert type(a.grad_fn).__name__ == type(b.grad_fn).__name__, note


def both(program: Callable[[Any], Any], seed: int = 3) -> None:
    torch.manual_seed(seed)
    expected = program(torch)
    jtorch.manual_seed(seed)
    same(expected, program(jtorch))
    assert (torch.get_rng_state().numpy() == np.asarray(jtorch.get_rng_state().numpy())).all(), "the generators part"


PROGRAMS = {
    "rand": lambda T: [T.rand(3, 4), T.rand([5]), T.rand((2, 2), dtype=T.float64), T.rand(size=(3,)), T.rand(()), T.rand(3, requires_grad=True), T.rand(0)],
    "randn": lambda T: [T.randn(3, 4), T.randn(40), T.randn(40, dtype=T.complex64), T.randn(5, dtype=T.float16), T.randn(33, dtype=T.bfloat16)],
    "out": lambda T: [T.rand(4, out=T.empty(4, dtype=T.float64)), T.randn(20, out=T.empty(20)), T.randint(9, (3,), out=T.empty(3)), T.randperm(5, out=T.empty(5, dtype=T.int32))],
    "randint": lambda T: [T.randint(10, (3, 3)), T.randint(-5, 5, (4,)), T.randint(low=2, high=9, size=(4,)), T.randint(2**40, (5,)), T.randint(3, 9, (5,), dtype=T.float32), T.randint(high=4, size=[2])],
    "randperm": lambda T: [T.randperm(10), T.randperm(1000), T.randperm(5, dtype=T.float32), T.randperm(0)],
    "like": lambda T: [T.rand_like(T.ones(3, 4).t()), T.randn_like(T.ones(5, 7).t()), T.randint_like(T.ones(3, 4).t(), 10), T.randint_like(T.ones(3), -3, 10),
                       T.rand_like(T.ones(3, dtype=T.int64), dtype=T.float64), T.randn_like(T.ones(2, 3, 4, 5), memory_format=T.channels_last), T.rand_like(T.ones(4, 6)[:, ::2])],
    "normal": lambda T: [T.normal(0.5, 2.0, (20,)), T.normal(T.zeros(3), T.ones(3) * 2), T.normal(T.arange(20.0), 0.5), T.normal(1.0, T.arange(1.0, 5.0)),
                         T.normal(T.zeros(3, 1, dtype=T.float64), T.ones(4)), T.normal(mean=T.arange(3.0), std=2), T.normal(0, 1, size=(3,)), T.normal(T.ones(20).half(), 2.0)],
    "bernoulli": lambda T: [T.bernoulli(T.rand(30)), T.bernoulli(T.rand(30, dtype=T.float64)), T.bernoulli(T.ones(4), 0.3), T.ones(5).bernoulli(0.4), T.bernoulli(T.rand(4, 5).t()),
                            T.bernoulli(T.rand(9).bfloat16()), T.bernoulli(T.full((4,), 0.5, requires_grad=True)), T.bernoulli(T.ones(4, dtype=T.int64), 0.5)],
    "multinomial": lambda T: [T.multinomial(T.rand(10), 4), T.multinomial(T.rand(3, 10), 12, True), T.rand(5).multinomial(1), T.multinomial(T.rand(4, 6, dtype=T.float64), 6), T.multinomial(T.rand(4, 6).t(), 3)],
    "counts": lambda T: [T.poisson(T.rand(40) * 30), T.poisson(T.full((100,), 20.0)), T.binomial(T.full((20,), 30.0), T.rand(20)), T.poisson(T.full((4,), 2.0, requires_grad=True))],
    "gamma": lambda T: [T._standard_gamma(T.rand(20) * 4), T._sample_dirichlet(T.rand(5, 3) * 4), T._standard_gamma(T.full((100,), 2.0, requires_grad=True))],
    "dropout": lambda T: [T.dropout(T.ones(50), 0.3, True), T.dropout(T.ones(50, requires_grad=True), 0.7, True), T.dropout(T.ones(5), 0.5, False), T.dropout(T.ones(5, requires_grad=True), 1.0, True),
                          T.feature_dropout(T.ones(3, 4, 5), 0.4, True),
                          T.dropout(T.ones(5, 6).t(), 0.5, True), T.dropout(T.linspace(0, 1, 33).bfloat16(), 0.3, True), T.native_dropout(T.ones(20), 0.25, True)[1], T.native_dropout(T.ones(4, 5).t(), 0.25, True), T.dropout_(T.ones(9), 0.5, True)],
    "chain": lambda T: [T.randn(3), T.rand(2), T.randn(4), T.randint(7, (3,)), T.randn(17), T.randn(1)],
    "trunc_normal": lambda T: [T.empty(3, 4).normal_(generator=None), T.empty(5, 7).t().uniform_(-1, 1), T.zeros(4, 5)[1:3, ::2].normal_()],
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    for seed in (0, 7):
        both(PROGRAMS[name], seed)


INPLACE = {
    "uniform_": [(), (-1, 2)], "normal_": [(), (2.0, 0.5)], "exponential_": [(), (2.5,)], "log_normal_": [(), (0.1, 0.2)], "cauchy_": [(), (1.0, 2.0)],
    "geometric_": [(0.3,)], "random_": [(), (10,), (-3, 5)], "bernoulli_": [(), (0.2,)],
}  # fmt: skip
MAKERS: list[Callable[[Any, Any], Any]] = [
    lambda T, d: T.zeros(5, dtype=d), lambda T, d: T.zeros(4, 5, dtype=d).t(), lambda T, d: T.zeros(6, 8, dtype=d)[1:5, ::3], lambda T, d: T.zeros(2, 3, 4, 5, dtype=d).permute(2, 0, 3, 1),
    lambda T, d: T.zeros((), dtype=d), lambda T, d: T.zeros(0, 3, dtype=d), lambda T, d: T.zeros(40, dtype=d),
]  # fmt: skip


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("name", INPLACE)
def test_in_place(name: str, kind: str) -> None:
    for args in INPLACE[name]:
        for make in MAKERS:

            def program(T: Any) -> Any:
                x = make(T, getattr(T, kind))
                y = getattr(x, name)(*args)
                assert y is x
                return [x, x._version]

            both(program)


@pytest.mark.parametrize("kind", ["int64", "int32", "uint8", "int8", "bool"])
def test_in_place_of_integers(kind: str) -> None:
    for name, args in (("random_", ()), ("random_", (1,)), ("bernoulli_", (0.4,)), ("geometric_", (0.2,))):
        if (kind, name) != ("bool", "geometric_"):
            both(lambda T: getattr(T.zeros(3, 5, dtype=getattr(T, kind)), name)(*args))


@pytest.mark.parametrize("name", INPLACE)
def test_history(name: str) -> None:
    def program(T: Any) -> Any:
        x = T.ones(4, requires_grad=True)
        y = x * 2
        getattr(y, name)(*INPLACE[name][0])
        y.sum().backward()
        return [y, x.grad]

    both(program)


def test_bernoulli_with_a_tensor_in_place() -> None:
    both(lambda T: [T.zeros(4, 5).bernoulli_(T.linspace(0, 1, 5)), T.zeros(5, 4).t().bernoulli_(T.linspace(0, 1, 5)), T.zeros(5, dtype=T.int64).bernoulli_(T.linspace(0, 1, 5, dtype=T.float64))])


def test_pending_parameters() -> None:
    both(lambda T: [T.bernoulli(T.sigmoid(T.linspace(-3, 3, 50))), T.poisson(T.exp(T.linspace(-3, 3, 50))), T.multinomial(T.softmax(T.linspace(-3, 3, 50), 0), 10)])


def test_alpha_dropout() -> None:
    """XLA may fuse the multiply and the add: the last bit is free."""
    for name, shape in (("alpha_dropout", (40,)), ("feature_alpha_dropout", (3, 4, 2))):
        torch.manual_seed(0), jtorch.manual_seed(0)
        x = torch.linspace(-2, 2, 40)[: np.prod(shape)].reshape(shape)
        expected, got = getattr(torch, name)(x, 0.3, True), getattr(jtorch, name)(jtorch.from_numpy(x.numpy()), 0.3, True)
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-6)


def test_generators() -> None:
    def program(T: Any) -> Any:
        g = T.Generator().manual_seed(5)
        h = T.Generator(device="cpu")
        a = T.rand(3, generator=g)
        h.set_state(g.get_state())
        c = g.clone_state()
        out = [a, T.randn(3, generator=g), T.randn(3, generator=h), T.randn(3, generator=c), T.randperm(6, generator=g), T.empty(3).normal_(generator=g)]
        p = pickle.loads(pickle.dumps(g))
        return [*out, T.rand(3, generator=p), T.rand(3, generator=g), g.initial_seed(), str(g.device), T.initial_seed(), g.get_state().shape[0]]

    both(program)


def test_states_cross() -> None:
    torch.manual_seed(9)
    torch.randn(5)
    jtorch.set_rng_state(jtorch.from_numpy(torch.get_rng_state().numpy()))
    assert (jtorch.randn(30).numpy() == torch.randn(30).numpy()).all()
    torch.set_rng_state(torch.from_numpy(np.array(jtorch.get_rng_state().numpy())))
    assert (jtorch.randn(7).numpy() == torch.randn(7).numpy()).all()


def test_fork() -> None:
    from jtorch import random as ours

    def program(T: Any) -> Any:
        fork = torch.random.fork_rng if T is torch else ours.fork_rng
        a = T.rand(2)
        with fork(devices=[]):
            b = T.rand(2)
        with fork(enabled=False):
            c = T.rand(2)
        return [a, b, c, T.rand(2)]

    both(program)


def test_many_normals_by_the_compiled_loop() -> None:
    from jtorch._core.state import generator

    before = dict(generator._spent)
    try:
        generator._spent.update(dict.fromkeys(generator._spent, 1.0))
        both(lambda T: [T.randn(300_017), T.randn(1000), T.randn(16), T.randn(70_001), T.randn(4097)])
    finally:
        generator._spent.update(before)


def test_gamma_gradients() -> None:
    # torch's derivative is an approximation (relative errors of some 1e-4); ours is the exact one
    for a in (0.3, 1.5, 8.0, 60.0):
        def program(T: Any, a: float = a) -> Any:
            x = T.full((50,), a, dtype=T.float64, requires_grad=True)
            T._standard_gamma(x).sum().backward()
            y = T._sample_dirichlet(T.full((20, 3), a, dtype=T.float64))
            return [x.grad, T._dirichlet_grad(y, T.full((20, 3), a, dtype=T.float64), T.full((20, 3), 3 * a, dtype=T.float64))]

        torch.manual_seed(0)
        expected = program(torch)
        jtorch.manual_seed(0)
        for e, g in zip(expected, program(jtorch), strict=True):
            np.testing.assert_allclose(g.numpy(), e.numpy(), rtol=5e-3, atol=5e-4)


ERRORS: list[Callable[[Any], Any]] = [
    lambda T: T.rand(3, dtype=T.int64), lambda T: T.randn(3, dtype=T.int64), lambda T: T.ones(3, dtype=T.int64).uniform_(), lambda T: T.ones(3, dtype=T.int64).normal_(),
    lambda T: T.ones(3, dtype=T.int64).exponential_(), lambda T: T.ones(3, dtype=T.int64).cauchy_(), lambda T: T.ones(3, dtype=T.int64).log_normal_(),
    lambda T: T.ones(3, dtype=T.bool).geometric_(0.5), lambda T: T.ones(3, dtype=T.complex64).random_(), lambda T: T.ones(3, dtype=T.complex64).random_(3),
    lambda T: T.ones(3, dtype=T.complex64).bernoulli_(), lambda T: T.randint(5, 3, (2,)), lambda T: T.randint(0, 300, (2,), dtype=T.int8), lambda T: T.randint(-300, 3, (2,), dtype=T.int8),
    lambda T: T.randint(0, 3, (2,), dtype=T.bool), lambda T: T.randint(0, 2**40, (2,), dtype=T.float16), lambda T: T.randint(0, 3, (2,), dtype=T.complex64), lambda T: T.rand(3).uniform_(2, 1),
    lambda T: T.rand(3, dtype=T.half).uniform_(0, 1e6), lambda T: T.rand(3).uniform_(-3e38, 3e38), lambda T: T.randperm(-1), lambda T: T.randperm(3, dtype=T.bool), lambda T: T.randperm(300, dtype=T.uint8),
    lambda T: T.randperm(3000, dtype=T.half), lambda T: T.bernoulli(T.tensor([2.0])), lambda T: T.bernoulli(T.tensor([1])), lambda T: T.ones(3).bernoulli_(T.tensor([1, 0, 1])), lambda T: T.ones(3).bernoulli_(1.5),
    lambda T: T.multinomial(T.ones(2, 2, 2), 1), lambda T: T.multinomial(T.ones(2), 0), lambda T: T.multinomial(T.ones(2), 3), lambda T: T.multinomial(T.ones(2, dtype=T.int64), 1),
    lambda T: T.multinomial(T.zeros(2), 1), lambda T: T.multinomial(T.zeros(2), 2, True), lambda T: T.multinomial(T.tensor([-1.0, 2]), 2, True), lambda T: T.multinomial(T.tensor([float("inf"), 2]), 2, True),
    lambda T: T.multinomial(T.tensor([-1.0, 2]), 1), lambda T: T.normal(T.zeros(3), T.tensor([-1.0, 1.0, 1.0])), lambda T: T.normal(T.zeros(3), -1), lambda T: T.normal(T.zeros(3, dtype=T.int64), T.ones(3)), lambda T: T.normal(0.0, -1.0, (3,)),
    lambda T: T.poisson(T.tensor([-1.0])), lambda T: T.poisson(T.tensor([1])), lambda T: T.binomial(T.tensor([1.0]), T.tensor([1.0], dtype=T.float64)), lambda T: T.binomial(T.tensor([1]), T.tensor([1])),
    lambda T: T.randn_like(T.ones(3, dtype=T.int64)), lambda T: T.ones(3, requires_grad=True).uniform_(), lambda T: T.ones(1).expand(3).uniform_(), lambda T: T.ones(1).expand(3).bernoulli_(0.5),
    lambda T: T.rand("a"), lambda T: T.rand(2.5), lambda T: T.rand(-1), lambda T: T.randint(3, 3), lambda T: T.randint(2.5, (3,)), lambda T: T.dropout(T.ones(3), 1.5, True), lambda T: T.feature_dropout(T.ones(3), 0.5, True),
    lambda T: T.dropout(T.ones(3, dtype=T.int64), 0.5, True), lambda T: T.rand(2, out=T.empty(2), dtype=T.float64), lambda T: T.ones(2).uniform_(1, 2, 3), lambda T: T.ones(2).exponential_(0), lambda T: T.ones(2).geometric_(0),
    lambda T: T.ones(2).geometric_(1.0), lambda T: T.ones(2).cauchy_(0, 0), lambda T: T.ones(2).log_normal_(0, 0), lambda T: T.ones(2).normal_(0, -1), lambda T: T.Generator().manual_seed(1.5), lambda T: T.Generator().set_state(T.zeros(10)),
    lambda T: T.Generator().set_state(T.zeros(10, dtype=T.uint8)), lambda T: T.Generator().get_offset(), lambda T: T.manual_seed(2**64), lambda T: T.Generator("meta"),
]  # fmt: skip


@pytest.mark.parametrize("k", range(len(ERRORS)))
def test_errors(k: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as theirs:
            ERRORS[k](torch)
        with pytest.raises(type(theirs.value)) as ours:
            ERRORS[k](jtorch)
    assert str(ours.value).split("\n")[0] == str(theirs.value).split("\n")[0]
