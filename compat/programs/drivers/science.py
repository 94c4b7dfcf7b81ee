"""Programs over packages of the sciences: geometry, probability, differential equations, optimisation."""

from __future__ import annotations

from typing import Any

from . import losses, program


@program("e3nn")
def equivariant() -> Any:
    import torch
    from e3nn import o3
    from e3nn.nn import FullyConnectedNet, Gate

    x, where = torch.randn(6, 3), torch.randn(6, 3)
    gate = Gate("8x0e", [torch.tanh], "4x0e", [torch.sigmoid], "4x1o")
    first = o3.FullyConnectedTensorProduct("1x0e", "1x0e + 1x1o + 1x2e", gate.irreps_in, shared_weights=False)
    last, weights = o3.Linear(gate.irreps_out, "1x0e"), FullyConnectedNet([3, 8, first.weight_numel], torch.nn.functional.silu)
    of = o3.spherical_harmonics([0, 1, 2], where, normalize=True)

    def step(i: int) -> Any:
        return (last(gate(first(torch.ones(6, 1), of, weights(x)))) - where.norm(dim=1, keepdim=True)).square().mean()

    return losses(torch.nn.ModuleList([first, last, weights]), step)


@program("torchsde")
def neural_sde() -> Any:
    import torch
    import torchsde

    class Equation(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def __init__(self) -> None:
            super().__init__()
            self.drift, self.spread = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)

        def f(self, t: Any, y: Any) -> Any:
            return torch.tanh(self.drift(y))

        def g(self, t: Any, y: Any) -> Any:
            return torch.sigmoid(self.spread(y)) * 0.3

    equation, start = Equation(), torch.full((4, 2), 0.1)
    return losses(equation, lambda i: torchsde.sdeint(equation, start, torch.linspace(0, 1, 4), dt=0.1, bm=torchsde.BrownianInterval(0.0, 1.0, (4, 2), entropy=i, levy_area_approximation="space-time")).square().mean())


@program("nflows")
def autoregressive_flow() -> Any:
    import torch
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import (
        CompositeTransform,
        MaskedAffineAutoregressiveTransform,
        PiecewiseRationalQuadraticCouplingTransform,
        ReversePermutation,
    )

    def net(a: int, b: int) -> Any:
        from nflows.nn.nets import ResidualNet

        return ResidualNet(a, b, hidden_features=8, num_blocks=1)

    parts = [MaskedAffineAutoregressiveTransform(2, 8), ReversePermutation(2), PiecewiseRationalQuadraticCouplingTransform([0, 1], net, num_bins=4, tails="linear", tail_bound=3.0)]
    flow, x = Flow(CompositeTransform(parts), StandardNormal([2])), torch.randn(32, 2) * torch.tensor([1.0, 0.3])
    found = losses(flow, lambda i: -flow.log_prob(x).mean())
    return found, flow.sample(3)


@program("zuko")
def spline_flow() -> Any:
    import torch
    import zuko

    flow, x, given = zuko.flows.NSF(2, 1, transforms=2, hidden_features=(8, 8), bins=4), torch.randn(16, 2), torch.rand(16, 1)
    return losses(flow, lambda i: -flow(given).log_prob(x).mean())


@program("pyro-ppl")
def hamiltonian() -> Any:
    import pyro
    import pyro.distributions as d
    import torch
    from pyro.infer import MCMC, NUTS

    y = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]).double()

    def model() -> None:
        mean, scale = pyro.sample("mean", d.Normal(torch.tensor(0.0).double(), 5.0)), pyro.sample("scale", d.HalfNormal(torch.tensor(5.0).double()))
        with pyro.plate("schools", 8):
            pyro.sample("y", d.Normal(pyro.sample("effect", d.Normal(mean, scale)), 10.0), obs=y)

    pyro.set_rng_seed(0)
    chain = MCMC(NUTS(model, jit_compile=False, max_tree_depth=3), num_samples=6, warmup_steps=6, disable_progbar=True)
    chain.run()
    return [v for _, v in sorted(chain.get_samples().items())]


