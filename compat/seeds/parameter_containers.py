# Lists and dictionaries of parameters, and a module that holds them.
import torch
from torch import nn

torch.manual_seed(0)
print(torch.randn(2, 2, requires_grad=True))
w = nn.Parameter(torch.randn(2, 2))
print(w, w.requires_grad)
listed = nn.ParameterList([nn.Parameter(torch.rand(8, i)) for i in range(1, 3)])
print(listed)
print(listed[0].requires_grad, len(listed))
named = nn.ParameterDict({"a": nn.Parameter(torch.rand(2, 2)), "b": nn.Parameter(torch.zeros(2))})
print(named)
print(named["a"].requires_grad, list(named.keys()), "b" in named)
module = nn.Module()
module.w = nn.Parameter(torch.randn(2, 2))
module.listed = nn.ParameterList([nn.Parameter(torch.rand(8, i)) for i in range(1, 3)])
module.named = nn.ParameterDict({"a": nn.Parameter(torch.rand(2, 2)), "b": nn.Parameter(torch.zeros(2))})
count = 0
for item in module.named_parameters():
    print(item, "\n")
    count += 1
print("number of parameters", count, sum(p.numel() for p in module.parameters()))
listed.append(nn.Parameter(torch.ones(1)))
named["c"] = nn.Parameter(torch.ones(3))
print(module, len(listed), list(named))
