# An autoencoder with tied weights, parametrizations (weight norm, spectral norm, orthogonal, one of its own) and pruning.
# slow
# digits: 3
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.utils.parametrize as parametrize
from torch.nn.utils import parametrizations, prune

torch.manual_seed(0)


class Tied(nn.Module):
    def __init__(self, d=16, h=6):
        super().__init__()
        self.enc = nn.Linear(d, h)
        self.bias = nn.Parameter(torch.zeros(d))

    def forward(self, x):
        h = torch.sigmoid(self.enc(x))
        return F.linear(h, self.enc.weight.t(), self.bias), h


class LM(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(10, 4)
        self.out = nn.Linear(4, 10, bias=False)
        self.out.weight = self.emb.weight


class Symmetric(nn.Module):
    def forward(self, X):
        return X.triu() + X.triu(1).transpose(-1, -2)

    def right_inverse(self, A):
        return A.triu()


x = torch.randn(32, 4) @ torch.randn(4, 16)
net = Tied()
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.5)
for step in range(6):
    out, h = net(x)
    rho = h.mean(0)
    sparsity = (0.1 * torch.log(0.1 / rho) + 0.9 * torch.log(0.9 / (1 - rho))).sum()
    loss = F.mse_loss(out, x) + 0.01 * sparsity
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(f"{step} {loss.item():.4f} {sparsity.item():.4f}")
lm = LM()
print(len(list(lm.parameters())), list(lm.state_dict()), lm.out.weight is lm.emb.weight, copy.deepcopy(lm).out.weight is lm.emb.weight)
c = copy.deepcopy(lm)
print(c.out.weight is c.emb.weight, [n for n, _ in lm.named_parameters(remove_duplicate=False)])

layers = nn.ModuleDict({
    "weight": parametrizations.weight_norm(nn.Linear(5, 4), dim=0),
    "spectral": parametrizations.spectral_norm(nn.Linear(4, 4), n_power_iterations=3),
    "orthogonal": parametrizations.orthogonal(nn.Linear(4, 4, bias=False)),
    "symmetric": parametrize.register_parametrization(nn.Linear(4, 4), "weight", Symmetric()),
})
opt = torch.optim.Adam(layers.parameters(), lr=0.01)
z = torch.randn(8, 5)
for step in range(4):
    h = z
    for name, m in layers.items():
        h = torch.tanh(m(h))
    loss = (h - 0.5).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(f"{step} {loss:.4f}")
w = layers.orthogonal.weight
print(torch.allclose(w @ w.T, torch.eye(4), atol=1e-5), torch.linalg.matrix_norm(layers.spectral.eval().weight, 2) < 1.1, torch.equal(layers.symmetric.weight, layers.symmetric.weight.T))
print(list(layers.state_dict()))
print(layers)
with parametrize.cached():
    print(layers.symmetric.weight is layers.symmetric.weight)
parametrize.remove_parametrizations(layers.symmetric, "weight")
print(layers.symmetric, parametrize.is_parametrized(layers["weight"], "weight"), type(layers.orthogonal).__name__)

m = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
prune.l1_unstructured(m[0], "weight", amount=0.5)
prune.random_unstructured(m[2], "bias", amount=1)
prune.ln_structured(m[2], "weight", amount=2, n=2, dim=1)
print(m[0].weight_mask.sum(), sorted(n for n, _ in m.named_buffers()), (m[2].weight == 0).all(0).sum())
print([n for n, _ in m[0].named_parameters()], list(m[0]._forward_pre_hooks.values())[0].__class__.__name__)
m(torch.randn(2, 6)).sum().backward()
print((m[0].weight_orig.grad[m[0].weight_mask == 0] == 0).all(), prune.is_pruned(m))
prune.global_unstructured([(m[0], "weight"), (m[2], "weight")], pruning_method=prune.L1Unstructured, amount=5)
print((m[0].weight == 0).sum() + (m[2].weight == 0).sum())
prune.custom_from_mask(m[0], "bias", mask=torch.tensor([1, 0] * 4))
for mod, name in ((m[0], "weight"), (m[0], "bias"), (m[2], "weight"), (m[2], "bias")):
    prune.remove(mod, name)
print(list(m.state_dict()), prune.is_pruned(m), m[0].bias)
