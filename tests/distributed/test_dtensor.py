"""DTensor in one process that sees eight devices. (What each placement gives is compared with torch in two processes, in compat/distributed.)"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import jtorch as torch

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import torch, torch.nn.functional as F
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_module, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
import torch.distributed.tensor as dt

mesh = init_device_mesh("cpu", (8,))
torch.manual_seed(0)
x, w = torch.randn(16, 4), torch.randn(4, 8)
d, r = distribute_tensor(x, mesh, [Shard(0)]), distribute_tensor(w, mesh, [Replicate()])
assert isinstance(d, DTensor) and not isinstance(x, DTensor) and d.shape == (16, 4) and d.to_local().shape == (2, 4) and d.to_local().tolist() == x[:2].tolist()
behind = d._s.value.array.value.array       # a jax.Array, of which each device has its part
assert len(behind.addressable_shards) == 8 and behind.addressable_shards[3].data.shape == (2, 4)
assert str((d + 1).placements) == "(Shard(dim=0),)" and (d @ r).placements == (Shard(0),) and d.sum(0).placements == (Partial("sum"),) and d.t().placements == (Shard(1),)
assert torch.allclose((d @ r).full_tensor(), x @ w, atol=1e-6) and torch.allclose(d.sum(0).full_tensor(), x.sum(0), atol=1e-5)
assert "DTensor(local_tensor=tensor([[" in repr(d) and "placements=(Shard(dim=0),)" in repr(d)
assert not hasattr(x, "placements") and not hasattr(x, "full_tensor")
# parts and back: a tensor that differs from rank to rank
part = d.to_local() * 2
assert torch.equal(DTensor.from_local(part, mesh, [Shard(0)]).full_tensor(), x * 2)
assert torch.equal(DTensor.from_local(torch.ones(2), mesh, [Partial()]).full_tensor(), torch.full((2,), 8.0))
# in place, through views, not in equal parts
y = d.clone(); y[:, 0].zero_(); y[3] += 1; e = x.clone(); e[:, 0].zero_(); e[3] += 1
assert torch.equal(y.full_tensor(), e) and y.placements == (Shard(0),)
odd = distribute_tensor(torch.arange(10.0), mesh, [Shard(0)])
assert (odd * 2).full_tensor().tolist() == (torch.arange(10.0) * 2).tolist() and odd.to_local().tolist() == [0, 1]
# numbers that are drawn are those of the whole
torch.manual_seed(3); a = dt.rand(8, 3, device_mesh=mesh, placements=[Shard(0)]).full_tensor(); torch.manual_seed(3)
assert torch.equal(a, torch.rand(8, 3))
assert torch.equal(dt.linspace(0, 1, 8, device_mesh=mesh, placements=[Shard(0)]).full_tensor(), torch.linspace(0, 1, 8))
assert torch.equal(dt.logspace(0, 1, 8, base=2, device_mesh=mesh, placements=[Shard(0)]).full_tensor(), torch.logspace(0, 1, 8, base=2))

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.norm, self.down = torch.nn.Linear(4, 16), torch.nn.LayerNorm(4), torch.nn.Linear(16, 4)
    def forward(self, x):
        return self.down(torch.relu(self.up(self.norm(x))))

def losses(lay):
    torch.manual_seed(1)
    net = Net()
    x_ = lay(net) if lay else x
    opt = torch.optim.AdamW(net.parameters(), lr=0.01)
    out = []
    for _ in range(3):
        opt.zero_grad()
        y = net(x_ if x_ is not None else x)
        loss = (y.full_tensor() if isinstance(y, DTensor) else y).pow(2).mean()
        loss.backward()
        opt.step()
        out.append(loss.item())
    return out, net, opt

expected, _, _ = losses(None)
def sharded(net):
    def part(name, m, mesh):
        for k, p in list(m.named_parameters(recurse=False)):
            m.register_parameter(k, torch.nn.Parameter(distribute_tensor(p.data, mesh, [Shard(0)] if p.shape[0] % 8 == 0 else [Replicate()])))
    distribute_module(net, mesh, part)
    return d
for lay in (lambda net: parallelize_module(net, mesh, {"up": ColwiseParallel(), "down": RowwiseParallel()}) and None, sharded):
    found, net, opt = losses(lay)
    assert all(abs(a - b) < 1e-5 for a, b in zip(found, expected)), (found, expected)
    assert net.up.weight.placements == (Shard(0),) and opt.state[net.up.weight]["exp_avg"].placements == (Shard(0),) and isinstance(net.up.weight, torch.nn.Parameter)
# attention over a sequence of which each rank has a part is attention over the whole, its derivative too
from torch.distributed.tensor.experimental import context_parallel
from torch.distributed.tensor.experimental._attention import context_parallel_unshard
def attended(q, k, v):
    given = [t.clone().requires_grad_() for t in (q, k, v)]
    out = F.scaled_dot_product_attention(*given, is_causal=True)
    (out * v).sum().backward()
    return [out, *[t.grad for t in given]]
q, k, v = torch.randn(3, 1, 2, 16, 4).unbind(0)
q, k, v = q.clone(), k.clone(), v.clone()
expected = attended(q, k, v)
with context_parallel(mesh, buffers=[q, k, v], buffer_seq_dims=[2, 2, 2], no_restore_buffers={k}):
    assert q.shape == (1, 2, 2, 4)
    found = context_parallel_unshard(mesh, attended(q, k, v), [2] * 4)
assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, expected)) and (q.shape, k.shape) == ((1, 2, 16, 4), (1, 2, 2, 4))
# a program that never looks does not send off more than XLA has threads for
from jtorch._core.dispatch.flush_points import step_done
from jtorch._engine.values import shards
a, b = distribute_tensor(torch.ones(16, 8), mesh, [Shard(0)]), distribute_tensor(torch.eye(8), mesh, [Shard(0)])
for _ in range(50):
    a = a @ b  # gathers b
    step_done()
assert 0 < len(shards._under_way) <= shards._MOST and a.full_tensor().tolist() == [[1.0] * 8] * 16
# what lay on one of the devices before stays there when programs overwrite the copies (XLA refused a buffer twice, or ended the process)
for places in ([Replicate()], [Shard(0)], [Shard(1)]):
    one = torch.arange(16.0).reshape(2, 8) + 1
    both = distribute_tensor(one, mesh, places)
    assert torch.equal(torch.slice_scatter(distribute_tensor(one, mesh, places), distribute_tensor(torch.ones(1, 8), mesh, [Replicate()]), 0, 1, 2).full_tensor(), torch.slice_scatter(one, torch.ones(1, 8), 0, 1, 2))
    both.mul_(2)
    assert torch.equal(both.full_tensor(), one * 2) and one[0, 0].item() == 1.0
# a row is read and written where each device has one (XLA's partitioner took the first row for the whole from there on)
grid = init_device_mesh("cpu", (4, 2), mesh_dim_names=("a", "b"))
rows = torch.arange(32.0).reshape(2, 4, 4)
for places in ([Replicate(), Shard(0)], [Shard(1), Shard(0)]):
    for first in (0, 1):
        a, b = distribute_tensor(rows, grid, places).requires_grad_(), rows.clone().requires_grad_()
        for t in (a, b):
            y = t * 2
            y.narrow(0, first, 1).mul_(3)
            (y * y).sum().backward()
        assert torch.equal(a.grad.full_tensor(), b.grad), (places, first)
# gradients that hang on no value are DTensors
for f in (lambda t: t.sum(), lambda t: t.mean(0).sum(), lambda t: (t * 2).flatten().sum()):
    a, b = distribute_tensor(rows, grid, [Shard(1), Shard(0)]).requires_grad_(), rows.clone().requires_grad_()
    f(a).backward()
    f(b).backward()
    assert torch.equal(a.grad.full_tensor(), b.grad)
try:
    d + x
except RuntimeError as error:
    assert "got mixed torch.Tensor and DTensor" in str(error)
else:
    raise AssertionError
print("fine")
"""


def in_one_process(program: str, tmp_path: Path, devices: int = 8) -> str:
    path = tmp_path / "program.py"
    path.write_text(program)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    done = subprocess.run([sys.executable, "-m", "jtorch", str(path)], env=env, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_one_process_many_devices(tmp_path: Path) -> None:
    assert in_one_process(PROGRAM, tmp_path) == "fine\n"


def test_other_tensors_print_as_before():
    """What shows a DTensor looks at every tensor, at those that share memory with numpy too."""
    import jtorch.distributed.tensor  # noqa: F401

    assert repr(torch.from_numpy(np.ones(2, "f4"))) == "tensor([1., 1.])"
