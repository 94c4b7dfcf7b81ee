"""Probability, geometry, differential equations, graphs, tables, games."""

from __future__ import annotations

from typing import Any

from . import thing, train


def points(*shape: int) -> Any:
    import torch

    return torch.randn(*(shape or (6, 2)))


@thing
def torch_geometric() -> Any:
    import torch
    from torch_geometric.data import Data
    from torch_geometric.nn import GATConv, GCNConv, SAGEConv, global_mean_pool

    graph = Data(x=points(4, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 0, 2]]))
    found = [kind(3, 4)(graph.x, graph.edge_index) for kind in (GCNConv, SAGEConv, GATConv)]
    return train(GCNConv(3, 2), (graph.x, graph.edge_index), lambda y: y.square().mean()), found, global_mean_pool(graph.x, torch.tensor([0, 0, 1, 1]))


@thing
def e3nn() -> Any:
    from e3nn import o3

    o = o3.FullyConnectedTensorProduct("1x0e + 1x1o", "1x0e + 1x1o", "1x0e + 1x1o")
    return o(points(2, 4), points(2, 4)), o3.spherical_harmonics([0, 1, 2], points(2, 3), normalize=True), o3.wigner_3j(1, 1, 1)


@thing
def pyro() -> Any:
    import pyro
    import pyro.distributions as dist
    import torch
    from pyro.infer import SVI, Trace_ELBO
    from pyro.infer.autoguide import AutoNormal

    def model(x: Any) -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(mean, 1.0), obs=x)

    pyro.clear_param_store()
    svi = SVI(model, AutoNormal(model), pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
    return [svi.step(torch.ones(5)) for _ in range(4)]


@thing
def gpytorch() -> Any:
    import gpytorch
    import torch

    class Model(gpytorch.models.ExactGP):  # type: ignore[misc]
        def __init__(self, x: Any, y: Any, likelihood: Any) -> None:
            super().__init__(x, y, likelihood)
            self.mean_module, self.covar_module = gpytorch.means.ConstantMean(), gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

        def forward(self, x: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    x = torch.linspace(0, 1, 8)
    y, likelihood = torch.sin(x * 6), gpytorch.likelihoods.GaussianLikelihood()
    model = Model(x, y, likelihood)
    mll = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    losses = train(model, x, lambda out: -mll(out, y), optimizer=torch.optim.Adam(model.parameters(), 0.1))
    model.eval()
    return losses, model(torch.tensor([0.3, 0.6])).mean


@thing
def botorch() -> Any:
    import torch
    from botorch.acquisition import LogExpectedImprovement
    from botorch.models import SingleTaskGP

    x = torch.rand(6, 2, dtype=torch.float64)
    model = SingleTaskGP(x, x.sum(-1, keepdim=True).sin())
    return LogExpectedImprovement(model, best_f=0.5)(x[:2, None]), model.posterior(x[:2]).mean


@thing
def torchdiffeq() -> Any:
    import torch
    from torchdiffeq import odeint, odeint_adjoint

    field = torch.nn.Linear(2, 2)
    f = type("F", (torch.nn.Module,), {"forward": lambda self, t, y: self.field(y)})()
    f.field = field
    t = torch.linspace(0, 1, 3)
    out = odeint_adjoint(f, points(1, 2), t, method="rk4")
    out.square().sum().backward()
    return odeint(f, points(1, 2), t), out, field.weight.grad


@thing
def torchsde() -> Any:
    import torch
    import torchsde

    class Sde(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: Any, y: Any) -> Any:
            return -y

        def g(self, t: Any, y: Any) -> Any:
            return 0.1 * torch.ones_like(y)

    return torchsde.sdeint(Sde(), torch.ones(2, 1), torch.linspace(0, 1, 3), dt=0.25, method="euler", bm=torchsde.BrownianInterval(0.0, 1.0, (2, 1), entropy=3))


@thing
def torchcde() -> Any:
    import torch
    import torchcde

    coefficients = torchcde.hermite_cubic_coefficients_with_backward_differences(points(1, 5, 2))
    path = torchcde.CubicSpline(coefficients)
    return path.evaluate(torch.tensor(1.5)), path.derivative(torch.tensor(1.5))


@thing
def nflows() -> Any:
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import CompositeTransform, MaskedAffineAutoregressiveTransform, RandomPermutation

    flow = Flow(CompositeTransform([MaskedAffineAutoregressiveTransform(2, 8), RandomPermutation(2)]), StandardNormal([2]))
    return flow.log_prob(points()), flow.sample(2)


@thing
def normflows() -> Any:
    import normflows as nf

    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(2), [nf.flows.AffineCouplingBlock(nf.nets.MLP([1, 8, 2], init_zeros=True)), nf.flows.Permute(2, mode="swap")])
    return flow.forward_kld(points()), flow.log_prob(points())


@thing
def zuko() -> Any:
    import zuko

    flow = zuko.flows.NSF(2, 0, transforms=1, hidden_features=(8,))
    return flow().log_prob(points()), flow().sample((2,))


@thing
def geomloss() -> Any:
    from geomloss import SamplesLoss

    return SamplesLoss("sinkhorn", blur=0.1, backend="tensorized")(points(), points()), SamplesLoss("energy", backend="tensorized")(points(), points())


@thing
def torch_dct() -> Any:
    import torch_dct

    return torch_dct.dct(points(2, 8)), torch_dct.idct(torch_dct.dct_2d(points(4, 4)))


@thing
def tensorly() -> Any:
    import tensorly as tl
    from tensorly.decomposition import parafac

    tl.set_backend("pytorch")
    weights, factors = parafac(points(3, 4, 2), rank=1, init="svd", n_iter_max=5)
    return tl.cp_to_tensor((weights, factors))


@thing
def pytorch_tabnet() -> Any:
    import torch
    from pytorch_tabnet.tab_network import TabNet

    net = TabNet(4, 2, n_d=4, n_a=4, n_steps=2, group_attention_matrix=torch.eye(4))
    return net(points(8, 4))


@thing
def pytorch_forecasting() -> Any:
    import torch
    from pytorch_forecasting.metrics import MAE, SMAPE, QuantileLoss
    from pytorch_forecasting.models.temporal_fusion_transformer.sub_modules import GatedResidualNetwork

    return MAE()(points(2, 3), points(2, 3)), SMAPE()(points(2, 3), points(2, 3)), QuantileLoss()(points(2, 3, 7), points(2, 3)), GatedResidualNetwork(4, 4, 4, 0.0)(torch.ones(2, 3, 4))


@thing
def neuralforecast() -> Any:
    from neuralforecast.losses.pytorch import MAE, MQLoss

    return MAE()(points(2, 3, 1), points(2, 3, 1)), MQLoss(level=[80])(y=points(2, 3, 1), y_hat=points(2, 3, 3))


@thing
def pycox() -> Any:
    import torch
    from pycox.models.loss import CoxPHLoss

    return CoxPHLoss()(points(6), torch.arange(6.0), torch.tensor([1.0, 0, 1, 1, 0, 1]))


@thing
def stable_baselines3() -> Any:
    from stable_baselines3 import PPO

    model = PPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, n_epochs=1, seed=0, device="cpu").learn(32)
    return [p.abs().mean() for p in model.policy.parameters()]


