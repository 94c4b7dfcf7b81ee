# A neural ODE integrated by Runge-Kutta: plain, with checkpoints, and with the adjoint written as a custom Function.
# digits: 3
# slow
import torch
from torch import nn
from torch.autograd import Function
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

torch.manual_seed(0)


class Field(nn.Module):
    def __init__(self, d=2, h=24):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d + 1, h), nn.Tanh(), nn.Linear(h, d))
        self.calls = 0

    def forward(self, t, y):
        self.calls += 1
        return self.net(torch.cat((y, t.expand(*y.shape[:-1], 1)), -1))


def rk4(f, t, dt, y):
    k1 = f(t, y)
    k2 = f(t + dt / 2, y + dt * k1 / 2)
    k3 = f(t + dt / 2, y + dt * k2 / 2)
    k4 = f(t + dt, y + dt * k3)
    return y + dt * (k1 + 2 * k2 + 2 * k3 + k4) / 6


def odeint(f, y, ts, remember=True):
    out = [y]
    for t0, t1 in zip(ts[:-1], ts[1:]):
        y = rk4(f, t0, t1 - t0, y) if remember else checkpoint(rk4, f, t0, t1 - t0, y, use_reentrant=False)
        out.append(y)
    return torch.stack(out)


class Adjoint(Function):
    @staticmethod
    def forward(ctx, f, y0, ts, *params):
        with torch.no_grad():
            y = odeint(f, y0, ts)
        ctx.f = f
        ctx.save_for_backward(y, ts)
        return y[-1]

    @staticmethod
    def backward(ctx, g):
        y, ts = ctx.saved_tensors
        params = tuple(ctx.f.parameters())
        total = [torch.zeros_like(p) for p in params]
        for i in range(len(ts) - 1, 0, -1):
            with torch.enable_grad():
                a = y[i - 1].detach().requires_grad_()
                b = rk4(ctx.f, ts[i - 1], ts[i] - ts[i - 1], a)
            ga, *gp = torch.autograd.grad(b, (a, *params), g)
            total = [s + q for s, q in zip(total, gp)]
            g = ga
        return (None, g, None, *total)


A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
ts = torch.linspace(0, 1, 5)
y0 = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
with torch.no_grad():
    truth = odeint(lambda t, y: y @ A.T, y0, ts)
    exact = torch.stack([y0 @ torch.matrix_exp(A * t).T for t in ts])
print(f"{(truth - exact).abs().max():.0e}")
f = Field()
grads = []
for remember in (True, False):
    f.zero_grad()
    ((odeint(f, y0, ts, remember) - truth) ** 2).mean().backward()
    grads.append([p.grad.clone() for p in f.parameters()])
    print("calls", f.calls)
f.zero_grad()
out = Adjoint.apply(f, y0, ts, *f.parameters())
last = ((out - truth[-1]) ** 2).mean()
last.backward()
byhand = [p.grad.clone() for p in f.parameters()]
f.zero_grad()
((odeint(f, y0, ts)[-1] - truth[-1]) ** 2).mean().backward()
print(all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*grads)), all(torch.allclose(a, p.grad, atol=1e-5) for a, p in zip(byhand, f.parameters())), out.grad_fn.name())
opt = torch.optim.Adamax(f.parameters(), lr=0.02)
for step in range(10):
    loss = nn.functional.smooth_l1_loss(odeint(f, y0, ts), truth, beta=0.5)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 3 == 0:
        print(f"{step} {loss.item():.5f}")
seq = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(0.5)) for _ in range(4)])
x = torch.randn(3, 4, requires_grad=True)
torch.manual_seed(5)
plain = seq(x).sum()
torch.manual_seed(5)
saved = checkpoint_sequential(seq, 2, x, use_reentrant=False).sum()
print(torch.equal(plain, saved), torch.equal(torch.autograd.grad(plain, x)[0], torch.autograd.grad(saved, x)[0]))
