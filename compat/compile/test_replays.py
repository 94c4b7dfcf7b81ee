"""torch.compile: a program compiled prints what it prints in torch, whatever changes between its calls; and what ought to be replayed is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from compat.compile.replayed import Cases, loop, net_of

CASES = Cases()
case = CASES.case
offset = 1.0
registry = {"scale": 2.0, "layers": []}


@case(True)
def whole_step(lib: Any, comp: Any) -> Any:
    net = net_of(lib, lib.nn.ReLU(), lib.nn.BatchNorm1d(8), lib.nn.Dropout(0.3))
    opt = lib.optim.AdamW(net.parameters(), lr=0.05, eps=1e-2)
    sched = lib.optim.lr_scheduler.CosineAnnealingLR(opt, 30)

    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = lib.nn.functional.mse_loss(net(x), y)
        loss.backward()
        lib.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        opt.step()
        sched.step()
        return loss

    out = loop(lib, comp(step), 7, lambda i: (lib.randn(5, 4), lib.randn(5, 1)))
    return [*[o.item() for o in out], *net.state_dict().values(), *[p.grad for p in net.parameters()], opt.param_groups[0]["lr"], sched.last_epoch, opt.state_dict()["state"][0]["step"]]


@case(True)
def accumulated_gradients(lib: Any, comp: Any) -> Any:
    net = net_of(lib)

    @comp
    def add(x: Any) -> None:
        (net(x).sum() / 2).backward()

    opt = lib.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for i in range(8):
        add(lib.full((3, 4), float(i)))
        if i % 4 == 3:
            opt.step()
            opt.zero_grad()
    return [*net.parameters(), *[p.grad for p in net.parameters()]]


@case(True)
def graph_goes_on_outside(lib: Any, comp: Any) -> Any:
    net = net_of(lib, lib.nn.BatchNorm1d(8))
    fast = comp(net)
    opt = lib.optim.SGD(net.parameters(), lr=0.1)
    lib.manual_seed(2)
    out = []
    for _ in range(5):
        x = lib.randn(6, 4).requires_grad_()
        y = fast(x * 2)
        (y.sin().sum() + y.mean()).backward()
        opt.step()
        opt.zero_grad()
        out += [y, x.grad]
    return [*out, *net.state_dict().values()]


@case(True)
def detached_and_no_grad(lib: Any, comp: Any) -> Any:
    w = lib.nn.Parameter(lib.ones(3))

    @comp
    def f(x: Any) -> Any:
        with lib.no_grad():
            scale = (x * w).sum()
        return (x * w.detach() + x * x) * scale, scale

    out = []
    for i in range(4):
        x = lib.full((3,), 1.0 + i, requires_grad=True)
        y, s = f(x)
        y.sum().backward()
        out += [y, s, x.grad, s.requires_grad]
    return [*out, w.grad]


@case(True)
def value_is_looked_at(lib: Any, comp: Any) -> Any:
    @comp
    def f(x: Any) -> Any:
        return x + 1 if x.sum() > 0 else x - 1

    return [f(lib.tensor([v])) for v in (1.0, -1.0, 2.0, -3.0)]


@case(False)
def input_is_looked_at(lib: Any, comp: Any) -> Any:
    @comp
    def f(x: Any, y: Any) -> Any:
        return y * float(x), y.tolist()

    return [f(lib.tensor(v), lib.tensor([v])) for v in (1.0, -1.0, 2.0, -3.0)]


@case(True)
def python_numbers_change(lib: Any, comp: Any) -> Any:
    class Counter(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls, self.rate = 0, 1.0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            self.rate *= 0.5
            return x * self.rate if self.calls % 3 else x - self.rate

    m = Counter()
    fast = comp(m)
    out = [fast(lib.ones(2)) for _ in range(9)]
    return [*out, m.calls, m.rate]


@case(True)
def globals_closures_and_attributes_change(lib: Any, comp: Any) -> Any:
    global offset
    held = {"k": 1.0}
    factor = 3.0

    class Box:
        inside = 5.0

    box = Box()
    net = net_of(lib)

    @comp
    def f(x: Any, flag: bool = True) -> Any:
        y = x * held["k"] + offset + registry["scale"] + box.inside + math.sqrt(factor)
        return net(y) if flag else y

    x = lib.ones(2, 4)
    offset = 1.0
    out = [f(x), f(x), f(x)]
    held["k"] = 2.0
    out += [f(x)]
    offset = 4.0
    out += [f(x)]
    registry["scale"] = 7.0
    out += [f(x), f(x, False), f(x, flag=False)]
    Box.inside = 9.0
    out += [f(x)]
    box.inside = 1.0
    out += [f(x)]
    factor = 16.0
    out += [f(x)]
    net[1] = lib.nn.Tanh()
    out += [f(x)]
    net[0].weight.data.fill_(0.5)
    out += [f(x)]
    net[0].weight = lib.nn.Parameter(lib.ones(8, 4))
    out += [f(x)]
    net.forward = lambda v: v.sum()
    out += [f(x)]
    registry["scale"] = 2.0
    return out


@case(True)
def modes_and_hooks_change(lib: Any, comp: Any) -> Any:
    net = net_of(lib, lib.nn.Dropout(0.5), lib.nn.BatchNorm1d(8))
    fast = comp(net)
    lib.manual_seed(3)
    x = lib.ones(4, 4) * lib.arange(4.0)
    out = [fast(x), fast(x), fast(x)]
    net.eval()
    out += [fast(x), fast(x)]
    with lib.no_grad():
        out += [fast(x), fast(x).requires_grad]
    net.train()
    handle = net[0].register_forward_hook(lambda m, a, o: o * 2)
    out += [fast(x)]
    handle.remove()
    out += [fast(x)]
    net[0].weight.requires_grad_(False)
    y = fast(x)
    y.sum().backward()
    return [*out, y, net[0].weight.grad, net[0].bias.grad]


@case(True)
def shapes_types_and_layouts_change(lib: Any, comp: Any) -> Any:
    @comp
    def f(x: Any, y: Any) -> Any:
        return (x * 2 + y).sum(0), x.shape[0]

    out = []
    for n in (2, 3, 2, 3, 4):
        out += f(lib.ones(n, 2), lib.arange(2))
        out += f(lib.ones(2, n).t(), lib.arange(2.0))
        out += f(lib.ones(n + 1, 2)[1:], lib.arange(4)[::2])
    return out


@case(True)
def writes_into_arguments_and_buffers(lib: Any, comp: Any) -> Any:
    memory = lib.zeros(3)

    @comp
    def f(x: Any, out: list[Any]) -> Any:
        memory.mul_(0.5).add_(x)
        x[0] = 7
        x += 1
        return memory.clone(), x

    seen = []
    for i in range(4):
        x = lib.full((3,), float(i))
        a, b = f(x, [])
        seen += [a, x, b is x, x._version]
        memory[1] += 1
    return [*seen, memory, memory._version]


@case(True)
def same_tensor_twice(lib: Any, comp: Any) -> Any:
    @comp
    def f(a: Any, b: Any) -> Any:
        a.add_(1)
        return a * b

    x, y = lib.ones(2), lib.ones(2)
    return [f(x, y), f(x, y), f(x, x), f(x, y), f(x[:1], x[1:]), f(x, y), x, y]


@case(True)
def random_numbers(lib: Any, comp: Any) -> Any:
    @comp
    def f(x: Any) -> Any:
        return lib.nn.functional.dropout(x, 0.5) + lib.rand(3) + lib.randn(3)

    lib.manual_seed(5)
    out = [f(lib.ones(3)) for _ in range(4)]
    lib.manual_seed(5)
    return [*out, *[f(lib.ones(3)) for _ in range(2)], lib.rand(2)]


@case(True)
def new_objects_and_containers(lib: Any, comp: Any) -> Any:
    from collections import namedtuple

    Pair = namedtuple("Pair", "a b")

    class Holder:
        last: Any = None

    holder = Holder()

    @comp
    def f(x: Any, extra: dict[str, Any]) -> Any:
        y = x + extra["bias"]
        holder.last = y * 2
        parts = [y[i] for i in range(3)]
        return {"sum": sum(parts), "pair": Pair(y, [x, None, "text"]), "zip": [a * b for a, b in zip(parts, range(3), strict=True)]}

    out = []
    for i in range(4):
        r = f(lib.arange(3.0) + i, {"bias": lib.tensor(1.0)})
        out += [r["sum"], r["pair"].a, r["pair"].b[0], *r["zip"], holder.last, type(r["pair"]).__name__]
    return out


@case(True)
def index_out_of_range(lib: Any, comp: Any) -> Any:
    table = lib.nn.Embedding(5, 2)
    fast = comp(lambda i: table(i).sum())
    out = [fast(lib.tensor([0, 4])).shape, fast(lib.tensor([1, 2])).shape, fast(lib.tensor([1, 3])).shape]
    for bad in (5, -1):
        with pytest.raises(IndexError):
            fast(lib.tensor([0, bad])).item()
    return [*out, fast(lib.tensor([1, 3])).shape]


@case(True)
def class_targets(lib: Any, comp: Any) -> Any:
    lib.manual_seed(0)
    net = lib.nn.Linear(4, 3)
    opt = lib.optim.SGD(net.parameters(), lr=0.5, momentum=0.9, nesterov=True)

    @comp
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = lib.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        return loss.detach()

    out = [step(lib.ones(2, 4) * i, lib.tensor([i % 3, 1])) for i in range(6)]
    before = [p.detach().clone() for p in net.parameters()]
    with pytest.raises(IndexError):
        step(lib.ones(2, 4), lib.tensor([0, 3])).item()
    return [*out, *before]


@case(False)
def functions_out_of_sight(lib: Any, comp: Any) -> Any:
    import random
    import time

    @comp
    def f(x: Any) -> Any:
        return x * random.random() + (time.time() > 0)

    random.seed(0)
    return [f(lib.ones(1)) for _ in range(4)]


@case(False)
def numpy_inside(lib: Any, comp: Any) -> Any:
    weights = np.array([1.0, 2.0])

    @comp
    def f(x: Any) -> Any:
        return x * lib.from_numpy(weights)

    out = [f(lib.ones(2)), f(lib.ones(2))]
    weights[0] = 5.0
    return [*out, f(lib.ones(2)), f(lib.ones(2))]


@case(False)
def generators_and_managers(lib: Any, comp: Any) -> Any:
    from contextlib import contextmanager

    log: list[int] = []

    @contextmanager
    def marked(n: int) -> Any:
        log.append(n)
        try:
            yield n * 2
        finally:
            log.append(-n)

    def pieces(x: Any) -> Any:
        for i in range(3):
            yield x * i

    @comp
    def f(x: Any) -> Any:
        with marked(len(log) + 1) as k:
            total = x * k
            for i, p in enumerate(pieces(x)):
                total = total + p if i != 1 else total - p
        return total

    return [*[f(lib.ones(2)) for _ in range(2)], len(log)]


@case(True)
def frozen_after_a_while(lib: Any, comp: Any) -> Any:
    net = net_of(lib)
    opt = lib.optim.Adam(net.parameters(), lr=0.1, weight_decay=0.1)

    @comp
    def step(x: Any) -> Any:
        opt.zero_grad()
        loss = net(x).pow(2).mean()
        loss.backward()
        opt.step()
        return loss

    out = [step(lib.ones(2, 4)) for _ in range(4)]
    kept = [p.detach().clone() for p in net.parameters()]
    alias = net[0].weight.detach()
    old = [p.grad for p in net.parameters()]
    values = [g.clone() for g in old]
    opt.param_groups[0]["lr"] = 0.01
    out += [step(lib.ones(2, 4)) for _ in range(3)]
    net[0].weight.requires_grad_(False)
    out += [step(lib.ones(2, 4)) for _ in range(3)]
    state = opt.state_dict()
    out += [step(lib.ones(2, 4))]
    opt.load_state_dict(state)
    return [*[o.detach() for o in out], *kept, alias, *old, *values, step(lib.ones(2, 4)).detach(), *net.parameters(), opt.state[net[0].bias]["exp_avg"]]


@case(True)
def lists_of_modules(lib: Any, comp: Any) -> Any:
    class Net(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = lib.nn.ModuleList([lib.nn.Linear(3, 3) for _ in range(3)])
            self.drop0 = lib.nn.Dropout(0.5)
            self.register_buffer("shift", lib.zeros(3))
            self.kept: list[Any] = [0.0]

        def forward(self, x: Any) -> Any:
            for i, layer in enumerate(self.layers):
                x = layer(x).relu() if i else getattr(self, f"drop{i}")(layer(x))
            self.kept[:] = [1.0]
            return (x * 2 if x.shape[0] % 2 else x) + self.shift

    lib.manual_seed(0)
    net = Net()
    fast, x = comp(net), lib.ones(2, 3)
    lib.manual_seed(1)
    out = [fast(x) for _ in range(4)]
    for change in (
        lambda: net.layers.append(lib.nn.Linear(3, 3)),
        lambda: setattr(net.drop0, "p", 0.1),
        lambda: net.drop0.eval(),
        lambda: setattr(net, "shift", lib.ones(3)),
        lambda: net.shift.add_(1),
        lambda: net.load_state_dict({k: v * 0.5 for k, v in net.state_dict().items()}),
        lambda: setattr(net.layers[0].weight, "data", lib.zeros(3, 3)),
        lambda: setattr(Net, "forward", lambda self, x: x * 7),
    ):
        change()
        out += [fast(x), fast(x)]
    return [*out, fast(lib.ones(3, 3)), net.kept]


@pytest.mark.parametrize("name", CASES)
def test_compiled_is_as_torch(name: str) -> None:
    CASES.check(name)