@program("pyro-ppl")
def mixture() -> Any:
    """Discrete variables, summed out."""
    import pyro
    import pyro.distributions as d
    import torch
    from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate
    from pyro.infer.autoguide import AutoDelta

    data = torch.tensor([0.0, 1.0, 10.0, 11.0, 12.0])

    @config_enumerate
    def model(data: Any) -> None:
        weights, scale = pyro.sample("weights", d.Dirichlet(0.5 * torch.ones(2))), pyro.sample("scale", d.LogNormal(0.0, 2.0))
        with pyro.plate("components", 2):
            locations = pyro.sample("locations", d.Normal(0.0, 10.0))
        with pyro.plate("data", 5):
            which = pyro.sample("which", d.Categorical(weights))
            pyro.sample("x", d.Normal(locations[which], scale), obs=data)

    pyro.clear_param_store()
    guide = AutoDelta(pyro.poutine.block(model, expose=["weights", "locations", "scale"]))
    step = SVI(model, guide, pyro.optim.Adam({"lr": 0.1, "betas": [0.8, 0.99]}), TraceEnum_ELBO(max_plate_nesting=1))
    return [step.step(data) for _ in range(20)]


@program("gpytorch")
def deep_kernel() -> Any:
    import gpytorch as g
    import torch

    class Model(g.models.ExactGP):  # type: ignore[misc]
        def __init__(self, x: Any, y: Any, likelihood: Any) -> None:
            super().__init__(x, y, likelihood)
            self.mean_module, self.covar_module = g.means.LinearMean(2), g.kernels.ScaleKernel(g.kernels.RBFKernel(ard_num_dims=2)) + g.kernels.PeriodicKernel()
            self.net = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))

        def forward(self, x: Any) -> Any:
            x = self.net(x)
            return g.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    x = torch.rand(14, 3)
    y, likelihood = torch.sin(x.sum(1) * 3), g.likelihoods.GaussianLikelihood()
    model = Model(x, y, likelihood)
    model.train(), likelihood.train()
    objective = g.mlls.ExactMarginalLogLikelihood(likelihood, model)
    found = losses(model, lambda i: -objective(model(x), y), torch.optim.Adam(model.parameters(), 0.05))
    model.eval(), likelihood.eval()
    with torch.no_grad(), g.settings.fast_pred_var():
        return found, likelihood(model(x[:4] + 0.05)).mean, likelihood(model(x[:4] + 0.05)).variance


@program("pycox")
def survival() -> Any:
    import numpy as np
    import torch
    import torchtuples as tt
    from pycox.models import CoxPH, LogisticHazard

    rng = np.random.default_rng(0)
    x, durations, events = rng.normal(size=(40, 4)).astype("float32"), rng.exponential(size=40).astype("float32"), (rng.random(40) > 0.3).astype("float32")
    model = CoxPH(tt.practical.MLPVanilla(4, [8], 1, True, 0.1), torch.optim.Adam)
    found = [model.fit(x, (durations, events), 10, 5, verbose=False).to_pandas()["train_loss"].tolist()]
    labels = LogisticHazard.label_transform(5)
    targets = labels.fit_transform(durations, events)
    other = LogisticHazard(tt.practical.MLPVanilla(4, [8], 5, True, 0.1), tt.optim.Adam(0.01), duration_index=labels.cuts)
    return [*found, other.fit(x, targets, 10, 5, verbose=False).to_pandas()["train_loss"].tolist(), other.predict_surv(x[:3]).tolist()]


