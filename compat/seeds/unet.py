# Segmentation by a small U-Net: transposed convolutions, group norm, a dice loss, a cosine schedule.
# slow
# digits: 3
import torch, torch.nn as nn, torch.nn.functional as F

torch.manual_seed(0)


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.GroupNorm(2, o), nn.SiLU(True))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.d1, self.d2, self.mid = block(1, 4), block(4, 8), block(8, 8)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.u1 = block(8, 4)
        self.out = nn.Conv2d(4, 2, 1)
        self.pool = nn.MaxPool2d(2, return_indices=False)

    def forward(self, x):
        a = self.d1(x)
        b = self.mid(self.d2(self.pool(a)))
        u = self.up(b)
        if u.shape[-2:] != a.shape[-2:]:
            u = F.interpolate(u, a.shape[-2:], mode="bilinear", align_corners=False)
        return self.out(self.u1(torch.cat([a, u], dim=1)))


net = UNet().to(memory_format=torch.channels_last)
x = torch.randn(2, 1, 15, 15)
yy, xx = torch.meshgrid(torch.arange(15), torch.arange(15), indexing="ij")
y = (((yy - 7) ** 2 + (xx - 7) ** 2) < 20).long().expand(2, -1, -1)
x[y.bool().unsqueeze(1)] += 1.5
opt = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 5)
for i in range(5):
    logits = net(x)
    p = logits.softmax(1)[:, 1]
    dice = 1 - 2 * (p * y).sum() / (p.sum() + y.sum())
    loss = F.cross_entropy(logits, y, weight=torch.tensor([1.0, 2.0])) + dice
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    print(i, f"{loss.item():.4f} {dice.item():.4f}", [f"{v:.3f}" for v in sched.get_last_lr()])
iou = ((logits.argmax(1) == 1) & (y == 1)).sum() / ((logits.argmax(1) == 1) | (y == 1)).sum()
print(f"{iou:.2f}", sum(p.numel() for p in net.parameters()))
print(net)
