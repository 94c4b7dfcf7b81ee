# A buffer moves and is saved with its module, and is not trained.
import torch
from torch import nn


class Running(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("scratch", torch.arange(3), persistent=False)

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
        return (x - self.mean) * self.scale


m = Running()
print([n for n, _ in m.named_parameters()], [n for n, _ in m.named_buffers()], list(m.state_dict()))
optimizer = torch.optim.SGD(m.parameters(), lr=0.1)
for k in range(3):
    optimizer.zero_grad()
    m(torch.tensor([[1.0, 2.0], [3.0, 5.0]])).pow(2).sum().backward()
    optimizer.step()
    print(m.mean, m.scale)
m.double()
print(m.mean.dtype, m.scale.dtype, m.scratch.dtype, m.mean.requires_grad)
print(m.to("cpu").mean.device, m.state_dict())
m.load_state_dict({"scale": torch.zeros(2), "mean": torch.ones(2)})
print(m.scale, m.mean)
print(m.load_state_dict({"scale": torch.zeros(2)}, strict=False))
try:
    m.load_state_dict({"scale": torch.zeros(3), "other": torch.zeros(1)})
except RuntimeError as e:
    print("RuntimeError:", e)
