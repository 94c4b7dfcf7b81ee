"""Every rule: a program traced with symbolic dims and run on padded arrays, with anything at all in the padding, gives what it gives on exact shapes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jtorch  # noqa: F401  sets 64-bit types
from jtorch._engine.padded import RULES, Frame, NoRule, Padded, Room, evaluate, is_symbolic, single, symbol, value_at

N, M = symbol(0), symbol(1)
F, I, B = np.float32, np.int64, np.bool_


def garbage(r: np.random.RandomState, shape: tuple[int, ...], kind: Any) -> np.ndarray:
    if kind == B:
        return r.rand(*shape) < 0.5
    if np.issubdtype(kind, np.integer):
        return r.choice(np.array([-(2**40), -1, 0, 3, 2**40]), shape).astype(kind)
    return r.choice(np.array([np.nan, np.inf, -np.inf, 0.0, 1e30, -1e30]), shape).astype(kind)


def whole_array(p: Padded, sizes: dict[str, int]) -> np.ndarray:
    cut = tuple(slice(0, value_at(x, sizes)) for x in p.factors)
    return np.asarray(p.array)[cut].reshape([int(np.prod([value_at(x, sizes) for x in d])) for d in p.dims])


def compare(fn: Any, specs: list[Any], make: Any, sizes: dict[str, int], bounds: dict[str, int], r: np.random.RandomState, reach: dict[str, int]) -> None:
    structs = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in specs]
    closed = jax.make_jaxpr(fn)(*structs)
    exact = [make(r, tuple(value_at(d, sizes) for d in shape), kind, sizes) for shape, kind in specs]
    room = Room(bounds, reach)
    full = []
    for a, (shape, kind) in zip(exact, specs, strict=True):
        wide = garbage(r, tuple(room.pad(d) for d in shape), kind)
        wide[tuple(slice(0, n) for n in a.shape)] = a
        full.append(wide)
    names = list(sizes)

    @jax.jit
    def padded(values: Any, arrays: Any) -> Any:
        f = Frame(room, dict(zip(names, values, strict=True)))
        return evaluate(f, closed, [Padded(a, single(shape)) for a, (shape, _) in zip(arrays, specs, strict=True)])

    got = padded([np.int64(n) for n in sizes.values()], full)
    with pytest.MonkeyPatch.context() as patch:  # the cases read N and M: there they are numbers
        patch.setitem(globals(), "N", sizes["n0"])
        patch.setitem(globals(), "M", sizes.get("n1"))
        want = jax.tree.leaves(jax.jit(lambda *a: fn(*a))(*exact))
    for g, w in zip(got, want, strict=True):
        g = whole_array(g, sizes)
        assert g.shape == w.shape
        np.testing.assert_allclose(g, w, rtol=2e-5, atol=2e-5, equal_nan=True)


def numbers(r: np.random.RandomState, shape: tuple[int, ...], kind: Any, sizes: dict[str, int]) -> np.ndarray:
    if kind == B:
        return np.asarray(r.rand(*shape) < 0.5)
    if kind == I:
        return np.asarray(r.randint(0, min(sizes.values()), shape))
    return np.asarray(r.randn(*shape).astype(kind))


def positive(a: Any) -> Any:
    return a @ a.swapaxes(-1, -2) + 3 * jnp.eye(a.shape[-2], dtype=a.dtype)


def nll(logits: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1).mean()


def conv(x: Any, w: Any, **options: Any) -> Any:
    return lax.conv_general_dilated(x, w, options.pop("strides", (1,)), options.pop("padding", [(1, 1)]), dimension_numbers=("NCH", "OIH", "NCH"), **options)


def pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 3), (1, 1, 2), [(0, 0), (0, 0), (1, 1)])


def cell(c: Any, x: Any) -> Any:
    c = jnp.tanh(c + x)
    return c, c * 2


X, Y, W = ((N, 4), F), ((N, M), F), ((4, 3), F)
CASES: dict[str, tuple[Any, list[Any]]] = {
    "pointwise": (lambda a, b: (jnp.exp(a) * 2 + b, jnp.where(a > b, a, b), jnp.clip(a, -1, 1), a.astype(np.int32), lax.erf(a), a**2), [Y, Y]),
    "sums": (lambda a: (a.sum(), a.sum(0), a.mean(1), a.var(), jnp.prod(a, 0)), [Y]),
    "extremes": (lambda a: (a.max(), a.min(0), a.argmax(1), a.argmin(0), jnp.any(a > 1), jnp.all(a > -1, 1)), [Y]),
    "integers": (lambda a: (a.max(0), a.min(), a.sum(1), a.argmax(0), jnp.bitwise_or.reduce(a), jnp.bitwise_and.reduce(a), jnp.bitwise_xor.reduce(a)), [((N, M), I)]),
    "softmax": (lambda a: (jax.nn.softmax(a, 0), jax.nn.log_softmax(a, 1), jax.nn.logsumexp(a)), [Y]),
    "matmul": (lambda a, b, w: (a @ b, (a.T @ a), a @ a.T, b @ b.T), [X, ((4, M), F), W]),
    "batched matmul": (lambda a, b: (a @ b.swapaxes(1, 2), jnp.einsum("bnd,bmd->nm", a, b), jnp.einsum("bnd,bnd->d", a, a)), [((2, N, 4), F), ((2, M, 4), F)]),
    "running": (lambda a: (jnp.cumsum(a, 0), jnp.cumprod(a, 1), lax.cummax(a, 0), lax.cummin(a, 1, reverse=True), lax.cumsum(a, 0, reverse=True), lax.cumlogsumexp(a, 0)), [Y]),
    "merged dims": (lambda a, w: (a.reshape(N * M, 4) @ w, jnp.maximum(a.reshape(N * M, 4) @ w, 0).reshape(N, M, 3), a.reshape(-1).sum()), [((N, M, 4), F), W]),
    "merged with others": (lambda a, b: (a.reshape(N * M) + b, (a.reshape(N * M) * b).reshape(M, N), b.reshape(N, M), a.reshape(M, N), jnp.cumsum(a.reshape(-1))), [Y, ((N * M,), F)]),
    "gradient of merged": (jax.grad(lambda w, a: jnp.tanh(a.reshape(N * M, 4) @ w).reshape(N, M, 3).sum()), [W, ((N, M, 4), F)]),
    "heads": (lambda a: a.reshape(2, N, 2, 3).transpose(0, 2, 1, 3).reshape(4, N, 3), [((2, N, 6), F)]),
    "broadcasts": (lambda a, b: (a[:, None, :] + b[None], jnp.broadcast_to(b[:1], (N, 4)), jnp.arange(N)[:, None] >= jnp.arange(M)[None], jnp.eye(N)), [X, ((M, 4), F)]),
    "slices": (lambda a: (a[1:], a[:-1], a[::2], a[:, 1:3], a[-1], a[N - 2 :], a[1::2]), [X]),
    "dynamic slices": (lambda a, i: (lax.dynamic_slice(a, (i[0], 0), (2, 4)), lax.dynamic_update_slice(a, a[:2], (i[0], 0)), lax.dynamic_slice(a, (i[1], 1), (N, 2)), lax.dynamic_index_in_dim(a, i[0])), [X, ((2,), I)]),
    "concatenate": (lambda a, b: (jnp.concatenate([a, b]), jnp.concatenate([a, b[:1], a, b]), jnp.concatenate([a, a], 1), jnp.stack([a, a]), jnp.tile(a, (2, 1))), [X, ((M, 4), F)]),
    "pad": (lambda a: (jnp.pad(a, ((1, 2), (0, 1))), lax.pad(a, np.float32(7), [(-1, 3, 0), (0, -1, 0)]), lax.pad(a, np.float32(7), [(2, 1, 1), (0, 0, 0)]), jnp.pad(a, ((0, M), (0, 0)), constant_values=5.0)), [X]),
    "flip and roll": (lambda a: (a[::-1], jnp.flip(a), jnp.roll(a, 1, 0), jnp.roll(a, -2, 0)), [Y]),
    "split": (lambda a: (*jnp.split(a, 2, 1), *jnp.split(jnp.concatenate([a, a]), [N], 0)), [X]),
    "sort": (lambda a, i: (jnp.sort(a, 0), jnp.argsort(a, 1), lax.top_k(a, 2), jnp.sort(i), lax.sort((i, i * 2), num_keys=1)), [Y, ((M,), I)]),
    "gather": (lambda a, i: (a[i], a[i, 1], jnp.take(a, i, 0), a[i[:, None], i[None, :2] % 4]), [X, ((M,), I)]),
    "take along": (lambda a, i: (jnp.take_along_axis(a, i, 0), jnp.take_along_axis(a, i[:, :1] * 0, 1) if a is i else jnp.take_along_axis(i, i % 4, 1)), [X, ((M, 4), I)]),
    "embedding of merged": (lambda w, i: w[i.reshape(N * M)].reshape(N, M, 5), [((3, 5), F), ((N, M), I)]),
    "out of range": (lambda a, i: (a.at[i + 2 * N].get(mode="fill"), a.at[i + N - 2].get(mode="clip"), a.at[i - 1].get(mode="fill", fill_value=7)), [X, ((M,), I)]),
    "scatter": (lambda a, b, i: (a.at[i].add(b), a.at[i].max(b), a.at[i].min(b), a.at[i].mul(b), a.at[i[0]].set(5.0), a.at[:, 1].set(3.0), a.at[i].add(b, mode="clip")), [X, ((M, 4), F), ((M,), I)]),
    "scatter out of range": (lambda a, b, i: (a.at[i + N - 1].add(b, mode="drop"), a.at[i + 2 * N].add(b, mode="clip")), [X, ((M, 4), F), ((M,), I)]),
    "scatter pairs": (lambda a, i: (a.at[jnp.arange(N), i % 4].set(0.0), a.at[jnp.arange(N), i % 4].add(1.0)), [X, ((N,), I)]),
    "segments": (lambda a, i: jax.ops.segment_sum(a, i % 5, 5), [X, ((N,), I)]),
    "one hot": (lambda i: jax.nn.one_hot(i, 6), [((N,), I)]),
    "loss": (nll, [((N, M, 4), F), ((N, M), I)]),
    "gradient of loss": (lambda w, x, y: jax.grad(lambda w: nll(x.reshape(N * M, 4) @ w, y.reshape(-1) % 3))(w), [W, ((N, M, 4), F), ((N, M), I)]),
    "scan": (lambda c, x: lax.scan(cell, c, x), [((4,), F), X]),
    "scan over batches": (lambda c, x: lax.scan(cell, c, x, reverse=True), [((M, 4), F), ((N, M, 4), F)]),
    "gradient of scan": (jax.grad(lambda c, x: lax.scan(cell, c, x)[1].sum(), (0, 1)), [((M, 4), F), ((N, M, 4), F)]),
    "loops": (lambda a: (lax.fori_loop(0, 3, lambda i, c: c + a.sum(0), a[0]), lax.while_loop(lambda c: c.sum() < 50, lambda c: c + jnp.abs(a).mean() + 1, a * 0)), [X]),
    "branches": (lambda a: lax.cond(a.sum() > 0, lambda x: x * 2, lambda x: x - 1, a), [Y]),
    "attention": (lambda q, k: jax.nn.softmax(jnp.where(jnp.arange(N)[:, None] >= jnp.arange(N)[None], q @ k.T, -jnp.inf)) @ k, [X, X]),
    "convolution": (lambda x, w: (conv(x, w), conv(x, w, strides=(2,), padding=[(2, 1)]), conv(x, w, rhs_dilation=(2,)), conv(x, w, padding=[(2, 2)], lhs_dilation=(2,))), [((M, 2, N), F), ((3, 2, 3), F)]),
    "gradient of convolution": (jax.grad(lambda w, x: (conv(x, w) ** 2 + conv(x, w, rhs_dilation=(2,), padding=[(2, 2)])).sum(), (0, 1)), [((3, 2, 3), F), ((M, 2, N), F)]),
    "groups": (jax.grad(lambda w, x: (conv(x, w, feature_group_count=2) ** 2).sum(), (0, 1)), [((4, 1, 3), F), ((M, 2, N), F)]),
    "pooling": (lambda x: (pool(x), lax.reduce_window(x, 0.0, lax.add, (1, 1, 2), (1, 1, 2), "VALID"), jax.grad(lambda x: (pool(x) ** 2).sum())(x)), [((M, 2, N), F)]),
    "norms": (lambda a, w: ((a - a.mean(-1, keepdims=True)) * lax.rsqrt(a.var(-1, keepdims=True) + 1e-5) @ w, (a - a.mean(0)) / jnp.sqrt(a.var(0) + 1e-5)), [X, W]),
    "matrices": (lambda a: (jnp.linalg.cholesky(positive(a)), lax.linalg.triangular_solve(jnp.linalg.cholesky(positive(a)), a, left_side=True, lower=True), jnp.linalg.norm(a)), [X]),
    "solved from the other side": (lambda a: lax.linalg.triangular_solve(jnp.linalg.cholesky(positive(a)), a.T, left_side=False, lower=True, transpose_a=True), [X]),
    "batches of matrices": (lambda a: (jnp.linalg.svd(a, compute_uv=False), jnp.linalg.eigvalsh(positive(a)), jnp.fft.rfft(a).real), [((N, 3, 3), F)]),
    "sizes as values": (lambda a: (a * N, a.sum() / M, jnp.full((N,), M)), [Y]),
}  # fmt: skip

DRAWS = [({"n0": 5, "n1": 3}, {"n0": 8, "n1": 8}), ({"n0": 8, "n1": 2}, {"n0": 8, "n1": 4}), ({"n0": 4, "n1": 4}, {"n0": 4, "n1": 16})]


@pytest.mark.parametrize("name", CASES)
def test_padded_gives_what_exact_gives(name: str) -> None:
    fn, specs = CASES[name]
    r = np.random.RandomState(sum(map(ord, name)))
    sizes, bounds = DRAWS[r.randint(3)]
    used = {n for shape, _ in specs for d in shape if is_symbolic(d) for n in ("n0", "n1")}
    assert used
    compare(fn, specs, numbers, sizes, bounds, r, {})


def test_what_grows_by_one_keeps_its_room() -> None:
    compare(lambda a, b: jnp.concatenate([a, b]), [X, ((1, 4), F)], numbers, {"n0": 7}, {"n0": 8}, np.random.RandomState(0), {"n0": 1})
    assert Room({"n0": 8}, {"n0": 1}).pad(N + 1) == 8 and Room({"n0": 8}, {"n0": 1}).pad(N + 2) == 10 and Room({"n0": 8}).pad(N - 1) == 8


def test_room_is_an_upper_bound() -> None:
    room = Room({"n0": 8, "n1": 4})
    for d in (N - M, N * M, (N - 2) // 3 + 1, N % 3, 3 * N - 2 * M, N // M, N * N - N):
        most = max(value_at(d, {"n0": n, "n1": m}) for n in range(2, 9) for m in range(2, 5))
        assert room.pad(d) >= most


def test_what_has_no_rule_says_its_name() -> None:
    with pytest.raises(NoRule, match="eigh of a changing size"):
        compare(lambda a: jnp.linalg.eigvalsh(a), [((N, N), F)], numbers, {"n0": 5}, {"n0": 8}, np.random.RandomState(0), {})
    assert "dot_general" in RULES
