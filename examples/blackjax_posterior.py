"""A Bayesian neural network: steps of blackjax's NUTS over the posterior of a torch module's parameters.

Written for jtorch and blackjax (``pip install blackjax``): ``python examples/blackjax_posterior.py``. The state of the chain is the module's tree of parameters;
one step is compiled, and a chain is a ``jax.lax.scan`` over it.
"""

import argparse

import blackjax
import jax
import jax.numpy as jnp

import jtorch as torch
from jtorch import nn
from jtorch.distributions import Normal
from jtorch.func import pure_function, to_jax, to_torch, tree_of


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.set_default_dtype(torch.float64)                                         # jtorch switches 64-bit types on, so the sampler's own arrays are float64
    torch.manual_seed(args.seed)
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    x = torch.linspace(-2, 2, 32)[:, None]                                         # (N, 1)
    y = torch.sin(2 * x) + 0.1 * torch.randn(32, 1)                                # (N, 1)
    params, buffers = tree_of(net)                                                 # dicts of jax arrays, by torch's names
    inputs, run = to_jax(x), pure_function(net)

    def log_density(params):
        prior = sum(Normal(0.0, 1.0).log_prob(to_torch(p)).sum() for p in params.values())
        predicted = to_torch(run(params, buffers, inputs)[0])
        return to_jax(prior + Normal(predicted, 0.1).log_prob(y).sum())

    keys = jax.random.split(jax.random.key(args.seed))
    (state, tuned), _ = blackjax.window_adaptation(blackjax.nuts, log_density).run(keys[0], params, num_steps=args.warmup)
    sampler = blackjax.nuts(log_density, **tuned)

    @jax.jit
    def chain(state, keys):
        return jax.lax.scan(lambda state, key: (lambda new, info: (new, (new.position, info.acceptance_rate)))(*sampler.step(key, state)), state, keys)

    state, (drawn, accepted) = chain(state, jax.random.split(keys[1], args.samples))
    outputs = jax.vmap(lambda params: run(params, buffers, inputs)[0])(drawn)      # (samples, N, 1)
    wrong = jnp.sqrt(jnp.mean((outputs.mean(0) - to_jax(y)) ** 2))
    print(f"{args.samples} steps, accepted {accepted.mean():.2f}; the mean of the predictions is {wrong:.3f} from the data, their spread is {outputs.std(0).mean():.3f}")


if __name__ == "__main__":
    main()
