# Denoising diffusion of points on a circle: averaged weights, a warm-up, sampling.
# slow
# digits: 3
import torch, math
from torch import nn

torch.manual_seed(0)
T = 20
beta = torch.linspace(1e-3, 0.2, T)
alpha = 1 - beta
abar = alpha.cumprod(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("freqs", torch.exp(torch.arange(4) * (-math.log(100.0) / 4)))
        self.f = nn.Sequential(nn.Linear(2 + 8, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 2))

    def forward(self, x, t):
        a = t[:, None].float() * self.freqs[None]
        return self.f(torch.cat([x, a.sin(), a.cos()], -1))


net = Net()
ema = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
opt = torch.optim.AdamW(net.parameters(), 3e-3)
warm = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min(1.0, (s + 1) / 5))
for step in range(8):
    a = torch.rand(64) * 2 * math.pi
    x0 = torch.stack((a.cos(), a.sin()), -1)
    t = torch.randint(0, T, (64,))
    eps = torch.randn_like(x0)
    xt = abar[t].sqrt()[:, None] * x0 + (1 - abar[t]).sqrt()[:, None] * eps
    loss = nn.functional.mse_loss(net(xt, t), eps)
    opt.zero_grad()
    loss.backward()
    opt.step()
    warm.step()
    ema.update_parameters(net)
    if step % 2 == 1:
        print(step, f"{loss.item():.4f}", warm.get_last_lr())


@torch.no_grad()
def sample(n):
    x = torch.randn(n, 2)
    for i in reversed(range(T)):
        e = ema(x, torch.full((n,), i))
        x = (x - beta[i] / (1 - abar[i]).sqrt() * e) / alpha[i].sqrt()
        if i:
            x = x + beta[i].sqrt() * torch.randn_like(x)
    return x


s = sample(5)
print(s.shape, s.requires_grad, s.norm(dim=1).mean())
print(int(ema.n_averaged), list(ema.state_dict())[:3])
