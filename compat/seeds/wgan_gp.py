# A Wasserstein GAN with a gradient penalty: gradients of gradients in every step of the critic.
# slow
# digits: 3
import math

import torch
from torch import autograd, nn

torch.manual_seed(0)


class Generator(nn.Module):
    def __init__(self, z=4, h=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(z, h), nn.LayerNorm(h), nn.LeakyReLU(0.2, True), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, 2))

    def forward(self, z):
        return self.net(z)


critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.Softplus(), nn.Linear(32, 1))
gen = Generator()
opt_g = torch.optim.Adam(gen.parameters(), lr=1e-3, betas=(0.0, 0.9))
opt_c = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))


def real(n):
    a = torch.rand(n) * 2 * math.pi
    return torch.stack((a.cos(), a.sin()), -1) + 0.05 * torch.randn(n, 2)


def penalty(real, fake):
    eps = torch.rand(real.size(0), 1).expand_as(real)
    mix = (eps * real + (1 - eps) * fake).requires_grad_(True)
    out = critic(mix)
    (grad,) = autograd.grad(outputs=out, inputs=mix, grad_outputs=torch.ones_like(out), create_graph=True, retain_graph=True, only_inputs=True)
    return ((grad.view(grad.size(0), -1).norm(2, dim=1) - 1) ** 2).mean()


for step in range(6):
    for p in critic.parameters():
        p.requires_grad_(True)
    for _ in range(3):
        r, z = real(32), torch.randn(32, 4)
        f = gen(z).detach()
        gp = penalty(r, f)
        loss_c = critic(f).mean() - critic(r).mean() + 10 * gp
        opt_c.zero_grad()
        loss_c.backward()
        opt_c.step()
    for p in critic.parameters():
        p.requires_grad_(False)
    loss_g = -critic(gen(torch.randn(32, 4))).mean()
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
    print(f"{step} critic {loss_c.item():.4f} penalty {gp.item():.4f} generator {loss_g.item():.4f}")
with torch.no_grad():
    s = gen(torch.randn(500, 4))
print(s.mean(0), s.std(0), torch.cov(s.T), torch.corrcoef(s.T))
x = real(8).requires_grad_()
r1 = autograd.grad(critic(x).sum(), x, create_graph=True)[0].pow(2).sum()
print(r1.requires_grad, x.grad, f"{r1.item():.4f}")
h = autograd.functional.hessian(lambda v: critic(v).sum(), torch.tensor([0.3, -0.4]))
j = autograd.functional.jacobian(gen, torch.zeros(4))
print(h, j.shape, autograd.functional.hvp(lambda v: critic(v).sum(), torch.tensor([0.3, -0.4]), torch.ones(2))[1])
