# A generator against a discriminator: two optimizers, spectral norm, batch norm, detached samples.
# slow
# digits: 3
import torch
from torch import nn

torch.manual_seed(1)
G = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.LeakyReLU(0.2), nn.Linear(16, 2))
D = nn.Sequential(
    nn.utils.spectral_norm(nn.Linear(2, 16)), nn.LeakyReLU(0.2, inplace=True), nn.Dropout(0.1), nn.Linear(16, 1), nn.Flatten(0)
)


def init(m):
    if isinstance(m, nn.Linear):
        nn.init.normal_(m.weight, 0.0, 0.1) if not hasattr(m, "weight_orig") else None
        nn.init.zeros_(m.bias)


G.apply(init)
D.apply(init)
og = torch.optim.Adam(G.parameters(), 2e-3, betas=(0.5, 0.999))
od = torch.optim.RMSprop(D.parameters(), 1e-3)
bce = nn.BCEWithLogitsLoss()
real_label, fake_label = torch.full((32,), 0.9), torch.zeros(32)
for step in range(6):
    t = torch.rand(32) * 6.2832
    real = torch.stack([t.cos(), t.sin()], 1) + 0.05 * torch.randn(32, 2)
    fake = G(torch.randn(32, 4))
    od.zero_grad()
    ld = bce(D(real), real_label) + bce(D(fake.detach()), fake_label)
    ld.backward()
    od.step()
    for p in D.parameters():
        p.requires_grad_(False)
    og.zero_grad()
    lg = bce(D(fake), torch.ones(32))
    lg.backward()
    og.step()
    for p in D.parameters():
        p.requires_grad_(True)
    print(step, round(ld.item(), 4), round(lg.item(), 4))
G.eval()
with torch.inference_mode():
    print(G(torch.randn(2, 4)).shape, G[1].num_batches_tracked, G[1].running_var[:3])
