"""Training for integers, layers of integers, and modules that become one."""

import warnings

import torch
from torch import nn
from torch.ao import quantization as q
from torch.ao.nn.intrinsic import qat as fused_qat

warnings.simplefilter("ignore")  # torch means to move it to another package
torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant, self.dequant = q.QuantStub(), q.DeQuantStub()
        self.conv, self.bn, self.relu = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()
        self.fc, self.r2 = nn.Linear(8, 3), nn.ReLU()

    def forward(self, x):
        return self.dequant(self.r2(self.fc(self.relu(self.bn(self.conv(self.quant(x)))).flatten(1))))


net = Net().train()
net.qconfig = q.get_default_qat_qconfig("x86")
net = q.prepare_qat(q.fuse_modules_qat(net, [["conv", "bn", "relu"], ["fc", "r2"]]))
print(net, sorted(net.state_dict()))
optimizer = torch.optim.SGD(net.parameters(), 0.05)
for _ in range(3):
    loss = (net(torch.randn(4, 1, 4, 4)) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.4f}")
    net.apply(fused_qat.freeze_bn_stats)
net.eval()
fixed = net.conv.to_float()
print(net.conv.bn.training, fixed, f"{fixed[0].weight.sum().item():.4f}", net.fc.to_float())

mlp = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
x = torch.randn(3, 6)
for spec, dtype in (({"0"}, torch.qint8), ({nn.Linear: q.per_channel_dynamic_qconfig}, torch.qint8), ({nn.Linear}, torch.float16)):
    small = q.quantize_dynamic(mlp, spec, dtype=dtype)
    print(small, [f"{v:.3f}" for v in small[0](x).flatten().tolist()], list(small.state_dict()))
one = q.fuse_modules(nn.Sequential(nn.Conv1d(1, 2, 1), nn.BatchNorm1d(2), nn.ReLU()).eval(), ["0", "1", "2"])
print(one, one(torch.ones(1, 1, 2)).shape)
for wrong in (lambda: q.prepare_qat(mlp.eval()), lambda: q.fuse_modules(mlp, ["1", "0"]), lambda: torch.ao.nn.intrinsic.ConvBnReLU2d(one, one, one), lambda: q.quantize_dynamic(mlp, dtype=torch.int8)):
    try:
        wrong()
    except (AssertionError, ValueError) as error:
        print(type(error).__name__, error)
table = nn.Embedding(5, 3)
table.qconfig = q.default_embedding_qat_qconfig
rows = torch.ao.nn.qat.Embedding.from_float(table)(torch.tensor([1, 2]))
rows.sum().backward()
print(rows, table.weight.grad)
