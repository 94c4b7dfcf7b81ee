# zero_grad, backward, step; several losses over one graph; optimizers with groups of parameters.
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1))
for name, p in net.named_parameters():
    print(name, tuple(p.shape), p.requires_grad)
x, y = torch.randn(16, 4), torch.randn(16, 1)
adam = torch.optim.Adam(net.parameters(), lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0)
print(adam.defaults["lr"], adam.defaults["betas"], adam.defaults["eps"], adam.defaults["weight_decay"])
for step in range(5):
    adam.zero_grad()
    loss = nn.functional.mse_loss(net(x), y)
    loss.backward()
    adam.step()
    print(step, f"{loss.item():.5f}")

hidden = net[0](x).relu()
loss1, loss2 = net[2](hidden).pow(2).mean(), hidden.mean()
adam.zero_grad()
loss1.backward(retain_graph=True)
first = net[0].weight.grad.clone()
loss2.backward()
print((net[0].weight.grad - first).abs().sum())
adam.step()
try:
    loss2.backward()
except RuntimeError as e:
    print("RuntimeError:", str(e)[:60])

torch.manual_seed(1)
for kind, options in (
    (torch.optim.SGD, dict(lr=0.02, momentum=0.9, nesterov=True)),
    (torch.optim.SGD, dict(lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.01)),
    (torch.optim.Adam, dict(lr=0.01, amsgrad=True)),
    (torch.optim.AdamW, dict(lr=0.01, weight_decay=0.1)),
):
    model = nn.Linear(3, 2)
    groups = [{"params": [model.weight]}, {"params": [model.bias], "lr": 0.05, "weight_decay": 0.0}]
    optimizer = kind(groups, **options)
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.ones(2, 3)).pow(2).sum().backward()
        optimizer.step()
    print(kind.__name__, model.weight, model.bias, [g["lr"] for g in optimizer.param_groups], len(optimizer.state))
print(optimizer)
print(sorted(optimizer.state_dict()["state"][0]), optimizer.state_dict()["state"][0]["step"])
