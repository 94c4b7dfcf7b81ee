"""A program that replaces functions of torch, and what of torch sees it: what is written in Python does, what is written in C++ does not."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset, WeightedRandomSampler, default_collate, random_split


class Seen:
    """Counts the calls of one function while it is replaced."""

    def __init__(self, owner, name, value=None):
        self.owner, self.name, self.value, self.count = owner, name, value, 0

    def __enter__(self):
        self.original = original = getattr(self.owner, self.name)

        def call(*args, **kwargs):
            self.count += 1
            return original(*args, **kwargs) if self.value is None else self.value(*args, **kwargs)

        setattr(self.owner, self.name, call)
        return self

    def __exit__(self, *error):
        setattr(self.owner, self.name, self.original)


def seen(owner, name, work, value=None):
    torch.manual_seed(0)
    with Seen(owner, name, value) as s:
        result = work()
    home = getattr(owner, "__name__", owner)
    print(home, name, "seen" if s.count else "not seen", result if isinstance(result, (list, tuple, int)) else "")


data = TensorDataset(torch.arange(6.0), torch.arange(6.0))
backwards = lambda n, **k: torch.arange(n - 1, -1, -1)
seen(torch, "randperm", lambda: list(RandomSampler(data)), backwards)
seen(torch, "randperm", lambda: [x.tolist() for x, _ in DataLoader(data, 2, shuffle=True)], backwards)
seen(torch, "randperm", lambda: list(random_split(data, [2, 4])[0].indices), lambda n, **k: backwards(n))
seen(torch, "multinomial", lambda: list(WeightedRandomSampler([1.0, 2.0], 3)))
seen(torch, "randint", lambda: list(RandomSampler(data, replacement=True, num_samples=3)))
seen(torch, "stack", lambda: default_collate([torch.ones(2), torch.ones(2)]).shape)
seen(torch, "as_tensor", lambda: default_collate([__import__("numpy").ones(2)] * 2).shape)
seen(torch, "tensor", lambda: default_collate([1, 2]).tolist())
seen(torch, "empty", lambda: tuple(nn.Linear(2, 3).weight.shape))
seen(torch, "empty", lambda: nn.Linear(2, 3).weight.is_meta + 0, lambda *a, _make=torch.empty, **k: _make(*a, **{**k, "device": "meta"}))
seen(torch, "zeros", lambda: nn.BatchNorm1d(2).running_mean.is_meta + 0, lambda *a, _make=torch.zeros, **k: _make(*a, **{**k, "device": "meta"}))
seen(torch, "empty", lambda: torch.zeros(2).tolist() + torch.eye(2).flatten().tolist() + torch.zeros_like(torch.ones(1)).tolist(), lambda *a, _make=torch.empty, **k: _make(*a, **{**k, "device": "meta"}))
seen(torch, "zeros", lambda: F.one_hot(torch.tensor([1]), 3).tolist() + torch.diag_embed(torch.ones(2)).flatten().tolist(), lambda *a, **k: None)
seen(torch, "sum", lambda: round(torch.ones(3).mean().item() + torch.norm(torch.ones(4)).item()))
seen(torch, "exp", lambda: torch.softmax(torch.zeros(2), 0).tolist(), lambda *a, **k: None)
seen(torch, "matmul", lambda: F.linear(torch.ones(1, 2), torch.ones(1, 2)).tolist(), lambda *a, **k: None)
seen(torch, "add", lambda: (torch.ones(1) + 1).tolist(), lambda *a, **k: None)

layer = nn.TransformerEncoderLayer(4, 2, 4)
for name in ("dropout", "relu", "linear", "layer_norm", "multi_head_attention_forward", "scaled_dot_product_attention", "softmax"):
    seen(F, name, lambda: tuple(layer(torch.rand(2, 1, 4)).shape))
attention = nn.MultiheadAttention(4, 2, dropout=0.5)
for name in ("dropout", "softmax", "linear", "pad"):
    seen(F, name, lambda: tuple(attention(*[torch.rand(2, 1, 4)] * 3)[0].shape))
for name in ("bmm", "baddbmm", "cat"):
    seen(torch, name, lambda: tuple(attention(*[torch.rand(2, 1, 4)] * 3)[0].shape))
seen(F, "softplus", lambda: tuple(torch.distributions.Bernoulli(logits=torch.zeros(2)).entropy().shape))
seen(torch, "bernoulli", lambda: tuple(torch.distributions.Bernoulli(0.5).sample((2,)).shape))
seen(torch, "normal", lambda: tuple(torch.distributions.Normal(0.0, 1.0).sample((2,)).shape))
seen(torch, "multinomial", lambda: tuple(torch.distributions.Categorical(torch.ones(3)).sample((2,)).shape))
seen(torch, "poisson", lambda: tuple(torch.distributions.Poisson(torch.ones(3)).sample((2,)).shape))
seen(torch.linalg, "cholesky", lambda: tuple(torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)).scale_tril.shape))
parameter = nn.Parameter(torch.ones(2))
(parameter * 2).sum().backward()
seen(torch.linalg, "vector_norm", lambda: tuple(nn.utils.clip_grad_norm_([parameter], 1.0).shape))
seen(torch.Tensor, "backward", lambda: (parameter * 2).sum().backward())
seen(torch.Tensor, "normal_", lambda: tuple(nn.init.normal_(torch.empty(2)).shape))
seen(torch.Tensor, "uniform_", lambda: tuple(nn.init.kaiming_uniform_(torch.empty(2, 2)).shape))
seen(nn.init, "kaiming_uniform_", lambda: tuple(nn.Linear(2, 2).weight.shape))
seen(nn.init, "xavier_uniform_", lambda: nn.MultiheadAttention(2, 1).embed_dim)
seen(nn.Module, "register_parameter", lambda: nn.Linear(2, 2).in_features)
seen(nn.Module, "__call__", lambda: tuple(nn.Sequential(nn.Linear(2, 2))(torch.ones(1, 2)).shape))
seen(nn.Linear, "forward", lambda: tuple(nn.Sequential(nn.Linear(2, 2))(torch.ones(1, 2)).shape))
seen(nn.Linear, "reset_parameters", lambda: nn.Linear(2, 2).in_features)
seen(torch.utils.data._utils.collate, "default_collate", lambda: len(list(DataLoader(data, 2))))
seen(torch, "save", lambda: copy.deepcopy(nn.Linear(2, 2)).in_features)
torch.foo = lambda: 5
torch.nn.functional.twice = lambda x: x * 2
torch.Tensor.thrice = lambda self: self * 3
print(torch.foo(), F.twice(2), torch.ones(1).thrice(), list(BatchSampler([1, 2, 3], 2, False)))
del torch.foo, torch.nn.functional.twice, torch.Tensor.thrice
print(hasattr(torch, "foo"), hasattr(F, "twice"))
