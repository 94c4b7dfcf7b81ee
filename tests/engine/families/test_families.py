"""One program for all sizes: what it computes is what programs of exact shapes compute, and few are made."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import jtorch as torch
from jtorch import _config, nn
from jtorch._core.storage.view_steps import read
from jtorch._engine.families import family
from jtorch._engine.families.rooms import Rooms
from jtorch._engine.padded import symbol
from jtorch._engine.recording import vjp
from jtorch._engine.recording.trace import flush
from jtorch.nn import functional as F


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    before = _config.DYNAMIC
    flush()  # what other tests have left recorded
    yield
    _config.DYNAMIC = before
    _config.changed()


def both(run: Callable[[np.random.RandomState], list[Any]]) -> tuple[list[Any], list[Any]]:
    """What ``run`` gives with programs for all sizes, and with one for each."""
    results = []
    for dynamic in (None, False):
        _config.DYNAMIC = dynamic
        _config.changed()
        torch.manual_seed(0)
        results.append(run(np.random.RandomState(0)))
    return results[0], results[1]


def same(run: Callable[[np.random.RandomState], list[Any]], runs: int) -> None:
    before = family.stats.runs
    many, exact = both(run)
    assert family.stats.runs - before >= runs
    for a, b in zip(many, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def array(r: np.random.RandomState, *shape: int) -> Any:
    return torch.tensor(r.randn(*shape).astype("f"))


def test_two_threads_come_to_one_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second does not take the plan of the first for ready while its programs are being compiled."""

    def run(n: int) -> Any:
        x = torch.arange(float(n)) * 0.25
        for k in range(9):
            x = x * 1.5 + k
            kept.append(x)
        return x.sqrt().sqrt().tolist()[:2]

    def compiling(*given: Any) -> Any:
        if threading.current_thread() is first:
            begun.set()
            done.wait(60)
        return compile_(*given)

    kept: list[Any] = []
    for n in (20, 23, 27, 29):
        run(n)
    compile_ = family.Member._compile
    monkeypatch.setattr(family.Member, "_compile", compiling)
    begun, done, found = threading.Event(), threading.Event(), []
    first = threading.Thread(target=lambda: found.append(run(1000)))
    first.start()
    assert begun.wait(60)
    found.append(run(1000))
    x = np.arange(1000, dtype="f") * np.float32(0.25)
    for k, t in enumerate(kept[-9:]):
        x = x * np.float32(1.5) + np.float32(k)
        np.testing.assert_allclose(t.numpy(), x, rtol=1e-5)
    done.set()
    first.join()
    np.testing.assert_allclose(found, [np.sqrt(np.sqrt(x[:2]))] * 2, rtol=1e-5)


