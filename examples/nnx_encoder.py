"""A flax nnx classifier whose encoder is a torch module.

Written for jtorch and flax: ``python examples/nnx_encoder.py``. The encoder's parameters are ``nnx.Param`` by torch's names, its running means
``nnx.BatchStat``; ``nnx.grad``, ``nnx.jit`` and ``nnx.Optimizer`` train it with the rest, and its ``state_dict`` is a torch one.
"""

import argparse

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import jtorch as torch
from jtorch import nn
from jtorch.interop.flax import NnxModule


class Classifier(nnx.Module):
    def __init__(self, rngs):
        encoder = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1))
        self.encoder = NnxModule(encoder, rngs=rngs)
        self.head = nnx.Linear(32, 4, rngs=rngs)

    def __call__(self, images):
        return self.head(self.encoder(images))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    labels = jax.random.randint(jax.random.key(0), (64,), 0, 4)
    images = 0.1 * jax.random.normal(jax.random.key(1), (64, 1, 8, 8), jnp.float32)
    rows, columns = labels // 2 * 4, labels % 2 * 4                                # a bright quarter says which class it is
    images = jax.vmap(lambda image, r, c: jax.lax.dynamic_update_slice(image, jnp.ones((1, 4, 4), jnp.float32), (0, r, c)))(images, rows, columns)

    model = Classifier(nnx.Rngs(args.seed))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, images, labels):
        loss, grads = nnx.value_and_grad(lambda model: optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean())(model)
        optimizer.update(model, grads)
        return loss

    for n in range(args.steps):
        loss = step(model, optimizer, images, labels)
        if n % 20 == 0 or n == args.steps - 1:
            print(f"step {n}: loss {float(loss):.4f}")
    model.eval()
    right = (model(images).argmax(-1) == labels).mean()
    print(f"{float(right):.0%} right in eval mode")


if __name__ == "__main__":
    main()
