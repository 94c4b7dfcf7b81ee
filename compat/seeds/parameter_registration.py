# A Parameter assigned to a module is found by it; a plain tensor is not, whatever its requires_grad.
import torch
from torch import nn


class Scale(nn.Module):
    def __init__(self, wrap, grad=False):
        super().__init__()
        values = torch.tensor([1.0, 2.0], requires_grad=grad)
        self.weight = nn.Parameter(values) if wrap else values

    def forward(self, x):
        return x * self.weight


for wrap, grad in ((True, False), (False, False), (False, True)):
    layer = Scale(wrap, grad)
    print("wrapped" if wrap else "plain", grad, "->", layer.weight.requires_grad)
    for name, p in layer.named_parameters():
        print(name)
        print(p)
    print("parameters:", len(list(layer.parameters())), "state:", list(layer.state_dict()))
    print(layer(torch.tensor([3.0, 4.0])))

tensor, parameter = torch.ones(2), nn.Parameter(torch.ones(2))
print(tensor.requires_grad, parameter.requires_grad, isinstance(parameter, torch.Tensor), type(parameter.data).__name__)

# Only what is registered is updated.
plain = Scale(False, True)
wrapped = Scale(True)
optimizer = torch.optim.SGD([*wrapped.parameters(), *plain.parameters()], lr=0.1)
for m in (plain, wrapped):
    m(torch.tensor([1.0, 1.0])).sum().backward()
optimizer.step()
print(plain.weight, wrapped.weight)
try:
    torch.optim.SGD(plain.parameters(), lr=0.1)
except ValueError as e:
    print("ValueError:", e)
try:
    wrapped.weight = torch.zeros(2)
except TypeError as e:
    print("TypeError:", e)
