"""The numpy evaluation of jaxprs that forked processes compute with, against XLA."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Primitive

import jtorch  # noqa: F401  (64-bit types)
from jtorch._engine.host.host_executor import run_jaxpr

RNG = np.random.default_rng(0)
X, Y = (RNG.normal(size=(4, 5)).astype(np.float32) for _ in range(2))
I, J = RNG.integers(-5, 5, (4, 5)), RNG.integers(1, 5, (4, 5))
K = np.array([0, 2, 7])

CASES: dict[str, Any] = {
    **{n: (getattr(jnp, n), X) for n in "abs sin exp log1p sign floor round tanh square isnan expm1 cbrt trunc".split()},
    **{n: (getattr(jnp, n), X, Y) for n in "add divide maximum arctan2 power fmod remainder floor_divide logaddexp".split()},
    **{f"int_{n}": (getattr(jnp, n), I, J) for n in "floor_divide remainder fmod bitwise_and left_shift right_shift".split()},
    **{n: (lambda t, n=n: getattr(jnp, n)(t, axis=1), X) for n in "sum prod max mean var argmax any cumsum sort argsort median".split()},
    "softmax": (jax.nn.softmax, X), "gelu": (jax.nn.gelu, X), "erf": (lax.erf, X), "erf_inv": (lax.erf_inv, np.tanh(X)), "lgamma": (lax.lgamma, abs(X)),
    "int8": (lambda t: (t * 1000).astype(jnp.int8), X), "bfloat16": (lambda t: t.astype(jnp.bfloat16), X),
    "take": (lambda t, k: jnp.take(t, k, axis=1), X, K), "index": (lambda t, k: t[k], X, np.array([[0, 2], [1, -1]])),
    "pairs": (lambda t, k: t[k, k], X, np.array([0, 2])), "slices": (lambda t: t[1:3, ::2][::-1], X),
    "set": (lambda t, k: t.at[k].set(1.0), X, K), "add_at": (lambda t, k: t.at[:, k].add(1.0), X, np.array([0, 2, 2])),
    "dynamic_slice": (lambda t, k: lax.dynamic_slice(t, (k, k), (2, 2)), X, np.int64(3)),
    "dynamic_update": (lambda t, k: lax.dynamic_update_slice(t, jnp.ones((2, 2), jnp.float32), (k, k)), X, np.int64(3)),
    "pad": (lambda t: lax.pad(t, np.float32(7), ((1, 2, 1), (-1, 1, 0))), X), "reflect": (lambda t: jnp.pad(t, 2, mode="reflect"), X),
    "matmul": (lambda a, b: a @ b.T, X, Y), "einsum": (lambda a, b: jnp.einsum("bij,bkj->bik", a, b), RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 5, 4))),
    "where": (jnp.where, X > 0, X, Y), "stack": (lambda a, b: jnp.stack([a, b], 1), X, Y), "split": (lambda a: jnp.split(a, [1, 3], 1), X),
    "repeat": (lambda a: jnp.repeat(a, 3, 1), X), "tile": (lambda a: jnp.tile(a, (2, 3)), X), "roll": (lambda a: jnp.roll(a, 2, 1), X),
    "arange": (lambda: jnp.arange(5.0),), "tril": (jnp.tril, X), "top_k": (lambda a: lax.top_k(a, 3), X),
    "sort_two": (lambda a, b: lax.sort((a, b), num_keys=1), X, I), "while": (lambda a: lax.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] * 2), (0, a)), X),
    "scan": (lambda a: lax.scan(lambda c, t: (c + t, c * t), a[0], a), X), "cond": (lambda a: lax.cond(a[0, 0] > 0, jnp.sin, jnp.cos, a), X),
    "complex": (lambda a, b: jnp.abs(lax.complex(a, b)) + jnp.real(jnp.conj(lax.complex(a, b))), X, Y),
    "bits": (lambda a: lax.bitcast_convert_type(a, jnp.uint8), X), "searchsorted": (lambda a: jnp.searchsorted(a, jnp.array([0.1, 0.5])), np.sort(X[0])),
    "gradient": (jax.grad(lambda a: (jnp.tanh(a @ a.T) ** 2).sum()), X), "batched_gather": (jax.vmap(lambda t, k: t[k]), X, np.array([0, 1, 2, 4])),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_against_xla(name: str) -> None:
    fn, *args = CASES[name]
    with np.errstate(all="ignore"):
        ours = run_jaxpr(jax.make_jaxpr(fn)(*args), args)
    for a, b in zip(ours, jax.tree.leaves(jax.jit(fn)(*args)), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        wide = np.float64 if a.dtype.kind in "fV" else a.dtype
        np.testing.assert_allclose(a.astype(wide), np.asarray(b).astype(wide), rtol=1e-4, atol=1e-6)


def test_what_is_not_there_says_so() -> None:
    strange = Primitive("strange")  # all that torch's operators come to have a rule
    strange.def_abstract_eval(lambda a: a)
    image = np.ones((1, 1, 4, 4), np.float32)
    with pytest.raises(RuntimeError, match="strange.*forked process.*spawn"):
        run_jaxpr(jax.make_jaxpr(strange.bind)(image), [image])
