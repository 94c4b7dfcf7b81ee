"""Programs sent off before backward is recorded, and gradients that come end to end: the same numbers as without, whatever changes between steps."""

from __future__ import annotations

import copy
import gc
import time
import weakref
from typing import Any

import numpy as np
import pytest

import jtorch as torch
from jtorch import nn
from jtorch._engine.planning import ahead
from jtorch._engine.recording import gradient_pieces as pieces
from jtorch._engine.recording.gradient_pieces import Pieces
from jtorch._engine.running.executor import stats
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.values import Value, aval


class Job:
    """A small deep model, its optimizer, and steps that may do something else between backward and update."""

    def __init__(self, name: str = "AdamW", layers: int = 9) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(*[m for _ in range(layers) for m in (nn.Linear(8, 8), nn.Tanh())], nn.Linear(8, 3))
        self.optimizer = getattr(torch.optim, name)(self.model.parameters(), lr=0.01)
        self.x, self.y = torch.randn(4, 8), torch.tensor([0, 1, 2, 1])

    def loss(self) -> Any:
        return nn.functional.cross_entropy(self.model(self.x), self.y)

    def step(self, between: Any = None, before: Any = None) -> float:
        self.optimizer.zero_grad()
        loss = self.loss()
        if before is not None:
            before(self, loss)
        loss.backward()
        if between is not None:
            between(self)
        self.optimizer.step()
        return float(loss.item())

    def in_pieces(self) -> int:
        return sum(p.grad is not None and p.grad._s.value.array.__class__ is Pieces for p in self.model.parameters())

    def settle(self) -> None:
        """Steps until the gradients come in one piece: their program is compiled in a thread."""
        for n in range(6000):
            self.step()
            if self.in_pieces():
                return
            if n > pieces.ENOUGH:
                time.sleep(0.02)  # 400 steps were over before a busy machine had compiled anything
        raise AssertionError("the gradients never came in one piece")

    def numbers(self) -> list[np.ndarray]:
        return [p.detach().numpy().copy() for p in self.model.parameters()]


def _clip(job: Job) -> None:
    nn.utils.clip_grad_norm_(job.model.parameters(), 0.1)


def _double(job: Job) -> None:
    for p in job.model.parameters():
        p.grad.mul_(2.0)


def _look(job: Job) -> None:
    assert all(np.isfinite(p.grad.numpy()).all() for p in job.model.parameters())


def _freeze(job: Job, loss: Any = None) -> None:
    for p in job.model[0].parameters():
        p.requires_grad_(not p.requires_grad)


def _scaled(job: Job, loss: Any) -> None:
    loss.register_hook(lambda g: g * 3)


def _weight_hook(job: Job, loss: Any) -> None:
    next(job.model.parameters()).register_hook(lambda g: g * 0.5)


CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {}, "clip": {"between": _clip}, "double": {"between": _double}, "look": {"between": _look}, "freeze": {"between": _freeze},
    "hook on the loss": {"before": _scaled}, "hook on a weight": {"before": _weight_hook},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests share programs, not what was seen to follow on what."""
    monkeypatch.setattr(ahead, "_guesses", {})


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a function without programs sent off early and without pieces."""

    def run(f: Any) -> Any:
        with monkeypatch.context() as m:
            m.setattr("jtorch._engine.planning.ahead.begin", lambda tr: None)
            m.setattr("jtorch._core.state.packed_state.ask", lambda values: None)
            m.setattr("jtorch._core.state.optimizer_updates.update_packed", lambda *a: None)
            return f()

    return run


