# A network that solves an equation: second derivatives inside the loss, a parameter group added later.
# digits: 3
import torch, math
from torch import nn
from torch.autograd import grad

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
opt = torch.optim.Adam(net.parameters(), 5e-3)
lam = nn.Parameter(torch.tensor(1.0))
opt.add_param_group({"params": [lam], "lr": 1e-2, "name": "lam"})
for i in range(6):
    x = torch.rand(24, 1).mul_(math.pi).requires_grad_(True)
    u = net(x)
    (ux,) = grad(u, x, torch.ones_like(u), create_graph=True)
    uxx = grad(ux.sum(), x, create_graph=True)[0]
    res = uxx + lam * u
    bc = net(torch.tensor([[0.0], [math.pi], [math.pi / 2]])) - torch.tensor([[0.0], [0.0], [1.0]])
    loss = res.pow(2).mean() + 10 * bc.pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(i, f"{loss.item():.4f} {lam.item():.4f} {uxx.abs().mean().item():.4f}")
J = torch.autograd.functional.jacobian(lambda z: net(z), torch.tensor([0.5]))
print(J, [g["lr"] for g in opt.param_groups])
