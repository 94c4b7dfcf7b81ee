"""NUTS of numpyro over a log density that is written in torch.distributions.

Written for jtorch and numpyro (``pip install numpyro``): ``python examples/numpyro_nuts.py``. A linear regression with a normal prior, so that the
posterior is known: the sampled mean and standard deviation stand beside the exact ones.
"""

import argparse

import jax
import numpy as np
from numpyro.infer import MCMC, NUTS

import jtorch as torch
from jtorch.distributions import Normal
from jtorch.func import to_jax, to_torch

NOISE, PRIOR = 0.5, 2.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--warmup", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.set_default_dtype(torch.float64)                                         # jtorch switches 64-bit types on, so the sampler's own arrays are float64
    torch.manual_seed(args.seed)
    x = torch.cat([torch.randn(40, 2), torch.ones(40, 1)], 1)                      # (N, D)
    y = x @ torch.tensor([1.5, -0.7, 0.3]) + NOISE * torch.randn(40)               # (N,)

    def log_density(weights):                                                      # a jax array (D,), often a tracer
        w = to_torch(weights)
        return to_jax(Normal(0.0, PRIOR).log_prob(w).sum() + Normal(x @ w, NOISE).log_prob(y).sum())

    sampler = MCMC(NUTS(potential_fn=lambda w: -log_density(w)), num_warmup=args.warmup, num_samples=args.samples, progress_bar=False)
    sampler.run(jax.random.key(args.seed), init_params=np.zeros(3))
    drawn = np.asarray(sampler.get_samples())                                      # (samples, D)

    covariance = torch.linalg.inv(x.T @ x / NOISE**2 + torch.eye(3) / PRIOR**2)
    mean, deviation = covariance @ (x.T @ y) / NOISE**2, covariance.diagonal().sqrt()
    for i in range(3):
        print(f"weight {i}: {drawn[:, i].mean():.3f} +- {drawn[:, i].std():.3f}, exact {mean[i].item():.3f} +- {deviation[i].item():.3f}")


if __name__ == "__main__":
    main()
