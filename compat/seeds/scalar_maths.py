# Elementwise arithmetic, comparison, rounding, clipping.
import torch
import torch.nn.functional as F

a, b = torch.tensor(1.0), torch.tensor(2.0)
print(a + b, a - 3, 2 / b)
a = torch.tensor([[1.0, 2], [-3, 4.0]])
b = torch.tensor([[5.0, 6], [7.0, 8.0]])
print(a + b, a - b, a * b, a / b, a**2, a ** (0.5), a % 3, sep="\n")
print(torch.div(a, b, rounding_mode="floor"), torch.div(a, b, rounding_mode="trunc"), a // b)
print(a >= 2, torch.ge(a, 2), (a >= 2) & (a <= 3), (a >= 2) | (a <= 3), a == 5, torch.eq(a, 5), ~(a > 0))
print(torch.sqrt(a), torch.exp(a), torch.log(b), torch.sin(a), torch.tanh(a))
a, b = torch.tensor([1.0, 8.0]), torch.tensor([5.0, 6.0])
print(torch.max(a, b), torch.min(a, b), torch.maximum(a, b))
x = torch.tensor([2.6, -2.7])
print(torch.round(x), torch.floor(x), torch.ceil(x), torch.trunc(x), torch.round(torch.tensor([0.5, 1.5, 2.5])))
print(torch.fmod(x, 2), torch.remainder(x, 2), torch.tensor([7, -7]) % 3, torch.fmod(torch.tensor([7, -7]), 3))
x = torch.tensor([0.9, -0.8, 100.0, -20.0, 0.7])
print(torch.clamp(x, min=-1, max=1), torch.clamp(x, max=1))
relu = lambda x: x.clamp(min=0.0)
print(relu(torch.tensor(5.0)), relu(torch.tensor(-5.0)), torch.relu(torch.tensor(-1.0)), F.relu(torch.tensor(-1.0)))
print(torch.tensor([1, 2]) / 2, torch.tensor([1, 2]) // 2, torch.tensor([1, 2]) + 1.5, torch.tensor([1, 2]) * True)
print(F.sigmoid(a), F.tanh(a), F.softmax(a, dim=0))
