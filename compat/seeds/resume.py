# A checkpoint of everything: after resuming, losses and random numbers are those of the run that was not interrupted.
import collections
import io
import os
import random
import tempfile

import numpy as np
import torch
import torch.nn as nn

folder = tempfile.mkdtemp()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 16)
        self.bn = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.3)
        self.b = nn.Linear(16, 3)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, x):
        self.seen += x.size(0)
        return self.b(self.drop(torch.relu(self.bn(self.a(x)))))

    def get_extra_state(self):
        return {"version": 2}

    def set_extra_state(self, state):
        self.loaded_version = state["version"]


def build():
    net = Net()
    opt = torch.optim.AdamW(net.parameters(), lr=1e-2, amsgrad=True)
    sched = torch.optim.lr_scheduler.SequentialLR(opt, [torch.optim.lr_scheduler.LinearLR(opt, 0.1, total_iters=3), torch.optim.lr_scheduler.StepLR(opt, 2, 0.5)], [3])
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    return net, opt, sched, scaler


def steps(net, opt, sched, scaler, n):
    out = []
    for _ in range(n):
        x = torch.randn(8, 6) + random.random() + float(np.random.rand())
        y = torch.randint(3, (8,))
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        scaler.scale(loss).backward()
        scaler.step(opt)
        scaler.update()
        sched.step()
        out.append(loss.item())
    return out


def seed(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)


seed(0)
parts = build()
steps(*parts, 4)
path = os.path.join(folder, "ck.pt")
net, opt, sched, scaler = parts
torch.save(
    {
        "model": net.state_dict(),
        "opt": opt.state_dict(),
        "sched": sched.state_dict(),
        "scaler": scaler.state_dict(),
        "rng": {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()},
        "history": collections.OrderedDict(best=torch.tensor(0.5, dtype=torch.float64), when=4),
    },
    path,
)
rest = steps(*parts, 5)
after = torch.rand(3)
seed(99)
again = build()
ck = torch.load(path, weights_only=False)
for part, key in zip(again, ("model", "opt", "sched", "scaler")):
    print(key, part.load_state_dict(ck[key]))
torch.set_rng_state(ck["rng"]["torch"])
np.random.set_state(ck["rng"]["numpy"])
random.setstate(ck["rng"]["python"])
print(steps(*again, 5) == rest, torch.equal(torch.rand(3), after), again[0].loaded_version, again[0].seen, ck["history"])
print(list(ck["model"]), ck["model"]._metadata[""], len(ck["opt"]["state"]), sorted(ck["opt"]["state"][0]))
print(all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again[0].state_dict().values()) if isinstance(a, torch.Tensor)))
try:
    torch.load(path, weights_only=True)
except Exception as e:
    print(type(e).__name__)
bad = dict(ck["model"])
bad["a.weight"] = torch.zeros(2, 2)
del bad["b.bias"]
bad["more"] = torch.zeros(1)
try:
    net.load_state_dict(bad)
except RuntimeError as e:
    print(e)
other = Net()
print(other.load_state_dict({k: v for k, v in ck["model"].items() if k.startswith("a.")}, strict=False))
with torch.device("meta"):
    empty = nn.Linear(6, 16)
print(empty.weight.is_meta, empty.load_state_dict({k[2:]: v for k, v in ck["model"].items() if k.startswith("a.")}, assign=True), empty.weight.is_meta, torch.equal(empty.weight, ck["model"]["a.weight"]))
try:
    torch.optim.SGD(net.parameters(), lr=0.1).load_state_dict(torch.optim.SGD([net.a.weight], lr=0.1).state_dict())
except ValueError as e:
    print(e)
buf = io.BytesIO()
base = torch.arange(6.0)
torch.save({"v": base[2:4], "t": base.view(2, 3).t(), "n": None, "l": [1, (2.5, "s")], "d": torch.float16, "s": torch.Size([2, 3])}, buf)
buf.seek(0)
back = torch.load(buf, weights_only=True)
print(back, back["t"].stride(), back["v"].storage_offset(), back["v"].untyped_storage().data_ptr() == back["t"].untyped_storage().data_ptr())
back["v"].fill_(9)
print(back["t"])
half = {k: v.half() if v.is_floating_point() else v for k, v in ck["model"].items() if isinstance(v, torch.Tensor)}
print({k: v.dtype for k, v in half.items()})
