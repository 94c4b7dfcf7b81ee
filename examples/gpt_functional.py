"""The character GPT in functional style: jtorch's module as a pure function, ``jax.jit`` and optax around it.

Written for jtorch: ``python examples/gpt_functional.py``. The embeddings can be frozen (``--freeze``): ``requires_grad=False`` is a
``jax.lax.stop_gradient`` mask over the parameter tree, so that optax sees gradients of zero there and ``optax.masked`` leaves them alone.
"""

import argparse
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax
from tqdm import tqdm

import jtorch as torch
import jtorch.func

torch.install()  # char_gpt.py says `import torch`
sys.path.insert(0, str(Path(__file__).parent))
from char_gpt import GPT, read_text  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--freeze", action="store_true", help="keep the embeddings as they are")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    text = read_text(1_000_000)
    letters = sorted(set(text))
    number = {c: i for i, c in enumerate(letters)}
    data = np.array([number[c] for c in text])                                     # (N,)
    model = GPT(len(letters), args.length, args.layers, args.width, args.heads, dropout=0.0)
    if args.freeze:
        model.tokens.requires_grad_(False)
        model.positions.requires_grad_(False)

    def loss_fn(logits, x, y):                                                     # (B, T, V), (B, T), (B, T)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())

    params, buffers = jtorch.func.tree_of(model)                                   # two dicts of jax arrays, by torch's names
    trained = {name: p.requires_grad for name, p in model.named_parameters()}
    schedule = optax.warmup_cosine_decay_schedule(0.0, args.lr, min(20, args.steps // 2), args.steps)
    tx = optax.masked(optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, b2=0.95, weight_decay=0.1)), trained)
    state = tx.init(params)
    run = jtorch.func.value_and_grad(lambda_model(model), lambda out, x, y: loss_fn(out, x, y)) if False else jtorch.func.value_and_grad(OneInput(model), loss_fn)

    @jax.jit
    def step(params, state, x, y):
        (loss, _), grads = run({"model." + k: v for k, v in params.items()}, {}, x, y)
        grads = {k.removeprefix("model."): g for k, g in grads.items()}
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss


if __name__ == "__main__":
    main()
