"""What the compiled programs of a training step hold where its parameters lie on eight devices: which collectives, how much memory, and that none is compiled after the third step."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_dtensor import in_one_process

PROGRAM = r"""
import collections, math, re, jax, numpy as np, torch, torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from jtorch._engine.recording import program
from jtorch._engine.values import shards

made, calls = {}, collections.Counter()  # executables by program, and how often each ran
first = program.Program._first

def noting(self, given, then):
    structs = [jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding) if isinstance(x, jax.Array) else x for x in given]
    if hasattr(self.run, "lower"):
        self.run = self.run.lower(*structs).compile()
    made[self] = self.run
    calls[self] += 1
    first(self, given, then)
    native = self.native

    def counted(*given):
        calls[self] += 1
        return native(*given)

    self.native = counted

program.Program._first = noting

class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))

def collectives():
    '''Of the last step: the shapes that each kind of collective gave, those of one number aside.'''
    found = collections.defaultdict(list)
    for p, times in calls.items():
        for shapes, kind in re.findall(r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(", made[p].as_text()):
            sizes = [math.prod(map(int, x.split(","))) for x in re.findall(r"\w+\[([\d,]+)\]", shapes)]
            found[kind] += [s for s in sizes if s > 1] * times
    return found

def train(lay, n, d, steps=5):
    torch.manual_seed(0)
    net = nn.Sequential(*[Block(d) for _ in range(n)], nn.Linear(d, 8))
    lay(net, init_device_mesh("cpu", (8,)))
    opt = torch.optim.AdamW(net.parameters(), lr=0.01)
    x, y = torch.randn(8, d), torch.randint(0, 8, (8,))
    losses = []
    for i in range(steps):
        if i == 3:
            before = len(made)
        calls.clear()
        opt.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert len(made) == before, "compiled after the third step"
    return losses, net

def tensor_parallel(net, mesh):
    for block in net[:-1]:
        parallelize_module(block, mesh, {"up": ColwiseParallel(), "down": RowwiseParallel()})

def fsdp(net, mesh):
    for block in net[:-1]:
        fully_shard(block, mesh=mesh)
    fully_shard(net, mesh=mesh)

def close(a, b):
    assert all(abs(x - y) <= 1e-4 * abs(x) + 1e-5 for x, y in zip(a, b, strict=True)), (a, b)

expected, _ = train(lambda net, mesh: None, 2, 32)
made.clear()
found, net = train(tensor_parallel, 2, 32)
close(expected, found)
seen = collectives()
assert seen.pop("all-reduce") == [8 * 32] * 4 and not seen, seen  # for each layer what the rows give, and what goes back to the columns
assert [str(p.grad.placements[0]) for layer in (net[0].up, net[0].down) for p in layer.parameters()] == ["S(0)", "S(0)", "S(1)", "R"]

n, d = 6, 32
for small in (True, False):  # whether the step is one program, update included, or a few, for the sake of memory
    if not small:
        shards.FEW_BYTES = 0
    made.clear()
    _, net = train(fsdp, n, d)
    assert (len(calls) == 1) == small, calls
    seen = collectives()
    layer = [p.numel() for p in net[0].parameters()]
    again = [layer[0], layer[2], layer[4]]  # what backward reads: no biases
    head = [p.numel() for p in net[-1].parameters()]
    whole = sorted(layer * n + head)
    gathered, wanted = collections.Counter(seen.pop("all-gather")), collections.Counter(layer * n + head + again * n)
    wanted[layer[0]] -= 1  # nobody asks what goes back to the first layer's input
    assert gathered == wanted, (gathered, wanted)  # each once in the forward, and what backward reads once more, but for the outermost's
    reduced = seen.pop("all-reduce", []) + [8 * x for x in seen.pop("reduce-scatter", [])]
    assert sorted(reduced) == whole, (sorted(reduced), whole)  # each gradient once (XLA for the cpu makes no reduce-scatter, but takes the part of what it has reduced)
    assert not seen, seen

# A batch that the host has goes to the devices in parts, as it is at the call, and its indices are checked by the line that uses them: nothing has to be waited for before the update.
from jtorch._engine.values.thread_state import state
table = fully_shard(nn.Embedding(8, 4), mesh=init_device_mesh("cpu", (8,)))
rows = torch.from_numpy(ids := np.arange(8))
before = table(rows)
assert not state.undo
ids[:] = 7 - ids
assert torch.equal(before.flip(0), table(rows))
try:
    table(torch.tensor([0, 1, 2, 3, 4, 5, 6, 8]))
    raise AssertionError("out of range")
except IndexError:
    pass

# What CommDebugMode counts is what each process of several would send.
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode

def counted(f):
    with CommDebugMode() as mode:
        f()
    return {str(k): v for k, v in mode.get_comm_counts().items()}

x = distribute_tensor(torch.ones(8, d), init_device_mesh("cpu", (8,)), [Shard(0)])
assert counted(lambda: x.full_tensor()) == counted(lambda: x.softmax(0)) == {"c10d_functional.all_gather_into_tensor": 1}
assert counted(lambda: x.sum().full_tensor()) == {"c10d_functional.all_reduce": 1} and counted(lambda: x + 1) == {}
assert counted(lambda: net(torch.ones(8, d))) == {"c10d._allgather_base_": n + 1}

# Each program is that of a layer or two, however many there are: what sixteen layers take follows from what these do.
state = 4 * 4 * (16 * sum(layer) + sum(head))  # parameters, gradients and two moments, unsharded
activations = 4 * 8 * d * 8 * 16 // 8  # what a device has of them, at eight widths a layer
assert all(sum(e.call.name in ("layer_norm", "NativeLayerNormBackward0") for e, *_ in p.body) <= 2 for p in calls)
for p in calls:
    temporary = made[p].memory_analysis().temp_size_in_bytes
    assert temporary + state / 8 <= 1.3 / 8 * state + activations, (temporary, state)
print("fine")
"""


def test_collectives_memory_and_compilation(tmp_path: Path) -> None:
    assert in_one_process(PROGRAM, tmp_path) == "fine\n"


LOSSES = r"""
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard, distribute_module, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

class Block(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.n1, self.qkv, self.o, self.n2, self.up, self.down = nn.LayerNorm(d), nn.Linear(d, 3 * d), nn.Linear(d, d), nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.n1(x)).view(b, t, 3, 4, d // 4).permute(2, 0, 3, 1, 4)
        x = x + self.o(nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d))
        return x + self.down(nn.functional.gelu(self.up(self.n2(x))))

def losses(how):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(64, 32), Block(), Block(), nn.LayerNorm(32), nn.Linear(32, 64))
    x, y = torch.randint(0, 64, (16, 16)), torch.randint(0, 64, (256,))
    if how != "one device":
        mesh = init_device_mesh("cpu", (8,))
    if how == "FSDP":
        for block in net[1:3]:
            fully_shard(block, mesh=mesh)
        fully_shard(net, mesh=mesh)
    elif how == "TP":
        for block in net[1:3]:
            parallelize_module(block, mesh, {"up": ColwiseParallel(), "down": RowwiseParallel()})
    elif how == "DP":
        distribute_module(net, mesh)
        x, y = distribute_tensor(x, mesh, [Shard(0)]), distribute_tensor(y, mesh, [Shard(0)])
    opt = torch.optim.AdamW(net.parameters(), lr=2e-3)
    found = []
    for _ in range(50):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x).flatten(0, 1), y)
        loss.backward()
        opt.step()
        found.append((loss.full_tensor() if how == "DP" else loss).item())
    return found

expected = losses("one device")
assert expected[-1] < 0.7 * expected[0]
for how in ("FSDP", "TP", "DP"):
    assert all(abs(a - b) <= 1e-4 * a for a, b in zip(expected, losses(how), strict=True)), how
print("fine")
"""


@pytest.mark.slow
def test_losses_of_fifty_steps_are_those_of_one_device(tmp_path: Path) -> None:
    assert in_one_process(LOSSES, tmp_path) == "fine\n"