@program("snntorch")
def spiking() -> Any:
    import snntorch as snn
    import torch
    from snntorch import functional, surrogate

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Linear(6, 12), torch.nn.Linear(12, 3)
            self.one, self.two = snn.Leaky(beta=0.9, spike_grad=surrogate.fast_sigmoid(slope=25)), snn.Synaptic(alpha=0.8, beta=0.7, learn_beta=True)

        def forward(self, x: Any) -> Any:
            memory, (current, last) = self.one.init_leaky(), self.two.init_synaptic()
            out = []
            for _ in range(6):
                spike, memory = self.one(self.a(x), memory)
                spike, current, last = self.two(self.b(spike), current, last)
                out.append((spike, last))
            return [torch.stack(part) for part in zip(*out)]

    net, x, y, count = Net(), torch.rand(4, 6) * 2, torch.tensor([0, 1, 2, 0]), functional.ce_rate_loss()

    def step(i: int) -> Any:
        spikes, last = net(x)
        return count(spikes, y) + torch.nn.functional.cross_entropy(last[-1], y)

    return losses(net, step)


@program("monai")
def volumes() -> Any:
    import torch
    from monai.inferers import sliding_window_inference
    from monai.losses import DiceCELoss
    from monai.networks.nets import UNet

    net = UNet(spatial_dims=3, in_channels=1, out_channels=2, channels=(4, 8), strides=(2,), num_res_units=1, norm="instance")
    x, y, loss = torch.rand(1, 1, 8, 8, 8), torch.randint(0, 2, (1, 1, 8, 8, 8)), DiceCELoss(to_onehot_y=True, softmax=True)
    found = losses(net, lambda i: loss(net(x), y))
    with torch.no_grad():
        return found, sliding_window_inference(torch.rand(1, 1, 12, 10, 8), (8, 8, 8), 2, net.eval(), overlap=0.25, mode="gaussian")


@program("vector-quantize-pytorch")
def codebooks() -> Any:
    import torch
    from vector_quantize_pytorch import FSQ, ResidualVQ, VectorQuantize

    encoder, decoder = torch.nn.Linear(6, 4), torch.nn.Linear(4, 6)
    parts = torch.nn.ModuleList([encoder, decoder, VectorQuantize(4, codebook_size=8, kmeans_init=True, decay=0.8), ResidualVQ(dim=4, num_quantizers=2, codebook_size=8), FSQ([5, 5, 3, 3])])
    x = torch.randn(2, 12, 6)

    def step(i: int) -> Any:
        z = encoder(x)
        made, _, kept = parts[2](z) if i % 3 == 0 else parts[3](z) if i % 3 == 1 else (*parts[4](z), torch.zeros(()))
        return (decoder(made) - x).square().mean() + kept.sum()

    return losses(parts, step)


@program("pytorch-metric-learning")
def metric_learning() -> Any:
    import torch
    from pytorch_metric_learning import distances, miners, reducers
    from pytorch_metric_learning import losses as kinds

    net, x, y = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4)), torch.randn(12, 6), torch.arange(12) % 3
    miner, triplet = miners.TripletMarginMiner(margin=0.2, distance=distances.CosineSimilarity()), kinds.TripletMarginLoss(distance=distances.CosineSimilarity(), reducer=reducers.ThresholdReducer(low=0))
    others = [kinds.NTXentLoss(), kinds.CircleLoss(), kinds.MultiSimilarityLoss(), kinds.ArcFaceLoss(3, 4)]

    def step(i: int) -> Any:
        out = net(x)
        return triplet(out, y, miner(out, y)) + others[i % 4](out, y)

    return losses(torch.nn.ModuleList([net, others[3]]), step)


@program("torchopt")
def meta_learning() -> Any:
    import torch
    import torchopt

    net, x = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)), torch.linspace(-2, 2, 10)[:, None]

    def step(i: int) -> Any:
        inner, before = torchopt.MetaSGD(net, lr=0.1), torchopt.extract_state_dict(net)
        for _ in range(2):
            inner.step((net(x[::2]) - torch.sin(x[::2] + i)).square().mean())
        loss = (net(x) - torch.sin(x + i)).square().mean()
        outer.zero_grad()
        loss.backward()
        outer.step()
        torchopt.recover_state_dict(net, before)
        return loss.item()

    outer = torch.optim.Adam(net.parameters(), 0.01)
    return [step(i) for i in range(20)]