@pytest.mark.parametrize("name", ["AdamW", "SGD"])
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_numbers_are_those_of_the_plain_way(change: str, name: str, plainly: Any) -> None:
    def losses(job: Job) -> list[float]:
        found = [job.step() for _ in range(6)]
        for _ in range(3):
            found += [job.step(**CHANGES[change]), job.step()]
        return found

    fast, slow = Job(name), Job(name)
    np.testing.assert_array_equal(losses(fast), plainly(lambda: losses(slow)))
    for a, b in zip(fast.numbers(), slow.numbers(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_steady_loop_is_sent_off_early() -> None:
    job = Job()
    for _ in range(8):
        job.step()
    before = stats.ahead
    for _ in range(5):
        job.step()
    assert stats.ahead == before + 5


def test_wrong_guesses_end_and_what_comes_instead_is_expected() -> None:
    job = Job()
    for _ in range(8):
        job.step()
    (guess,) = ahead._guesses.values()
    hits = guess.hits
    for _ in range(10):
        job.step(before=_scaled)
    (other,) = ahead._guesses.values()
    assert guess.hits == hits > 0
    assert guess.misses == 3
    assert other.hits > 3
    for n in range(60):  # nothing to rely on
        job.step(before=_scaled if n % 2 else None)
    (last,) = ahead._guesses.values()
    misses, before = last.misses, stats.ahead
    for n in range(10):
        job.step(before=_scaled if n % 2 else None)
    assert last.misses == misses
    assert stats.ahead == before


@pytest.mark.parametrize("change", [c for c in CHANGES if c != "nothing"])
def test_gradients_in_one_piece_are_anybodys(change: str, plainly: Any) -> None:
    fast = Job()
    fast.settle()
    slow = Job()
    slow.model.load_state_dict(fast.model.state_dict())
    slow.optimizer.load_state_dict(copy.deepcopy(fast.optimizer.state_dict()))

    def run(job: Job) -> list[float]:
        return [x for _ in range(3) for x in (job.step(**CHANGES[change]), job.step())]

    np.testing.assert_array_equal(run(fast), plainly(lambda: run(slow)))
    for a, b in zip(fast.numbers(), slow.numbers(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_gradient_out_of_a_piece() -> None:
    job = Job()
    job.settle()
    grads = [p.grad for p in job.model.parameters()]
    before = [g.clone().numpy() for g in grads]  # an operator's input
    for g, b in zip(grads, before, strict=True):
        np.testing.assert_array_equal(g.numpy(), b)
        assert g.shape == b.shape
    kept = grads[2].detach()
    job.step()
    np.testing.assert_array_equal(kept.numpy(), before[2])


def test_accumulating_and_two_groups() -> None:
    torch.manual_seed(0)
    job = Job()
    decayed = [p for p in job.model.parameters() if p.ndim > 1]
    others = [p for p in job.model.parameters() if p.ndim == 1]
    job.optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=0.01)
    job.settle()
    assert job.in_pieces() == len(decayed) + len(others)
    single = [p.grad.numpy().copy() for p in job.model.parameters()]
    job.loss().backward()
    total = [p.grad.numpy().copy() for p in job.model.parameters()]
    job.optimizer.zero_grad()
    job.loss().backward()
    for before, both, after in zip(single, total, [p.grad.numpy() for p in job.model.parameters()], strict=True):
        np.testing.assert_array_equal(before + after, both)


def test_values_from_elsewhere_are_not_asked_for() -> None:
    """Another model's gradients may stand at the same places of its trace, and be of other sizes."""
    job = Job()
    for _ in range(pieces.ENOUGH + 4):
        job.step()
    job.optimizer.zero_grad()
    job.loss().backward()
    values = [p.grad._s.value for p in job.model.parameters()]
    plan = state.ran.plan
    plan.packing, plan.asked = None, []
    pieces.ask([_like(v, 5 if n == 3 else None) for n, v in enumerate(values)])
    pieces.ask([*values, values[0]])
    assert plan.asked == []
    pieces.ask([_like(v, None) for v in values])
    assert plan.asked == [tuple(v.pos for v in values)]
    plan.asked = []


def _like(v: Any, size: int | None) -> Value:
    """A value at the same place."""
    found = Value()
    found.aval = v.aval if size is None else aval((size,), v.aval.dtype, v.aval.device)
    found.array, found.trace, found.pos = None, None, v.pos
    return found


# ---- modules that are called outside of any graph ------------------------------------------------------------------------------


def _net() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 3))


def _by_numpy(net: Any, x: Any) -> np.ndarray:
    w0, b0, w1, b1 = [np.array(p.tolist()) for p in net.parameters()]
    return np.tanh(np.array(x.tolist()) @ w0.T + b0) @ w1.T + b1


def _batches(count: int = 6, size: int = 4) -> list[Any]:
    return [torch.tensor(np.random.RandomState(i).randn(size, 8).astype("f4")) for i in range(count)]


def _answers(net: Any, batches: list[Any]) -> int:
    """Looks at what a module gives for each batch, as it must be; how many programs had been sent off before."""
    begin = stats.ahead
    for x in batches:
        with torch.no_grad():
            assert net(x).sum().item() == pytest.approx(_by_numpy(net, x).sum(), abs=1e-4)
    return stats.ahead - begin


def test_a_module_that_is_called_again_is_computed_while_it_is_recorded() -> None:
    net, batches = _net(), _batches()
    _answers(net, batches)
    assert _answers(net, batches) == len(batches)


def test_parameters_that_changed_are_seen() -> None:
    net, batches = _net(), _batches()
    _answers(net, batches)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    for _ in range(3):  # each time new parameters, in the same or in other values
        for x in batches:
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
        _answers(net, batches)
    with torch.no_grad():
        net[0].weight.mul_(2.0)
        net[2].bias.data = torch.ones(3)
        batches[1].add_(1.0)
    _answers(net, batches)
    assert _answers(net, batches) == len(batches)


def test_a_forward_that_steps_an_optimizer_first_is_not_what_was_expected() -> None:
    class Stepping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.step = _net(), False
            self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.5)

        def forward(self, x: Any) -> Any:
            if self.step:
                self.optimizer.step()
            return self.net(x)

    module, batches = Stepping(), _batches()
    for x in batches:
        with torch.no_grad():
            module(x).sum().item()
    for p in module.net.parameters():
        p.grad = torch.ones_like(p)
    assert all(np.isfinite(p.grad.tolist()).all() for p in module.net.parameters())
    module.step = True
    for x in batches[:3]:
        with torch.no_grad():
            found = module(x).sum().item()
        assert found == pytest.approx(_by_numpy(module.net, x).sum(), rel=1e-4)


