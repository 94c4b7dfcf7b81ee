"""The same four steps as a JAX user would write them: one donated ``jax.jit`` of value_and_grad and an optax update.

Parameters are a dictionary under torch's names, so that both sides can start from the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from compat.bench.models import Setup

Params = dict[str, jax.Array]


def _norm(p: Params, name: str, x: jax.Array) -> jax.Array:
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * p[name + ".weight"] + p[name + ".bias"]


def _linear(p: Params, name: str, x: jax.Array) -> jax.Array:
    return x @ p[name + ".weight"].T + p[name + ".bias"]


def gpt(p: Params, s: Params, ids: jax.Array, layers: int = 4, heads: int = 8) -> tuple[jax.Array, Params]:
    x = p["tokens.weight"][ids] + p["positions.weight"][: ids.shape[1]]  # (B, T, C)
    B, T, C = x.shape
    mask = jnp.tril(jnp.ones((T, T), bool))
    for i in range(layers):
        b = f"blocks.{i}."
        qkv = _linear(p, b + "qkv", _norm(p, b + "norm1", x)).reshape(B, T, 3, heads, C // heads)
        q, k, v = (qkv[:, :, n].transpose(0, 2, 1, 3) for n in range(3))
        scores = jnp.where(mask, q @ k.swapaxes(-1, -2) / math.sqrt(C // heads), -jnp.inf)
        mixed = (jax.nn.softmax(scores, -1) @ v).transpose(0, 2, 1, 3).reshape(B, T, C)
        x = x + _linear(p, b + "out", mixed)
        x = x + _linear(p, b + "mlp.2", jax.nn.gelu(_linear(p, b + "mlp.0", _norm(p, b + "norm2", x)), approximate=False))
    return (_norm(p, "norm", x) @ p["head.weight"].T).reshape(B * T, -1), s


def mlp(p: Params, s: Params, x: jax.Array, layers: int = 32, width: int = 64) -> tuple[jax.Array, Params]:  # the width follows from the weights
    for i in range(layers):
        x = jax.nn.relu(_linear(p, f"layers.{i}", x))
    return _linear(p, "out", x), s


def cnn(p: Params, s: Params, x: jax.Array) -> tuple[jax.Array, Params]:
    state: Params = {}

    def conv(name: str, x: jax.Array) -> jax.Array:
        y = jax.lax.conv_general_dilated(x, p[name + ".weight"], (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
        return y + p[name + ".bias"][:, None, None]

    def batch_norm(name: str, x: jax.Array) -> jax.Array:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        n = x.size // x.shape[1]
        state[name + ".running_mean"] = 0.9 * s[name + ".running_mean"] + 0.1 * mean
        state[name + ".running_var"] = 0.9 * s[name + ".running_var"] + 0.1 * var * (n / (n - 1))
        state[name + ".num_batches_tracked"] = s[name + ".num_batches_tracked"] + 1
        scale = jax.lax.rsqrt(var + 1e-5) * p[name + ".weight"]
        return (x - mean[:, None, None]) * scale[:, None, None] + p[name + ".bias"][:, None, None]

    x = jax.nn.relu(batch_norm("bn1", conv("conv1", x)))
    x = jax.nn.relu(batch_norm("bn2", conv("conv2", x)))
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    x = jax.nn.relu(conv("conv3", x)).reshape(x.shape[0], -1)
    return _linear(p, "fc2", jax.nn.relu(_linear(p, "fc1", x))), state


def lstm(p: Params, s: Params, ids: jax.Array) -> tuple[jax.Array, Params]:
    x = p["embed.weight"][ids].swapaxes(0, 1)  # (T, B, E)
    for layer in range(2):
        both = []
        for back in ("", "_reverse"):
            w = {k: p[f"lstm.{k}_l{layer}{back}"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
            gates = x @ w["weight_ih"].T + (w["bias_ih"] + w["bias_hh"])  # (T, B, 4H)
            zero = jnp.zeros((x.shape[1], 64), x.dtype)

            def cell(carry: tuple[jax.Array, jax.Array], g: jax.Array, w: Params = w) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
                h, c = carry
                i, f, n, o = jnp.split(g + h @ w["weight_hh"].T, 4, -1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(n)
                h = jax.nn.sigmoid(o) * jnp.tanh(c)
                return (h, c), h

            both.append(jax.lax.scan(cell, (zero, zero), gates, reverse=back != "")[1])
        x = jnp.concatenate(both, -1)  # (T, B, 2H)
    return _linear(p, "out", x.swapaxes(0, 1)).reshape(-1, 7), s


FORWARD: dict[str, Callable[..., tuple[jax.Array, Params]]] = {"gpt": gpt, "mlp": mlp, "cnn": cnn, "lstm": lstm}


class Step:
    """The whole training step as one compiled, donating program. Called again and again, it keeps its own state."""

    def __init__(self, setup: Setup, params: dict[str, np.ndarray], buffers: dict[str, np.ndarray] | None = None) -> None:
        forward, tx = FORWARD[setup.name], optax.adamw(1e-3, weight_decay=0.01)

        def loss_fn(p: Params, s: Params, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Params]:
            logits, s = forward(p, s, x, **setup.options)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), s

        def step(p: Params, s: Params, o: Any, x: jax.Array, y: jax.Array) -> tuple[Params, Params, Any, jax.Array]:
            (loss, s), g = jax.value_and_grad(loss_fn, has_aux=True)(p, s, x, y)
            updates, o = tx.update(g, o, p)
            return optax.apply_updates(p, updates), s, o, loss

        self.step = jax.jit(step, donate_argnums=(0, 1, 2))
        self.p = {k: jnp.array(v) for k, v in params.items()}
        self.s = {k: jnp.array(v) for k, v in (buffers or {}).items()}
        self.o = jax.jit(tx.init)(self.p)
        self.x, self.y = jnp.asarray(setup.inputs), jnp.asarray(setup.targets).reshape(-1)

    def __call__(self) -> jax.Array:
        self.p, self.s, self.o, loss = self.step(self.p, self.s, self.o, self.x, self.y)
        return loss

    def wait(self) -> None:
        jax.block_until_ready((self.p, self.s, self.o))