@thing
def tianshou() -> Any:
    import numpy as np
    from tianshou.data import Batch, to_torch
    from tianshou.utils.net.common import MLP

    return MLP(input_dim=4, output_dim=2, hidden_sizes=[8])(np.ones((2, 4), np.float32)), to_torch(Batch(a=np.ones(2))).a


@thing
def d3rlpy() -> Any:
    import torch
    from d3rlpy.models.torch.encoders import VectorEncoder

    return VectorEncoder((4,), [8, 8])(torch.ones(2, 4))


@thing
def tensordict() -> Any:
    import torch
    from tensordict import TensorDict
    from tensordict.nn import TensorDictModule

    td = TensorDict({"a": points(3, 2), "b": {"c": torch.ones(3)}}, [3])
    return TensorDictModule(torch.nn.Linear(2, 2), ["a"], ["y"])(td)["y"], td[1]["a"], torch.stack([td, td])["b", "c"].sum()


@thing
def torchrl() -> Any:
    import torch
    from torchrl.objectives.value.functional import generalized_advantage_estimate

    done = torch.zeros(1, 4, 1, dtype=torch.bool)
    return generalized_advantage_estimate(0.9, 0.95, points(1, 4, 1), points(1, 4, 1), points(1, 4, 1), done, done)


@thing
def snntorch() -> Any:
    import snntorch as snn
    import torch

    layer, cell, memory = torch.nn.Linear(2, 3), snn.Leaky(beta=0.9), None
    memory, spikes = cell.init_leaky(), []
    for _ in range(3):
        spike, memory = cell(layer(points()), memory)
        spikes.append(spike.sum())
    memory.sum().backward()
    return spikes, layer.weight.grad


@thing
def spikingjelly() -> Any:
    from spikingjelly.activation_based import neuron

    node = neuron.LIFNode()
    return [node(points().abs()).sum() for _ in range(3)]


@thing
def norse() -> Any:
    from norse.torch.module.lif import LIFCell

    out, state = LIFCell(2, 3)(points())
    return out, state.v


@thing
def blitz() -> Any:
    from blitz.modules import BayesianLinear

    return BayesianLinear(2, 3)(points())


@thing
def torchgeo() -> Any:
    from torchgeo.losses import QRLoss

    return QRLoss()(points(1, 3, 2, 2).softmax(1), points(1, 3, 2, 2).softmax(1))


@thing
def torchlens() -> Any:
    import torch
    import torchlens

    return len(torchlens.trace(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), points()).layer_list)


@thing
def torchprofile() -> Any:
    import torch
    from torchprofile import profile_macs

    return profile_macs(torch.nn.Linear(2, 3), points())


@thing
def torch_fidelity() -> Any:
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import calc_cdist_full

    kind = {"kid_subsets": 2, "kid_subset_size": 4, "kid_degree": 3, "kid_gamma": None, "kid_coef0": 1, "verbose": False, "rng_seed": 0}
    return kid_features_to_metric(points(8, 4), points(8, 4), **kind), calc_cdist_full(points(8, 4), points(8, 4), 4)