def test_what_is_looked_at_by_turns_is_expected_no_more() -> None:
    net, batches = _net(), _batches(40)
    _answers(net, batches[:6])
    for i, x in enumerate(batches):
        with torch.no_grad():
            out = net(x)
            found = (out.sum() if i % 2 else out.amax()).item()
        wanted = _by_numpy(net, x)
        assert found == pytest.approx(wanted.sum() if i % 2 else wanted.max(), abs=1e-4)
    begin = stats.ahead
    for x in batches[:4]:
        with torch.no_grad():
            net(x).amax(0).tolist()
    assert stats.ahead == begin


def test_a_program_sent_off_for_nothing_holds_no_module() -> None:
    net, batches = _net(), _batches()
    _answers(net, batches)
    weight = weakref.ref(net[0].weight._s.value)
    with torch.no_grad():
        net(batches[0])
    del net
    state.trace.__init__(state.trace.device)  # type: ignore[misc]
    gc.collect()
    assert weight() is None


def test_parts_of_an_argument_that_the_host_has() -> None:
    torch.manual_seed(0)

    class Tables(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tables = nn.ModuleList([nn.Embedding(7, 4) for _ in range(3)])
            self.order, self.scale = [0, 1, 2], torch.arange(1.0, 13.0)

        def forward(self, ids: Any) -> Any:
            return torch.cat([self.tables[k](ids[:, i]) for i, k in enumerate(self.order)], 1).relu() * self.scale

    net = Tables()
    tables = [np.array(t.weight.tolist()) for t in net.tables]
    batches = [np.random.RandomState(i).randint(0, 7, (5, 3)) for i in range(6)]

    def answers() -> int:
        begin = stats.ahead
        for ids in batches:
            wanted = np.maximum(np.concatenate([tables[k][ids[:, i]] for i, k in enumerate(net.order)], 1), 0) * np.arange(1, 13)
            with torch.no_grad():
                assert net(torch.tensor(ids)).sum().item() == pytest.approx(wanted.sum(), rel=1e-4)
        return stats.ahead - begin

    answers()
    assert answers() == len(batches)
    net.order = [2, 1, 0]  # other tables for the same columns
    answers()
    with pytest.raises(IndexError), torch.no_grad():
        net(torch.tensor([[0, 1, 7]] * 5)).sum().item()


def test_a_module_that_has_another_ones_number_is_expected_anew() -> None:
    net, batches = _net(), _batches()
    _answers(net, batches)
    key, guess = next((k, g) for k, g in ahead._calls.items() if g.module is not None and g.module() is net)
    guess.misses, guess.changes = 1000, 1000  # given up
    assert _answers(net, batches) == 0
    other = _net()
    guess.module = weakref.ref(other)
    assert _answers(net, batches) == len(batches) - 1  # not in the first, where it is forgotten, and learned at the end


def test_calls_that_never_come_again_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Numbered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = _net()

        def forward(self, x: Any, number: int = 0) -> Any:
            return self.net(x)

    monkeypatch.setattr(ahead, "_calls", {})
    monkeypatch.setattr(ahead, "_CALLS", 8)
    net, (x, *_) = Numbered(), _batches()
    wanted = pytest.approx(_by_numpy(net, x).sum(), abs=1e-4)
    with torch.no_grad():
        for n in range(60):
            begin = stats.ahead
            assert net(x).sum().item() == wanted
            assert n < 40 or stats.ahead == begin + 1  # it is steady, and stays known; by then, what was given often is on the device
            assert net(x, n).sum().item() == wanted
            assert len(ahead._calls) <= 8
        for _ in range(12):  # modules that are no more
            net = Numbered()
            for _ in range(2):
                assert net(x).sum().item() == wanted
    assert 0 < len(ahead._calls) <= 8
