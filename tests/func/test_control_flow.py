"""torch.cond, while_loop, scan, map and associative_scan beside the same in plain Python: values, gradients of gradients, vmap, JAX's transformations, torch.compile."""

import jax
import jax.numpy as jnp
import pytest

import jtorch as torch
from jtorch._private.higher_order_ops import associative_scan, map, scan
from jtorch.func import grad, hessian, to_jax, to_torch, vmap

F64 = torch.float64


@pytest.fixture(scope="module")
def given():
    g = torch.Generator().manual_seed(0)
    W, b, xs, h = (torch.randn(*s, dtype=F64, generator=g).requires_grad_() for s in ((3, 3), (3,), (5, 3), (3,)))
    return W, b, xs, h


def branches(W, b):
    def by_cond(p, x):
        return torch.cond(p, lambda x: (x @ W).sin() * x, lambda x: x * x * b, (x,))

    def by_python(p, x):
        return (x @ W).sin() * x if p else x * x * b

    return by_cond, by_python


def turns(W, b):
    def step(h, x):
        h = torch.tanh(h @ W.t() + x + b)
        return h, h * 2

    def by_python(h, xs):
        ys = []
        for x in xs:
            h, y = step(h, x)
            ys.append(y)
        return h, torch.stack(ys)

    return lambda h, xs: scan(step, h, xs), by_python


def derivatives(f, inputs):
    first = torch.autograd.grad(f().square().sum(), inputs, create_graph=True, allow_unused=True)
    there = [g for g in first if g is not None and g.requires_grad]
    second = torch.autograd.grad(sum(g.square().sum() for g in there), inputs, allow_unused=True)
    return [torch.zeros((), dtype=F64) if g is None else g for g in (*first, *second)]


def alike(a, b):
    for x, y in zip(a, b, strict=True):
        assert (not x.any() and not y.any()) or torch.allclose(x, y)


@pytest.mark.parametrize("p", [True, False])
def test_cond(given, p):
    W, b, _, h = given
    by_cond, by_python = branches(W, b)
    pred = torch.tensor(p)
    assert by_cond(pred, h).grad_fn.name() == "CondAutogradOpBackward"
    alike(derivatives(lambda: by_cond(pred, h), (W, b, h)), derivatives(lambda: by_python(p, h), (W, b, h)))


def test_scan(given):
    W, b, xs, h = given
    by_scan, by_python = turns(W, b)
    both = lambda f: f(h, xs)[0] + f(h, xs)[1]
    alike(derivatives(lambda: both(by_scan), (W, b, xs, h)), derivatives(lambda: both(by_python), (W, b, xs, h)))
    last, ys = scan(lambda c, x: ({"a": c["a"] + x}, c["a"] * x), {"a": torch.zeros(2)}, torch.ones(2, 3).cumsum(1), dim=1, reverse=True)
    assert last["a"].tolist() == [6, 6] and ys.tolist() == [[5, 6, 0], [5, 6, 0]]


@pytest.mark.parametrize("count", [0, pytest.param(130, marks=pytest.mark.slow)])
def test_while_loop(given, count):  # more turns than carries are kept
    W, b, _, h = given

    def by_python(h):
        for _ in range(count):
            h = torch.tanh(h @ W) + b * 0.1
        return h

    loop = lambda h: torch.while_loop(lambda i, h: i < count, lambda i, h: (i + 1, torch.tanh(h @ W) + b * 0.1), (torch.tensor(0), h))
    assert loop(h)[0] == count
    for x, y in zip(*[torch.autograd.grad(f(h).sum(), (W, b, h), allow_unused=True) for f in (lambda h: loop(h)[1], by_python)], strict=True):
        assert (x is None or not x.any()) if y is None else torch.allclose(x, y)
    found = torch.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * W[0]), (torch.tensor(0), b))[1]
    alike(torch.autograd.grad(found.sum(), (W, b)), torch.autograd.grad((W[0] ** 3 * b).sum(), (W, b)))
    assert torch.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (0, torch.ones(2)))[0] == 3


