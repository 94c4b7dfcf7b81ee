"""jtorch's code inside JAX's transformations: random numbers, custom functions, constants, what leaks."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import jtorch as torch
from jtorch.func import pure_function, rngs, to_jax, to_torch, tree_of, value_and_grad

jnp = jax.numpy


def test_random_numbers_come_from_the_key() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Dropout(0.5), torch.nn.RReLU())
    state = tree_of(net)
    run = jax.jit(lambda x, key: pure_function(net)(*state, x, rngs=key)[0])
    x, keys = jnp.ones((2, 3), "float32"), jax.random.split(jax.random.key(0), 3)
    assert (run(x, keys[0]) == run(x, keys[0])).all() and (run(x, keys[0]) != run(x, keys[1])).any()
    lanes = jax.vmap(run, (None, 0))(x, keys)
    steps = jax.lax.scan(lambda c, key: (c, run(x, key)), 0, keys)[1]
    for one, other, key in zip(lanes, steps, keys, strict=True):
        assert (one == run(x, key)).all() and (other == run(x, key)).all()


def test_without_a_key_nothing_is_drawn_into_the_program() -> None:
    net = torch.nn.Dropout(0.5)
    for transform in (jax.jit, jax.vmap):
        with pytest.raises(RuntimeError, match="rngs=key"):
            transform(lambda x: pure_function(net)({}, {}, x)[0])(jnp.ones((4, 4)))
    with pytest.raises(RuntimeError, match="rngs=key"):
        jax.jit(lambda: to_jax(torch.rand(3)))()
    with pytest.raises(RuntimeError, match="rngs=key"):
        jax.jit(value_and_grad(net, lambda out: out.sum()))({}, {}, jnp.ones(3))


@pytest.mark.parametrize("draw", [
    lambda: torch.rand(4), lambda: torch.randn(4), lambda: torch.randint(0, 9, (4,)), lambda: torch.randperm(4), lambda: torch.multinomial(torch.ones(9), 4),
    lambda: torch.bernoulli(torch.full((4,), 0.5)), lambda: torch.poisson(torch.full((4,), 9.0)), lambda: torch.normal(torch.zeros(4), torch.ones(4)),
    lambda: torch.distributions.Gamma(torch.ones(4), 2.0).rsample(), lambda: torch.empty(4).exponential_(), lambda: torch.nn.init.kaiming_uniform_(torch.empty(2, 2)),
])  # fmt: skip
def test_every_kind_of_draw_takes_the_key(draw) -> None:
    def f(key):
        with rngs(key):
            return to_jax(draw())

    found = jax.vmap(jax.jit(f))(jax.random.split(jax.random.key(1), 8))
    assert len({np.asarray(x).tobytes() for x in found}) > 2


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(x, y, n):
        return x * y * n, x + y

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs[:2], output[0])
        ctx.n, ctx.kept = inputs[2], inputs[0].detach()

    @staticmethod
    def backward(ctx, g, h):
        x, y, _ = ctx.saved_tensors
        return g * y * 7 + h, g * ctx.kept * ctx.n, None


def test_a_generator_of_its_own_is_no_key() -> None:
    def f(x, key):
        with rngs(key):
            return to_jax(to_torch(x) + torch.randn(3, generator=torch.Generator().manual_seed(1)))

    with pytest.raises(RuntimeError, match="leave out generator="):
        jax.jit(f)(jnp.zeros(3), jax.random.key(0))


def test_rejection_inside_jit() -> None:
    def draw(key, loc):
        with rngs(key):
            return to_jax(torch.distributions.VonMises(to_torch(loc), torch.tensor(4.0)).sample((500,)))

    a, b = (jax.jit(draw)(jax.random.key(k), jnp.float32(0.5)) for k in (0, 1))
    assert a.shape == (500,) and (a != b).any() and abs(a.mean() - 0.5) < 0.1 and abs(a.std() - 0.54) < 0.1  # scipy.stats.vonmises(4).std()


def test_the_backward_of_a_custom_function_is_jax_s_rule() -> None:
    def f(x, y):
        a, b = Scaled.apply(to_torch(x), to_torch(y), 2)
        return to_jax((a * 3 + b).sum())

    x, y = jnp.ones(2), jnp.ones(2) * 2
    tx, ty = to_torch(x).requires_grad_(), to_torch(y).requires_grad_()
    a, b = Scaled.apply(tx, ty, 2)
    (a * 3 + b).sum().backward()
    for transform in (jax.grad, lambda f, n: jax.jit(jax.grad(f, n)), lambda f, n: lambda *xs: jax.vmap(jax.grad(f, n))(*[v[None] for v in xs])):
        gx, gy = transform(f, (0, 1))(x, y)
        assert (gx.reshape(-1) == tx.grad.jax()).all() and (gy.reshape(-1) == ty.grad.jax()).all()
    assert (jax.jacrev(jax.grad(lambda x: f(x, x * x)))(x) == 54 * np.eye(2)).all()  # torch: what is kept is detached, and 12 of 66 are not seen


def test_constants_and_checks_of_values() -> None:
    def f(x):
        t = to_torch(x)
        a = torch.arange(2.0)
        d = torch.distributions.Normal(t, torch.ones(2)).log_prob(t * 2) + torch.distributions.Gamma(t, 1.0).log_prob(t)
        return to_jax((a + 1) * 2 + d + torch.distributions.Dirichlet(torch.ones(2)).log_prob(t / 2))

    x = jnp.ones(2)
    assert np.allclose(jax.jit(f)(x), f(x)) and np.allclose(jax.jit(jax.grad(lambda x: f(x).sum()))(x), jax.grad(lambda x: f(x).sum())(x))


@pytest.mark.parametrize("look", [lambda t: t[t > 0], lambda t: t.sum().item(), lambda t: 1 if t.sum() > 0 else 0, lambda t: t.tolist(), lambda t: t.nonzero()])
def test_a_value_that_is_not_known_is_said_in_a_sentence(look) -> None:
    with pytest.raises(RuntimeError, match="torch.where"):
        jax.jit(lambda x: look(to_torch(x)) and x)(jnp.ones(2))


def test_what_leaks_warns() -> None:
    net, norm = torch.nn.Linear(3, 1), torch.nn.BatchNorm1d(3)
    x = jnp.ones((4, 3), "float32")

    def backward(x):
        net.zero_grad()
        net(to_torch(x)).sum().backward()
        return x

    with pytest.warns(UserWarning, match="pure_function"):
        jax.jit(backward)(x)
    hook = net.bias.register_post_accumulate_grad_hook(lambda leaf: None)  # the way through every node in full; once taken it stays for the process
    with pytest.warns(UserWarning, match="pure_function"):
        jax.jit(lambda x: backward(x))(x)
    hook.remove()
    with pytest.warns(UserWarning, match="pure_function"):
        jax.jit(lambda x: backward(x))(x)
    with pytest.warns(UserWarning, match="pure_function"):
        jax.jit(lambda x: to_jax(norm(to_torch(x))))(x)


def test_lanes_have_names() -> None:
    """What is compiled for vmap is kept for the next process, as all else."""
    from jtorch._engine.recording.identity import of_call
    from jtorch._engine.recording.trace import lanes_call

    found = torch.func.vmap(lambda x, y: x * y, (0, None))(torch.ones(3, 2), torch.ones(2))
    (lanes,) = [node[0].call for node in found._s.value.trace.nodes if node[0].call.name.endswith("_lanes")]
    inner, axes = lanes.origin[1]
    assert axes == (0, None) and of_call(lanes_call(inner, axes)) == of_call(lanes) != of_call(lanes_call(inner, (0, 0)))
