"""``torch.compile`` of steps and modules over eight devices: they are replayed, with the numbers of one device, and what happens between two calls counts."""

from __future__ import annotations

from pathlib import Path

from .test_dtensor import in_one_process

PROGRAM = r"""
import torch, torch.nn.functional as F
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

mesh = init_device_mesh("cpu", (8,))
both = init_device_mesh("cpu", (4, 2), mesh_dim_names=("dp", "tp"))
data = [(torch.randn(8, 16), torch.randn(8, 8)) for _ in range(12)]
def whole(t):
    return t.full_tensor() if isinstance(t, DTensor) else t

def fsdp(net):
    for part in (net[0], net[2], net):
        fully_shard(part, mesh=mesh)
def tp(net, on=mesh):
    parallelize_module(net, on, {"0": ColwiseParallel(), "2": RowwiseParallel()})
def fsdp_tp(net):
    tp(net, both["tp"])
    for part in (net[0], net[2], net):
        fully_shard(part, mesh=both["dp"])

def written(i, net, opt, out):
    if i == 5:
        with torch.no_grad():
            net[0].weight.mul_(0.5)
def held(i, net, opt, out, kept=[]):
    # what somebody has of a parameter, its value too, is not overwritten
    w = net[0].weight
    if i == 5:
        kept[:] = [w.detach() + 0, w.redistribute(placements=[Replicate()] * w.device_mesh.ndim).detach() if isinstance(w, DTensor) else w.detach().clone(), net[2].weight.grad]
    elif i == 8:
        out += [whole(t).abs().sum().item() for t in kept]
def looked_at(i, net, opt, out):
    if i in (4, 7):
        out += [whole(s["exp_avg"]).abs().sum().item() for s in opt.state.values()]
def factor(i, net, opt, out):
    if i == 5 and hasattr(net[0], "set_gradient_divide_factor"):
        net[0].set_gradient_divide_factor(2.0)

def train(lay, how, poke):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 8))
    lay(net)
    opt = torch.optim.AdamW(net.parameters(), lr=0.01)
    run = compiled = torch.compile(net) if how == "module" else net
    def step(x, y):
        opt.zero_grad()
        loss = F.mse_loss(run(x), y)
        loss.backward()
        opt.step()
        return loss
    if how == "step":
        step = compiled = torch.compile(step)
    out = []
    for i, (x, y) in enumerate(data):
        out.append(step(x, y).item())
        poke(i, net, opt, out)
    if how is not None:
        known = (compiled.__dict__.get("_run_compiled") or compiled)._compiled
        assert known.runs >= 8, (lay.__name__, how, poke.__name__, known.runs, known.why)
    return [*out, *[whole(p.grad).abs().sum().item() for p in net.parameters() if p.grad is not None]]

def nothing(i, net, opt, out):
    pass

for lay, pokes in ((fsdp, (written, held, looked_at, factor)), (tp, (held,)), (fsdp_tp, (nothing,))):
    for poke in pokes:
        ordinary = train(lay, None, poke)
        one = train(lambda net: None, None, poke)
        for how in ("step", "module") if poke is held else ("step",):
            found = train(lay, how, poke)
            torch.testing.assert_close(torch.tensor(found), torch.tensor(ordinary), rtol=1e-5, atol=1e-6)
            if poke is not factor:
                torch.testing.assert_close(torch.tensor(found), torch.tensor(one), rtol=1e-4, atol=1e-5)
"""

ARGUMENTS = r"""
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

mesh = init_device_mesh("cpu", (8,))
w = torch.arange(32.0).reshape(8, 4)
state = distribute_tensor(torch.zeros(8, 4), mesh, [Shard(0)])

@torch.compile
def f(x, scale):
    y = x * scale + 1
    state.add_(y)
    return y, y.sum()

for k in range(5):
    for places in ([Shard(0)], [Shard(1)] if k % 2 else [Replicate()]):
        x = distribute_tensor(w + k, mesh, places)
        y, s = f(x, 2.0)
        assert y.placements == tuple(places) and torch.equal(y.full_tensor(), (w + k) * 2 + 1)
        assert torch.equal(s.full_tensor(), ((w + k) * 2 + 1).sum())
assert torch.equal(state.full_tensor(), sum((w + k) * 2 + 1 for k in range(5)) * 2) and state.placements == (Shard(0),)
assert f._compiled.runs >= 4, f._compiled.runs

# A number in two tensors is one value no longer once one of them was written.
here = torch.ones(4)
a, b = DTensor.from_local(here, mesh, [Replicate()]), DTensor.from_local(here, mesh, [Replicate()])
g = torch.compile(lambda: a * 2 + b)
for k in range(3):
    assert torch.equal(g().full_tensor(), torch.full((4,), 3.0))
b.fill_(5.0)
assert torch.equal(g().full_tensor(), torch.full((4,), 7.0))
"""


def test_steps_and_modules(tmp_path: Path) -> None:
    in_one_process(PROGRAM, tmp_path)


def test_dtensors_as_arguments_and_state(tmp_path: Path) -> None:
    in_one_process(ARGUMENTS, tmp_path)
