# nn.Linear computes y = x W^T + b, from torch's own initial numbers.
import torch
import torch.nn as nn

torch.manual_seed(1)
linear = nn.Linear(in_features=3, out_features=5)
print(linear)
print(linear.bias)
print(linear.weight)
out = linear(torch.tensor([0.0, 1.0, 2.0]))
print(out.data, out.grad_fn is not None)
x = torch.randn(4, 3)
print(torch.allclose(linear(x), x @ linear.weight.T + linear.bias), linear(x).shape, linear(torch.randn(2, 4, 3)).shape)
try:
    linear(torch.randn(4, 2))
except RuntimeError as e:
    print("RuntimeError:", e)
