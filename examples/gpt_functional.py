"""The character GPT in functional style: jtorch's module as a pure function, ``jax.jit`` and optax around it.

Written for jtorch: ``python examples/gpt_functional.py``. The embeddings can be frozen (``--freeze``): ``requires_grad=False`` is a
``jax.lax.stop_gradient`` mask over the parameter tree, so that optax sees gradients of zero there and ``optax.masked`` leaves them alone.
"""

import argparse
import sys
import time
from functools import partial
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

    params, buffers = jtorch.func.tree_of(model)                                   # two dicts of jax arrays, by torch's names
    forward = jtorch.func.pure_function(model)                                     # (params, buffers, x) -> (output, new buffers)
    trained = {name: p.requires_grad for name, p in model.named_parameters()}
    schedule = optax.warmup_cosine_decay_schedule(0.0, args.lr, min(20, args.steps // 2), args.steps)
    tx = optax.masked(optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, b2=0.95, weight_decay=0.1)), trained)
    state = tx.init(params)

    def loss_fn(params, x, y):                                                     # (B, T), (B, T)
        logits, _ = forward(params, buffers, x)                                    # (B, T, V)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, x, y):
        loss, grads = jax.value_and_grad(loss_fn)(params, x, y)                    # zeros where requires_grad is False
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    rng = np.random.RandomState(args.seed)
    begin = time.perf_counter()
    for n in tqdm(range(args.steps), file=sys.stderr, leave=False, disable=None):
        at = rng.randint(len(data) - args.length - 1, size=args.batch)             # (B,)
        window = data[at[:, None] + np.arange(args.length + 1)]                    # (B, T + 1)
        params, state, loss = step(params, state, window[:, :-1], window[:, 1:])
        if n == 0:
            loss.block_until_ready()
            first, start = time.perf_counter() - begin, time.perf_counter()
        if n % 20 == 0 or n == args.steps - 1:
            tqdm.write(f"step {n}: loss {float(loss):.4f}", file=sys.stdout)
    each = (time.perf_counter() - start) / max(1, args.steps - 1)
    print(f"first step after {first:.2f} s, then {each * 1e3:.1f} ms a step, {args.batch * args.length / each:,.0f} characters/s")

    model.load_state_dict(jtorch.func.to_torch({**params, **buffers}))             # and back into the module
    ids = model.write(torch.tensor([[number[c] for c in "def "]]), 120)
    print("-" * 60 + "\n" + "".join(letters[i] for i in ids[0].tolist()))


if __name__ == "__main__":
    main()
