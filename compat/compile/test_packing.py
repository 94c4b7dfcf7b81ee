"""A compiled step whose small parameters lie end to end between its calls: whatever is looked at, held or written in between is as in torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch
from compat.compile.replayed import flat, same
from jtorch._compile import packing
from jtorch._engine.running import packed_steps


def program(lib: Any, comp: Any, seen: Any) -> list[Any]:
    lib.manual_seed(0)
    net = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Linear(4, 2))
    opt = lib.optim.AdamW(net.parameters(), lr=0.05, eps=1e-2)
    x, y = lib.randn(5, 3), lib.randn(5, 2)

    @comp
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = (net(x) - y).pow(2).mean()
        loss.backward()
        lib.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        opt.step()
        return loss

    out: list[Any] = []
    weight, bias = net[0].weight, net[2].bias
    kept: list[Any] = []
    changes = [
        lambda: out.append(weight.detach().clone()),
        lambda: out.append(opt.state[bias]["exp_avg"].sum()),
        lambda: out.append(weight.grad.norm()),
        lambda: kept.append(weight.grad),
        lambda: kept.append(bias.detach()),  # shares its memory
        lambda: kept.append(weight * 2),  # has a graph
        lambda: bias.data.add_(1),
        lambda: setattr(weight, "data", lib.ones(4, 3)),
        lambda: weight.grad.zero_(),
        lambda: opt.load_state_dict(opt.state_dict()),
        lambda: out.append(net[1].running_mean.clone()),
        lambda: net.load_state_dict({k: v * 0.5 for k, v in net.state_dict().items()}),
    ]
    for change in (*[None] * 4, *[c for between in changes for c in (between, None, None)]):
        if change is not None:
            change()
        before = weight._version, opt.state[bias]["exp_avg"]._version if opt.state else 0
        out.append(step(x, y).detach())
        seen((weight._version - before[0], opt.state[bias]["exp_avg"]._version - before[1]))
    return [*out, opt.state[bias]["step"], *kept, *net.state_dict().values(), *[p.grad for p in net.parameters()]]


@pytest.fixture
def eager_to_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "QUIET", 0)
    monkeypatch.setattr(packing, "PATIENCE", 0)
    monkeypatch.setattr(packing, "aside", lambda make: make())
    monkeypatch.setattr(packed_steps, "LEAST", 1)


def bad_targets(lib: Any, comp: Any) -> list[Any]:
    """Targets that are found to be within stay so only as long as nobody writes them."""
    lib.manual_seed(0)
    net = lib.nn.Linear(3, 4)
    opt = lib.optim.AdamW(net.parameters(), lr=0.05)
    x, y, out = lib.randn(5, 3), lib.tensor([0, 1, 2, 3, 0]), []

    def made(moves: bool) -> Any:
        @comp
        def step(x: Any, y: Any) -> Any:
            opt.zero_grad()
            loss = lib.nn.functional.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
            if moves:
                y.add_(1)
            return loss.detach()

        return step

    still, moving = made(False), made(True)
    for _ in range(5):
        out.append(still(x, y))
    y[1] = 4
    with pytest.raises(IndexError):
        out.append(float(still(x, y)))
    y.zero_()
    for _ in range(3):
        out.append(still(x, y))
    for _ in range(4):
        out.append(moving(x, y))
    with pytest.raises(IndexError):
        out.append(float(moving(x, y)))
    return [*out, *net.parameters()]


def test_bad_targets_are_seen(eager_to_pack: None) -> None:
    packed = []

    def comp(fn: Any) -> Any:
        packed.append(jtorch.compile(fn))
        return packed[-1]

    same(flat(bad_targets(jtorch, comp)), flat(bad_targets(torch, lambda fn: fn)))
    assert any(r.packing is not None and r.packing.packed is not None for _, r in packed[0]._compiled.replays)


def test_packed_is_as_torch(eager_to_pack: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ways: list[bool] = []
    looks: list[Any] = []
    left = packing.Packing.left
    monkeypatch.setattr(packing.Packing, "left", lambda self: (looks.append(self), left(self)))

    def comp(fn: Any) -> Any:
        found = jtorch.compile(fn)
        compiled.append(found._compiled)
        return found

    def seen(more: Any) -> None:
        ways.append(any(r.packed is not None for _, r in compiled[0].replays))
        versions.append(more)

    compiled: list[Any] = []
    versions: list[Any] = []
    got = flat(program(jtorch, comp, seen))
    same(got, flat(program(torch, lambda fn: fn, lambda _: None)))
    assert set(versions[1:]) == {(1, 1)}, versions
    assert sum(ways) > 15 and len(looks) >= 5, (ways, looks)


def changed_between(lib: Any, comp: Any, seen: Any) -> list[Any]:
    """What the guards of a packed step stand for, one after the other: each is followed by calls that are replayed again."""
    lib.manual_seed(0)
    net = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Dropout(0.0), lib.nn.Linear(4, 2))
    opt = lib.optim.AdamW(net.parameters(), lr=0.05, eps=1e-2)
    x, y = lib.randn(5, 3), lib.randn(5, 2)
    weight, bias = net[0].weight, net[2].bias
    out: list[Any] = []
    kept: list[Any] = []

    @comp
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = (net(x) - y).pow(2).mean()
        loss.backward()
        opt.step()
        return loss

    def by_item(held: Any, key: Any, value: Any) -> Any:
        return lambda: held.__setitem__(key, value)

    def other_way(flag: bool) -> Any:
        return lambda: [p.requires_grad_(flag) for p in net[2].parameters()]

    changes: list[Any] = [
        by_item(opt.param_groups[0], "lr", 0.01),
        by_item(opt.param_groups[0], "weight_decay", 0.3),
        lambda: kept.append(weight.grad.detach()),
        lambda: kept.append(weight.grad.view(-1)[1:]),
        lambda: kept.append(weight.grad is not None),
        lambda: setattr(weight, "grad", None),
        lambda: setattr(weight, "grad", lib.ones(4, 3)),
        lambda: opt.zero_grad(),
        lambda: opt.zero_grad(set_to_none=False),
        lambda: lib.nn.utils.clip_grad_norm_(net.parameters(), 1e-3),
        lambda: out.append(opt.state[weight]["step"]),
        lambda: opt.state[bias]["step"].fill_(0.0) or opt.state[weight]["step"].fill_(0.0),
        lambda: net.eval(),
        lambda: net.register_buffer("unused", lib.zeros(1)),
        lambda: net._modules.update({"1": lib.nn.Tanh()}),
        lambda: net[0].register_forward_hook(lambda m, a, o: o * 2),
        lambda: net[0]._forward_hooks.clear(),
        by_item(net[2].__dict__, "forward", lambda v: lib.nn.functional.linear(v, weight.t()[:2] * 2, bias)),
        lambda: net[2].__dict__.pop("forward"),
        other_way(False),
        other_way(True),
        lambda: weight.data.mul_(0.5),
        lambda: weight.__setattr__("data", weight.data.flip(0)),
        lambda: opt.state.pop(bias),
        lambda: x.add_(1),
        lambda: opt.register_step_post_hook(lambda *a: out.append("stepped")),
    ]
    for change in (None, None, *changes):
        if change is not None:
            change()
        for _ in range(3):
            out.append(step(x, y).detach())
            seen()
    return [*out, *kept, *net.parameters(), *[p.grad for p in net.parameters()], *[t for s in opt.state.values() for t in s.values()]]


def test_changes_between_packed_calls(eager_to_pack: None) -> None:
    ways: list[bool] = []
    compiled: list[Any] = []

    def comp(fn: Any) -> Any:
        found = jtorch.compile(fn, recompile_limit=64)
        compiled.append(found._compiled)
        return found

    got = flat(changed_between(jtorch, comp, lambda: ways.append(any(r.packed is not None for _, r in compiled[0].replays))))
    same(got, flat(changed_between(torch, lambda fn: fn, lambda: None)))
    assert sum(ways) > len(ways) / 3, ways


def test_looks_do_not_wear_replays_out(eager_to_pack: None) -> None:
    net = jtorch.nn.Linear(3, 4)
    opt = jtorch.optim.AdamW(net.parameters(), lr=0.05)
    x = jtorch.ones(2, 3)

    @jtorch.compile
    def step() -> Any:
        opt.zero_grad()
        loss = net(x).pow(2).sum()
        loss.backward()
        opt.step()
        return loss.detach()

    looks = [lambda: net.weight.sum().item(), lambda: opt.state[net.bias]["step"].item(), lambda: net.bias.grad.sum().item(), net.state_dict, opt.state_dict]
    looks += [lambda: net.weight.detach().numpy().copy(), lambda: opt.state[net.bias]["step"].numpy().copy()]
    for i in range(50):
        step()
        if i > 5 and i % 3 == 0:
            looks[i % 7]()
    assert len(step._compiled.replays) <= 2 and step._compiled.runs == 48, (len(step._compiled.replays), step._compiled.runs)
    assert opt.state[net.weight]["step"].item() == 50 and {s["step"].item() for s in opt.state.values()} == {50.0}
