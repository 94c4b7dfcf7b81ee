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


@program("torchdiffeq")
def neural_ode() -> Any:
    import torch
    from torchdiffeq import odeint, odeint_adjoint

    class Field(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))

        def forward(self, t: Any, y: Any) -> Any:
            return self.net(y**3)

    field, times, start = Field(), torch.linspace(0, 1, 5), torch.tensor([[2.0, 0.0]])
    with torch.no_grad():
        truth = odeint(lambda t, y: y**3 @ torch.tensor([[-0.1, 2.0], [-2.0, -0.1]]), start, times, method="dopri5")
    return losses(field, lambda i: (odeint_adjoint if i % 2 else odeint)(field, start, times, rtol=1e-4, atol=1e-5).sub(truth).abs().mean(), torch.optim.RMSprop(field.parameters(), 1e-3))


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


@program("botorch")
def bayesian_optimisation() -> Any:
    import torch
    from botorch.acquisition import qLogExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize_acqf
    from botorch.sampling import SobolQMCNormalSampler
    from gpytorch.mlls import ExactMarginalLogLikelihood

    x = torch.rand(5, 2, dtype=torch.float64)
    found = []
    for i in range(3):
        y = torch.sin(5 * x[:, :1]) * x[:, 1:] - x.square().sum(1, keepdim=True)
        model = SingleTaskGP(x, y)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        better = qLogExpectedImprovement(model, best_f=y.max(), sampler=SobolQMCNormalSampler(torch.Size([16]), seed=i))
        new, value = optimize_acqf(better, torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64), q=1, num_restarts=2, raw_samples=8, options={"maxiter": 10})
        found += [new, value]
        x = torch.cat([x, new])
    return found


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


@program("denoising-diffusion-pytorch")
def denoising() -> Any:
    import torch
    from denoising_diffusion_pytorch import GaussianDiffusion1D, Unet1D

    net = Unet1D(dim=8, dim_mults=(1, 2), channels=2)
    diffusion, x = GaussianDiffusion1D(net, seq_length=8, timesteps=20, objective="pred_v"), torch.rand(4, 2, 8)
    return losses(diffusion, lambda i: diffusion(x)), diffusion.sample(batch_size=2)


@program("torch_geometric")
def molecules() -> Any:
    """Batches of graphs from a loader, attention and edge features, pooling, a heterogeneous network."""
    import torch
    from torch_geometric.data import Data, HeteroData
    from torch_geometric.loader import DataLoader
    from torch_geometric.nn import GATv2Conv, HeteroConv, NNConv, SAGEConv, TopKPooling, TransformerConv, global_mean_pool

    graphs = []
    for i in range(8):
        n = 4 + i % 3
        edges = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
        graphs.append(Data(x=torch.randn(n, 4), edge_index=torch.cat([edges, edges.flip(0)], 1), edge_attr=torch.rand(2 * n, 2), y=torch.tensor([i % 2])))

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = NNConv(4, 6, torch.nn.Linear(2, 24)), GATv2Conv(6, 3, heads=2, edge_dim=2)
            self.pool, self.c, self.out = TopKPooling(6, 0.6), TransformerConv(6, 6), torch.nn.Linear(6, 2)

        def forward(self, g: Any) -> Any:
            x = self.b(self.a(g.x, g.edge_index, g.edge_attr).relu(), g.edge_index, g.edge_attr).relu()
            x, edges, _, of, _, _ = self.pool(x, g.edge_index, None, g.batch)
            return self.out(global_mean_pool(self.c(x, edges).relu(), of))

    net, loader, found = Net(), DataLoader(graphs, 4, shuffle=True), []
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(6):
        for batch in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(batch), batch.y)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    data = HeteroData()
    data["user"].x, data["item"].x = torch.randn(4, 3), torch.randn(5, 2)
    data["user", "buys", "item"].edge_index, data["item", "by", "user"].edge_index = torch.tensor([[0, 1, 2, 3], [0, 2, 4, 1]]), torch.tensor([[0, 2, 4, 1], [0, 1, 2, 3]])
    mixed = HeteroConv({("user", "buys", "item"): SAGEConv((3, 2), 4), ("item", "by", "user"): SAGEConv((2, 3), 4)})
    return found, losses(mixed, lambda i: sum(v.square().mean() for v in mixed(data.x_dict, data.edge_index_dict).values()), steps=5)


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