def test_associative_scan():
    x = torch.arange(1.0, 6).requires_grad_()
    out = associative_scan(lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1]), (x + 1, x), 0, combine_mode="generic")[1]
    want, so_far = [], 0.0
    for k in range(1, 6):  # b <- b * (k + 1) + k
        so_far = so_far * (k + 1) + k
        want.append(so_far)
    assert out.tolist() == want
    (g,) = torch.autograd.grad(out[-1], x)
    assert g[-1].item() == want[-2] + 1
    assert associative_scan(torch.add, x.detach()[:1], 0, reverse=True, combine_mode="generic").tolist() == [1]


def test_lanes(given):
    W, b, xs, _ = given
    X = torch.arange(12.0, dtype=F64).reshape(4, 3).sin()
    by_cond, by_python = branches(W, b)
    lanes = vmap(grad(lambda x: by_cond(x.sum() > 0, x).sum()))(X)
    assert torch.allclose(lanes, torch.stack([grad(lambda x: by_python(bool(x.sum() > 0), x).sum())(x) for x in X]))
    by_scan, by_loop = turns(W, b)
    assert torch.allclose(vmap(lambda h: by_scan(h, xs)[0])(X), torch.stack([by_loop(h, xs)[0] for h in X]))


@pytest.mark.slow
def test_hessian(given):
    W, b, xs, h = given
    by_scan, by_loop = turns(W, b)
    assert torch.allclose(hessian(lambda h: by_scan(h, xs)[0].sum())(h.detach()), hessian(lambda h: by_loop(h, xs)[0].sum())(h.detach()))


def test_inside_jax(given):
    W, b, _, _ = given
    by_cond, by_python = branches(W.detach(), b.detach())
    a = jnp.array([0.5, 0.25, 2.0])
    found = jax.jit(jax.grad(lambda a: to_jax(by_cond(to_torch(a).sum() > 0, to_torch(a)).sum())))(a)
    assert jnp.allclose(found, jax.grad(lambda a: to_jax(by_python(True, to_torch(a)).sum()))(a))
    turn = lambda a: to_jax(torch.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * x), (0, to_torch(a)))[1].sum())
    assert jnp.allclose(jax.jit(jax.grad(turn))(a), 8 * a**7)
    product = lambda a: to_jax(scan(lambda c, x: (c * x, c + x), torch.ones((), dtype=F64), to_torch(a))[0])
    assert jnp.allclose(jax.grad(product)(a), jnp.array([0.5, 1.0, 0.125]))


def test_what_a_body_writes_and_draws():
    one, other = torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    data = torch.arange(48.0).reshape(2, 8, 3).sin()
    out = map(lambda x: one(x) * 1, data)
    assert torch.allclose(out, torch.stack([other(x) for x in data])) and one.num_batches_tracked == 2
    torch.cond(torch.tensor(False), one, lambda x: x * 1, (data[0],))
    assert torch.allclose(one.running_var, other.running_var)
    masks = map(lambda x: torch.nn.functional.dropout(x, 0.5), torch.ones(4, 16))
    assert len({tuple(m) for m in masks.tolist()}) == 4


def test_compiled(given):
    W, b, _, h = given
    by_cond, by_python = branches(W, b)
    f = torch.compile(lambda x: by_cond(x.sum() > 0, x), fullgraph=True)
    for k in range(4):
        x = (h * (-1) ** k).detach()
        assert torch.allclose(f(x), by_python(bool(x.sum() > 0), x))
    assert f._compiled.runs == 3


def test_refused():
    from jtorch._private.dynamo.exc import TorchRuntimeError, UncapturedHigherOrderOpError

    x, p = torch.ones(3), torch.tensor(True)
    for f, error in (
        (lambda x: x, UncapturedHigherOrderOpError),
        (lambda x: x.add_(1), UncapturedHigherOrderOpError),
        (lambda x: x.long(), TorchRuntimeError),
        (lambda x: (x - 1, x + 1), TorchRuntimeError),
    ):
        with pytest.raises(error):
            torch.cond(p, f, lambda x: x + 2, (x,))
    with pytest.raises(RuntimeError, match="looked at"):
        map(lambda x: x * x.item(), x)
    with pytest.raises(RuntimeError, match="second time"):
        y = torch.cond(p, lambda x: x * x, lambda x: x + 1, (x.requires_grad_(),)).sum()
        y.backward()
        y.backward()
