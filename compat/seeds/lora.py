# Low-rank adapters by parametrizations: frozen weights, cached products, merging.
# digits: 3
import torch, copy
from torch import nn
from torch.nn.utils import parametrize

torch.manual_seed(0)


class LoRA(nn.Module):
    def __init__(self, out_f, in_f, r=2, alpha=4):
        super().__init__()
        self.A = nn.Parameter(torch.randn(r, in_f) / r)
        self.B = nn.Parameter(torch.zeros(out_f, r))
        self.scale = alpha / r
        self.on = True

    def forward(self, W):
        return W + (self.B @ self.A) * self.scale if self.on else W

    def extra_repr(self):
        return f"scale={self.scale}"


net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
base = copy.deepcopy(net)
for m in net.modules():
    if type(m) is nn.Linear:
        parametrize.register_parametrization(m, "weight", LoRA(m.out_features, m.in_features))
for n, p in net.named_parameters():
    p.requires_grad = "parametrizations" in n and "original" not in n
print([n for n, p in net.named_parameters() if p.requires_grad])
print(net[0])
x, y = torch.randn(32, 6), torch.randint(0, 3, (32,))
opt = torch.optim.AdamW((p for p in net.parameters() if p.requires_grad), lr=0.05)
for i in range(5):
    with parametrize.cached():
        loss = nn.functional.cross_entropy(net(x), y, label_smoothing=0.1)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(f"{loss.item():.4f}")
for m in net.modules():
    if isinstance(m, LoRA):
        m.on = False
print(torch.equal(net(x), base(x)))
for m in net.modules():
    if isinstance(m, LoRA):
        m.on = True
before = net(x)
for m in net:
    if parametrize.is_parametrized(m):
        parametrize.remove_parametrizations(m, "weight", leave_parametrized=True)
print(
    torch.allclose(before, net(x)), type(net[0]).__name__, list(net.state_dict()), torch.linalg.matrix_rank(net[0].weight - base[0].weight)
)
