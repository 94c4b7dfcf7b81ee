# A variational autoencoder: reparametrised samples, divergences, batches from a shuffled loader.
# slow
# digits: 3
import torch, torch.nn as nn, torch.nn.functional as F
from torch.distributions import Normal, kl_divergence, Bernoulli, Independent

torch.manual_seed(0)
x = (torch.rand(64, 16) > 0.5).float()
x[:, 8:] = x[:, :8]


class VAE(nn.Module):
    def __init__(self, d=16, z=2, h=32):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(d, h), nn.Tanh(), nn.Linear(h, 2 * z))
        self.dec = nn.Sequential(nn.Linear(z, h), nn.Tanh(), nn.Linear(h, d))

    def forward(self, x):
        mu, logvar = self.enc(x).chunk(2, dim=-1)
        q = Normal(mu, (0.5 * logvar).exp())
        z = q.rsample()
        p = Independent(Bernoulli(logits=self.dec(z)), 1)
        kl = kl_divergence(q, Normal(torch.zeros_like(mu), 1.0)).sum(-1)
        return -p.log_prob(x), kl


model = VAE()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=16, shuffle=True)
for epoch in range(4):
    tot = 0.0
    for (b,) in loader:
        opt.zero_grad(set_to_none=True)
        rec, kl = model(b)
        loss = (rec + kl).mean()
        loss.backward()
        opt.step()
        tot += loss.item() * len(b)
    print(f"epoch {epoch} elbo {-tot / len(x):.4f} kl {kl.mean().item():.4f}")
with torch.no_grad():
    print(torch.sigmoid(model.dec(torch.zeros(1, 2))).round(decimals=3))
