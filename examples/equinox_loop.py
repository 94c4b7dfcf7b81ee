"""A training loop in equinox's style: an equinox model that has a torch module inside, filtered transformations, and optax.

Written for jtorch and equinox (``pip install equinox``): ``python examples/equinox_loop.py``. A torch module is a pytree, so equinox takes it as a field like any
other: its parameters and buffers are leaves, and ``eqx.filter_value_and_grad``, ``eqx.filter_jit`` and optax find them.
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import jtorch as torch
import jtorch.interop  # makes tensors and modules pytrees
from jtorch import nn
from jtorch.func import rngs, to_jax, to_torch


class Model(eqx.Module):
    body: nn.Module
    head: eqx.nn.Linear

    def __call__(self, x, key):
        with rngs(key):                                                            # the dropout inside
            hidden = to_jax(self.body(to_torch(x)))
        return jax.vmap(self.head)(hidden)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    body = nn.Sequential(nn.Linear(2, 32), nn.LayerNorm(32), nn.GELU(), nn.Dropout(0.1))
    model = Model(body, eqx.nn.Linear(32, 1, key=jax.random.key(args.seed), dtype=jnp.float32))
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-2))
    state = tx.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_value_and_grad
    def loss_of(model, x, y, key):
        return jnp.mean((model(x, key) - y) ** 2)

    @eqx.filter_jit
    def step(model, state, x, y, key):
        loss, grads = loss_of(model, x, y, key)
        updates, state = tx.update(grads, state, eqx.filter(model, eqx.is_inexact_array))
        return eqx.apply_updates(model, updates), state, loss

    x = jax.random.normal(jax.random.key(1), (256, 2), jnp.float32)
    y = jnp.sin(3 * x[:, :1]) * x[:, 1:]
    for n, key in enumerate(jax.random.split(jax.random.key(2), args.steps)):
        model, state, loss = step(model, state, x, y, key)
        if n % 50 == 0 or n == args.steps - 1:
            print(f"step {n}: loss {float(loss):.4f}")
    assert isinstance(model.body[0], nn.Linear)                                    # still the torch module, with what was learned


if __name__ == "__main__":
    main()
