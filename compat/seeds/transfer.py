# A pretrained network with a new head: lazy layers, partial loading, hooks, groups of parameters, files.
# digits: 3
import torch, torch.nn as nn, tempfile, os, io
from collections import OrderedDict

torch.manual_seed(0)


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.body = nn.Sequential(OrderedDict(conv=nn.Conv2d(c, c, 3, padding="same"), bn=nn.BatchNorm2d(c), act=nn.ReLU()))

    def forward(self, x):
        return x + self.body(x)


class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.stem = nn.LazyConv2d(4, 3, stride=2)
        self.blocks = nn.ModuleList(Residual(4) for _ in range(2))
        self.head = nn.LazyLinear(n)

    def forward(self, x):
        x = self.stem(x)
        for b in self.blocks:
            x = b(x)
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


net = Net(5)
net(torch.zeros(1, 3, 9, 9))
path = os.path.join(tempfile.mkdtemp(), "w.pt")
torch.save({"model": net.state_dict(), "epoch": 3, "cfg": {"n": 5}}, path)
ck = torch.load(path, weights_only=True, map_location="cpu")
new = Net(2)
new(torch.zeros(1, 3, 9, 9))
sd = {k: v for k, v in ck["model"].items() if not k.startswith("head")}
res = new.load_state_dict(sd, strict=False)
print(res)
try:
    new.load_state_dict(ck["model"])
except RuntimeError as e:
    print(e)
for n, p in new.named_parameters():
    p.requires_grad_(n.startswith("head"))
feats = {}
h = new.blocks[1].register_forward_hook(lambda m, i, o: feats.__setitem__("b1", o.detach().mean().item()))
groups = [
    {"params": [p for p in new.parameters() if p.requires_grad], "lr": 0.1},
    {"params": [p for p in new.parameters() if not p.requires_grad], "lr": 0.0},
]
opt = torch.optim.SGD(groups, momentum=0.9)
x, y = torch.randn(8, 3, 9, 9), torch.randint(0, 2, (8,))
for i in range(3):
    new.train()
    new.stem.eval()
    loss = nn.functional.cross_entropy(new(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(f"{loss.item():.4f} {feats['b1']:.4f}")
h.remove()
print([n for n, p in new.named_parameters() if p.grad is not None], new.blocks[0].body.bn.num_batches_tracked.item())
state = opt.state_dict()
print(state["param_groups"][0]["params"], sorted(state["state"]), state["state"][0]["momentum_buffer"].shape)
buf = io.BytesIO()
torch.save(new, buf)
buf.seek(0)
again = torch.load(buf, weights_only=False)
again.eval()
new.eval()
print(torch.equal(again(x), new(x)))
print({n: tuple(b.shape) for n, b in new.named_buffers()})
print(new.get_submodule("blocks.0.body.conv"), new.get_parameter("head.bias").shape)
