# A Linear layer written by hand: factory keywords, an optional bias, a parameter registered as None.
import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.parameter import Parameter


class Affine(nn.Module):
    __constants__ = ["in_features", "out_features"]

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device=None, dtype=None) -> None:
        factory = {"device": device, "dtype": dtype}
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.empty((out_features, in_features), **factory))
        if bias:
            self.bias = Parameter(torch.empty(out_features, **factory))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


torch.manual_seed(0)
mine = Affine(3, 2)
torch.manual_seed(0)
theirs = nn.Linear(3, 2)
print(mine.weight)
print(torch.equal(mine.weight, theirs.weight), torch.equal(mine.bias, theirs.bias))
print(mine(torch.ones(4, 3)))
bare = Affine(3, 2, bias=False, dtype=torch.float64)
print(bare.bias, bare.weight.dtype, list(bare.state_dict()), [n for n, _ in bare.named_parameters()])
print(isinstance(theirs.weight, Parameter), isinstance(theirs.bias, Parameter))


class Bare(nn.Module):
    def __init__(self, n, m, bias=True):
        super(Bare, self).__init__()
        self.weight = nn.Parameter(torch.Tensor(m, n))
        if bias:
            self.bias = nn.Parameter(torch.Tensor(m))
        else:
            self.register_parameter("bias", None)

    def forward(self, input):
        return F.linear(input, self.weight, self.bias)


print(Bare(4, 5).weight.shape, Bare(4, 5).bias.shape, Bare(4, 5, False).bias)
print(Bare(4, 5)(torch.zeros(2, 4)).shape)