def test_threads_whose_tensors_change_their_sizes_lose_nothing() -> None:
    """One tensor and one leaf for all of them; half of such rounds failed before."""

    def work(i: int, w: Any, x: Any) -> None:
        for _ in range(10):
            (w * (i + 1.0)).sum().backward()
            x.add_(1)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for n in range(3, 11):
            w, x = torch.ones(n, requires_grad=True), torch.zeros(n)
            threads = [threading.Thread(target=work, args=(i, w, x)) for i in range(4)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert w.grad.tolist() == [100.0] * n
            assert x.tolist() == [40.0] * n
    finally:
        sys.setswitchinterval(interval)


def test_training_on_changing_lengths() -> None:
    def run(r: np.random.RandomState) -> list[Any]:
        embed, cell, out = nn.Embedding(11, 4), nn.GRU(4, 6, batch_first=True), nn.Linear(6, 11)
        optimizer = torch.optim.SGD([*embed.parameters(), *cell.parameters(), *out.parameters()], 0.1)
        losses = []
        for n in (9, 12, 15, 10, 14):
            x, y = torch.tensor(r.randint(0, 11, (2, n))), torch.tensor(r.randint(0, 11, (2, n)))
            optimizer.zero_grad()
            loss = F.cross_entropy(out(cell(embed(x))[0]).view(-1, 11), y.view(-1))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    same(run, 2)


def test_a_new_size_is_not_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operators whose backward reads more than their results among them: what is recorded of those is derived from a call that no trace has."""
    _config.changed()
    torch.manual_seed(0)
    cell, head = nn.LSTM(8, 16), nn.Linear(16, 8)
    asked: list[str] = []
    build = vjp.build
    monkeypatch.setattr(vjp, "build", lambda entry, *rest: asked.append(entry.call.name) or build(entry, *rest))  # type: ignore[func-returns-value]
    for n in (9, 14, 12, 16, 11, 15):
        before = len(asked)
        x = torch.ones(n, 4, 8)
        F.mse_loss(F.layer_norm(head(cell(x)[0]), (8,)), x).backward()
        assert cell.weight_ih_l0.grad is not None
        cell.weight_ih_l0.grad.sum().item()
    assert asked[:before] and not asked[before:]


def test_attention_over_merged_batches() -> None:
    def run(r: np.random.RandomState) -> list[Any]:
        w = array(r, 4, 12).requires_grad_()
        found = []
        for b, n in ((2, 9), (3, 12), (4, 14), (2, 11), (4, 10)):
            x = array(r, b, n, 4)
            q, k, v = (x.view(b * n, 4) @ w).view(b, n, 3, 2, 2).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, n, 4)
            w.grad = None
            (y[:, 1:] * x[:, :-1]).mean().backward()
            found += [w.grad.numpy().copy(), y.detach().numpy().copy()]
        return found

    same(run, 2)


def test_graphs_with_changing_nodes_and_edges() -> None:
    def run(r: np.random.RandomState) -> list[Any]:
        w = array(r, 3, 3).requires_grad_()
        found = []
        for n, m in ((9, 20), (12, 31), (15, 29), (10, 25)):
            x, source, target = array(r, n, 3), torch.tensor(r.randint(0, n, m)), torch.tensor(r.randint(0, n, m))
            h = x @ w
            total = torch.zeros_like(h).index_add(0, target, F.relu(h[source]))
            w.grad = None
            (total + h).square().mean().backward()
            found.append(w.grad.numpy().copy())
        return found

    same(run, 2)


def test_a_value_that_grows_is_held_padded() -> None:
    def run(r: np.random.RandomState) -> list[Any]:
        cache = array(r, 1, 8, 2)
        found = []
        for _ in range(7):
            new = array(r, 1, 1, 2)
            cache = torch.cat([cache, new], 1)
            found.append((torch.softmax(new @ cache.transpose(1, 2), -1) @ cache).numpy().copy())
        return [*found, cache.numpy().copy(), cache[:, -1].numpy().copy()]

    same(run, 4)


def test_what_came_as_one_dim_lies_as_the_two_that_it_meets() -> None:
    """Labels of (b * n) beside scores of (b, n, c) that become (b * n, c): neither is moved. Also where the labels come padded from a program before, which has them in one dim."""
    layouts = []

    def run(r: np.random.RandomState) -> list[Any]:
        head, found = array(r, 5, 6).requires_grad_(), []
        for n in (9, 12, 17, 10, 21, 30):
            x, y = array(r, 3, n, 6), torch.tensor(r.randint(0, 5, 3 * n))
            if n > 12:
                y = (y + 1) % 5
                y.sum().item()
            loss = F.cross_entropy((x @ head.T).tanh().view(-1, 5), y)
            (g,) = torch.autograd.grad(loss, head)
            found += [loss.item(), g.numpy().copy()]
        layouts.append([list(fam.layouts.values()) for group in family._groups.values() for fam in group.families])
        return found

    same(run, 3)
    assert any(len(factors) == 2 and factors[0] == 3 for every in layouts[0] for layout in every for factors in layout)


def test_a_wrong_guess_costs_time_and_no_answer() -> None:
    def run(r: np.random.RandomState) -> list[Any]:
        found = []
        for n, m in ((9, 18), (10, 20), (11, 22), (12, 25), (13, 21), (14, 30)):  # as if m were 2 n
            x = array(r, n).sum() * array(r, m).sum() + array(r, n).max()
            found.append(x.item())
        return found

    same(run, 2)


def test_sizes_of_one_run_by_themselves() -> None:
    def run(r: np.random.RandomState) -> list[Any]:
        found = []
        for n in (9, 12, 15, 1, 11, 1, 2, 0):
            x = array(r, n, 3)
            found.append((torch.relu(x).sum(0) * 2 + x.cumsum(0).sum()).numpy().copy())
        return found

    same(run, 2)


def test_few_programs_for_many_sizes() -> None:
    w = array(np.random.RandomState(0), 3)
    before = family.stats.programs
    for n in (9, 12, 15, 10, 11, 13, 14, 16):
        x = torch.ones(n, 3)
        assert torch.relu(x * w + 1).sum(1).exp().numpy().shape == (n,)
    assert family.stats.programs - before <= 1


def test_one_size_that_comes_often_gets_its_own_program() -> None:
    x = torch.ones(3)
    for n in (9, 12, 15, *[11] * 70):
        before = family.stats.runs
        (torch.ones(n, 3) * x).tanh().cumsum(0).numpy()
    assert family.stats.runs == before


@pytest.mark.parametrize("mixed, sizes", [(160, (11,)), (0, (11, 13, 14))])
def test_sizes_that_come_in_a_row_or_in_turn_get_their_own_programs(mixed: int, sizes: tuple[int, ...]) -> None:
    """However many others there were before; and a program that keeps to a few sizes (sorted batches) computes on no padding."""
    x = torch.ones(3)
    for n in (9, 12, 15, *[9 + k % 7 for k in range(mixed)], *[sizes[k % len(sizes)] for k in range(67 * len(sizes))]):
        before = family.stats.runs
        (torch.ones(n, 3) * x).tanh().cumsum(0).numpy()
    assert family.stats.runs == before


def test_a_costly_size_that_comes_in_a_row_waits_for_less() -> None:
    rooms = Rooms(["n0"], {}, [(symbol(0),)], 100)
    assert not rooms.worth_its_own(40, lambda: 1000) and rooms.worth_its_own(64, lambda: 1000)
    assert rooms.worth_its_own(40, lambda: 10**7) and not rooms.worth_its_own(7, lambda: 10**12)


def test_lengths_that_are_all_even_at_first_are_one_family_with_odd_ones() -> None:
    """What pooling leaves of a length is found from the length, not the length from that."""
    before = family.stats.families

    def run(r: np.random.RandomState) -> list[Any]:
        conv = nn.Conv1d(2, 3, 3, padding=1)
        found = []
        for n in (10, 16, 13, 11):
            loss = F.max_pool1d(F.relu(conv(array(r, 2, 2, n))), 2).square().mean()
            conv.zero_grad()
            loss.backward()
            found.append(conv.weight.grad.numpy().copy())
        return found

    same(run, 3)
    assert family.stats.families - before == 1


def test_random_masks_change_with_their_sizes() -> None:
    def run(r: np.random.RandomState) -> list[Any]:
        return [F.dropout(array(r, n, 3), 0.5).cumsum(0).numpy().copy() for n in (9, 12, 15, 10, 14)]

    same(run, 2)


def test_an_index_of_a_changing_size_is_checked_against_the_true_size() -> None:
    def run(r: np.random.RandomState) -> list[Any]:
        found = []
        for n in (9, 12, 15, 10, 14):
            x, i = array(r, n, 3), torch.tensor(r.randint(0, n, 20 + n))
            found.append((x * 2)[i * 1].sum(0).numpy().copy())
        return found

    same(run, 2)
    for n in (9, 12, 15, 10):
        x, i = torch.ones(n, 3), torch.arange(20 + n) % n
        i[3] = n if n == 10 else 0  # inside the room of its program
        if n == 10:
            with pytest.raises(IndexError, match="index 10 is out of bounds for dimension 0 with size 10"):
                (x * 2)[i * 1].sum(0).numpy()
        else:
            (x * 2)[i * 1].sum(0).numpy()


@pytest.mark.parametrize("dynamic", [True, False])
def test_the_environment_decides(dynamic: bool) -> None:
    _config.DYNAMIC = dynamic
    _config.changed()
    before = family.stats.runs
    for n in (9, 12, 15, 17):
        (torch.ones(n, 3) * 2).tanh().cumsum(0).numpy()
    assert (family.stats.runs - before) == (3 if dynamic else 0)


def test_the_program_decides() -> None:
    def runs(f: Callable[[Any], Any], mark: Callable[[Any], Any] = lambda x: x) -> int:
        _config.changed()
        before = family.stats.runs
        for n in (9, 12, 15, 17):
            x = torch.ones(n, 3)
            mark(x)
            f(x).numpy()
        return family.stats.runs - before

    def f(x: Any) -> Any:
        return (x * 2).tanh().cumsum(0)

    assert runs(torch.compile(f, dynamic=True)) == 3
    assert runs(torch.compile(f, dynamic=False)) == 0
    assert runs(f, lambda x: torch._dynamo.mark_dynamic(x, 0)) == 3
    assert runs(f, lambda x: torch._dynamo.mark_static(x, 0)) == 0


@pytest.mark.slow
def test_a_program_that_fills_up_to_a_size_but_is_given_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is kept on the disk: what it gives is padded, though nothing that goes in is."""
    monkeypatch.setattr(_config, "CACHE_DIR", "0")
    rows = torch.arange(20.0).reshape(4, 5) / 20
    losses = []
    for turn in range(3):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 2))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, eps=1e-2)

        @torch.compile
        def step(x: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = model(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            return loss

        losses.append([step(rows.repeat(2 + 3 * turn + k, 1)).item() for k in range(3)])  # the same rows again and again: the same losses
    for other in losses[1:]:
        np.testing.assert_allclose(other, losses[0], rtol=2e-3)


def test_inputs_that_no_node_reads_may_differ_in_rank() -> None:
    samples = [([], [read(torch.ones(s))], []) for s in ((3,), (3, 4), (3, 5))]
    assert not family._growing(samples[:2]) and family._growing(samples[1:3])
