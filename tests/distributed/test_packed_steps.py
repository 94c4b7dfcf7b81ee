"""Steps over eight devices whose small arrays go in and out of the program end to end (``packed_plan.py``): the numbers stay, and so does all that somebody else has or looks at."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_dtensor import in_one_process

PROGRAM = r"""
import gc, torch, torch.nn.functional as F
from concurrent.futures import Future
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from jtorch._engine.running import packed_plan, retention
from jtorch._engine.values.rows import Row

mesh = init_device_mesh("cpu", (8,))
both = init_device_mesh("cpu", (4, 2), mesh_dim_names=("dp", "tp"))
data = [(torch.randn(8, 16), torch.randn(8, 8)) for _ in range(24)]

def at_once(make):
    found = Future()
    found.set_result(make())
    return found
packed_plan.submit = at_once

def whole(t):
    return t.full_tensor() if isinstance(t, DTensor) else t

def one(net):
    pass
def fsdp(net):
    for part in (net[0], net[2], net):
        fully_shard(part, mesh=mesh)
def fsdp_tp(net):
    parallelize_module(net, both["tp"], {"0": ColwiseParallel(), "2": RowwiseParallel()})
    for part in (net[0], net[2], net):
        fully_shard(part, mesh=both["dp"])

def disturbed(i, net, opt, out, kept):
    if i in (10, 15):
        out += [whole(t).sum().item() for t in (net[0].weight, net[2].bias.grad, opt.state[net[4].weight]["exp_avg_sq"])]
    if i == 11:
        with torch.no_grad():
            net[0].weight.mul_(0.5)
            net[2].bias.grad.zero_()
    if i in (12, 13):  # what somebody has is not overwritten, and stays when the step goes on
        kept += [net[0].weight.detach() * 1, net[0].weight.grad, net[2].weight.detach().clone()]
    if i == 18:
        opt.load_state_dict(opt.state_dict())
        out += [p.grad.abs().sum().item() if not isinstance(p.grad, DTensor) else whole(p.grad.abs().sum()).item() for p in net.parameters()]
    if i == 20:
        out += [whole(t).sum().item() for t in kept]
def always(i, net, opt, out, kept):
    out.append(whole(net[4].bias).sum().item())
    if i % 6 == 5:
        with torch.no_grad():
            out.append(whole(F.mse_loss(net(data[0][0]), data[0][1])).item())

def train(lay, poke, compiled):
    retention.forget_everything()  # equal models share their programs, and how often these ran
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.ReLU(), torch.nn.Linear(32, 8))
    lay(net)
    opt = torch.optim.AdamW(net.parameters(), lr=0.01)
    def step(x, y):
        opt.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        opt.step()
        return loss
    run = torch.compile(step) if compiled else step
    out, kept, packed = [], [], 0
    for i, (x, y) in enumerate(data):
        out.append(run(x, y).item())
        packed += any([whole_row(p) for p in net.parameters()])
        poke(i, net, opt, out, kept)
    return [*out, *[whole(p).sum().item() for p in net.parameters()], *[whole(p.grad).sum().item() for p in net.parameters()]], packed

def whole_row(p):
    return isinstance(p, DTensor) and p._s.value.array.value.array.__class__ is Row

for lay, pokes in LAYS:
    for poke in pokes:
        packed_plan.LEAST, packed_plan.LOOKS, packed_plan.ENOUGH = 4, 4, 1 << 60
        expected, none = train(lay, poke, False)
        alone, _ = train(one, poke, False)
        packed_plan.ENOUGH = 2
        for compiled in (False, True):
            found, packed = train(lay, poke, compiled)
            assert not none and (packed >= 8 if poke is not always else 1 <= packed <= 6), (lay.__name__, poke.__name__, compiled, packed)
            torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(torch.tensor(found), torch.tensor(alone), rtol=1e-4, atol=1e-5)
"""


@pytest.mark.parametrize("lays", ["(fsdp, (disturbed,))", "(fsdp_tp, (always,))"], ids=["fsdp", "fsdp and tp"])
def test_numbers_stay(lays: str, tmp_path: Path) -> None:
    in_one_process(PROGRAM.replace("LAYS", f"[{lays}]"), tmp_path)
