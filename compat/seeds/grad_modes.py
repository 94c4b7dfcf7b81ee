# Switching gradients off for a block, and what eval() does and does not do.
import torch
from torch import nn

x = torch.ones(2, requires_grad=True)
before = x * 2
for context in (torch.no_grad(), torch.set_grad_enabled(False), torch.inference_mode()):
    with context:
        y = x * 3
        print(type(context).__name__, y.requires_grad, y.grad_fn, torch.is_grad_enabled(), before.requires_grad, x.requires_grad)
print(torch.is_grad_enabled(), (x * 3).requires_grad, before.grad_fn.name())
with torch.no_grad():
    with torch.enable_grad():
        print((x * 3).requires_grad)


@torch.no_grad()
def evaluate(v):
    return v * 2


print(evaluate(x).requires_grad)

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
data = torch.randn(6, 3)
print(net.training, [m.training for m in net])
out = net(data)
print(out.requires_grad, (out == 0).sum() > 0, net[1].running_mean, net[1].num_batches_tracked)
net.eval()
print([m.training for m in net], torch.equal(net(data), net(data)), net(data).requires_grad)
with torch.no_grad():
    print(net(data).requires_grad, net(data)[0])
print(net[1].running_var)
net.train()
print(net[0].training, net[2])
print(torch.set_grad_enabled(True))
