# Making tensors: from lists and ranges, filled, random, special.
import numpy as np
import torch

print(torch.tensor([1, 2, 3], dtype=torch.float), torch.arange(1, 10, step=2), torch.linspace(0.0, 2 * 3.14, 10))
print(torch.zeros((3, 3)))
a = torch.ones((3, 3), dtype=torch.int)
b = torch.zeros_like(a, dtype=torch.float)
print(a, b)
torch.fill_(b, 5)
print(b)
torch.manual_seed(0)
low, high = 0, 10
print(low + (high - low) * torch.rand([5]))
print(torch.normal(mean=torch.zeros(3, 3), std=torch.ones(3, 3)))
mean, std = 2, 5
print(std * torch.randn((3, 3)) + mean)
print(torch.randperm(20))
print(torch.randint(0, 100, (7,)), torch.bernoulli(torch.full((5,), 0.5)), torch.multinomial(torch.tensor([0.1, 0.2, 0.7]), 5, replacement=True))
print(torch.eye(3, 3), torch.eye(2, 3))
print(torch.diag(torch.tensor([1, 2, 3])), torch.diag(torch.arange(4).view(2, 2)))
print(torch.full((2, 2), 3.5), torch.logspace(0, 2, 3), torch.empty(0), torch.tensor([]), torch.tensor(1.0))
array = np.arange(4.0)
shared = torch.from_numpy(array)
array[0] = 9
print(shared, shared.numpy() is not None, torch.tensor(array).dtype, torch.as_tensor(array)[0])
shared[1] = 7
print(array)
