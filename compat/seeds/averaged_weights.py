# A small ResNet with averaged weights: stochastic weight averaging, an exponential average, batch norm's statistics made anew.
# slow
# digits: 3
import torch
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.data import DataLoader, TensorDataset


def conv3x3(i, o, stride=1):
    return nn.Conv2d(i, o, 3, stride, 1, bias=False)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, i, o, stride=1, downsample=None):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(i, o, stride), nn.BatchNorm2d(o)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv3x3(o, o), nn.BatchNorm2d(o)
        self.downsample = downsample

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, layers, classes=4, width=8):
        super().__init__()
        self.inplanes = width
        self.conv1 = nn.Conv2d(3, width, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self._make(width, layers[0])
        self.layer2 = self._make(2 * width, layers[1], 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(2 * width, classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
        for m in self.modules():
            if isinstance(m, BasicBlock):
                nn.init.constant_(m.bn2.weight, 0)

    def _make(self, o, n, stride=1):
        down = None
        if stride != 1 or self.inplanes != o:
            down = nn.Sequential(nn.Conv2d(self.inplanes, o, 1, stride, bias=False), nn.BatchNorm2d(o))
        blocks = [BasicBlock(self.inplanes, o, stride, down)]
        self.inplanes = o
        blocks += [BasicBlock(o, o) for _ in range(1, n)]
        return nn.Sequential(*blocks)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


torch.manual_seed(0)
x = torch.randn(48, 3, 12, 12)
y = (x[:, :, :6].mean((1, 2, 3)) > 0).long() + 2 * (x[:, :, 6:].mean((1, 2, 3)) > 0).long()
g = torch.Generator().manual_seed(3)
loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True, generator=g)
model = ResNet([1, 1])
swa = AveragedModel(model)
ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4, nesterov=True)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=4)
swa_sched = SWALR(opt, swa_lr=0.02, anneal_epochs=2, anneal_strategy="linear")
for epoch in range(6):
    model.train()
    total = 0.0
    for bx, by in loader:
        loss = nn.functional.cross_entropy(model(bx), by)
        opt.zero_grad()
        loss.backward()
        opt.step()
        ema.update_parameters(model)
        total += loss.item() * bx.size(0)
    if epoch >= 3:
        swa.update_parameters(model)
        swa_sched.step()
    else:
        sched.step()
    print(f"epoch {epoch} loss {total / len(x):.4f} lr {opt.param_groups[0]['lr']:.5f}")
print("averaged", swa.n_averaged, ema.n_averaged.item())
before = swa.module.bn1.running_mean.clone()
update_bn(loader, swa)
print("bn changed", not torch.equal(before, swa.module.bn1.running_mean), swa.module.bn1.num_batches_tracked)
for name, m in (("plain", model), ("swa", swa), ("ema", ema)):
    m.eval()
    with torch.no_grad():
        out = m(x)
    print(f"{name}: {nn.functional.cross_entropy(out, y).item():.3f} {out.norm().item():.3f}")
print(list(swa.state_dict())[:3], len(swa.state_dict()), len(ema.state_dict()))
print(model.layer2[0].downsample)
