# Learning to learn: an inner step of gradient descent by hand and by torch.func.functional_call, differentiated through.
# slow
# digits: 3
import math
from collections import OrderedDict

import torch
from torch import nn
from torch.func import functional_call

torch.manual_seed(0)
net = nn.Sequential(OrderedDict(a=nn.Linear(1, 20), r=nn.Tanh(), b=nn.Linear(20, 20), s=nn.Tanh(), c=nn.Linear(20, 1)))
rates = nn.ParameterDict({n.replace(".", "_"): nn.Parameter(torch.tensor(0.05)) for n, _ in net.named_parameters()})


def task():
    amplitude, phase = 0.5 + torch.rand(()) * 4, torch.rand(()) * math.pi

    def draw(n):
        x = torch.rand(n, 1) * 10 - 5
        return x, amplitude * torch.sin(x + phase)

    return draw


def adapt(params, x, y, steps=2, first_order=False):
    for _ in range(steps):
        loss = nn.functional.mse_loss(functional_call(net, params, (x,)), y)
        grads = torch.autograd.grad(loss, list(params.values()), create_graph=not first_order)
        params = OrderedDict((n, p - rates[n.replace(".", "_")] * g) for (n, p), g in zip(params.items(), grads))
    return params


def by_hand(w, x):
    h = torch.tanh(x @ w["a.weight"].t() + w["a.bias"])
    h = torch.tanh(h @ w["b.weight"].t() + w["b.bias"])
    return h @ w["c.weight"].t() + w["c.bias"]


meta = torch.optim.Adam([*net.parameters(), *rates.parameters()], lr=1e-2)
for it in range(4):
    meta.zero_grad()
    outer = 0.0
    for _ in range(2):
        draw = task()
        fast = adapt(OrderedDict(net.named_parameters()), *draw(10))
        x, y = draw(10)
        outer = outer + nn.functional.mse_loss(by_hand(fast, x), y) / 2
    outer.backward()
    meta.step()
    print(f"{it} outer {outer.item():.4f} rate {rates['a_weight'].item():.5f} grad {net.c.weight.grad.norm():.4f}")
draw = task()
x, y = draw(10)
first = adapt(OrderedDict(net.named_parameters()), x, y, 1, first_order=True)
second = adapt(OrderedDict(net.named_parameters()), x, y, 1)
print(all(torch.equal(a, b) for a, b in zip(first.values(), second.values())))
g1 = torch.autograd.grad(nn.functional.mse_loss(by_hand(first, x), y), net.c.weight, retain_graph=True)[0]
g2 = torch.autograd.grad(nn.functional.mse_loss(by_hand(second, x), y), net.c.weight)[0]
print(f"{(g1 - g2).norm():.4f} {torch.cosine_similarity(g1, g2).item():.3f}")
reptile = {n: p.detach().clone() for n, p in net.named_parameters()}
inner = torch.optim.SGD(net.parameters(), lr=0.02)
for _ in range(3):
    inner.zero_grad()
    nn.functional.mse_loss(net(x), y).backward()
    inner.step()
with torch.no_grad():
    for n, p in net.named_parameters():
        p.copy_(torch.lerp(reptile[n], p, 0.5))
print(nn.functional.mse_loss(net(x), y), rates)
