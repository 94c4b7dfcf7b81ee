"""Which program a trace of changing sizes runs: one that has room enough, until one of its own would have paid."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import jtorch as torch
from jtorch import _config
from jtorch._engine.families import family
from jtorch._engine.families.held import Held
from jtorch._engine.families.rooms import Rooms, bucket
from jtorch._engine.padded import symbol
from jtorch._engine.recording.trace import flush


def rooms(width: int, equations: int = 115) -> Rooms:
    return Rooms(["n0"], {}, [(symbol(0), width)], equations)


@pytest.mark.parametrize("n", [1, 8, 9, 64, 65, 96, 97, 129, 500, 5000])
def test_a_bucket_is_at_most_half_empty_and_grows_by_at_most_two(n: int) -> None:
    assert n <= bucket(n) <= max(8, 2 * n)
    assert bucket(n + 1) <= 2 * bucket(n)


def test_a_program_with_room_enough_is_used() -> None:
    r = rooms(10_000)
    big = r.choose([500], [], ())
    assert big == (512,)
    assert [r.choose([n], [], ()) for n in (499, 300, 17)] == [big] * 3
    assert r.choose([513], [], ()) == (768,)
    assert r.choose([500], [], ("donated",)) == (512,)  # another program altogether


def test_one_of_its_own_is_made_when_it_would_have_paid() -> None:
    r = rooms(10_000_000, equations=1)  # a run in the wide room costs ten seconds by this estimate, and compiling much less
    assert r.choose([500], [], ()) == (512,)
    assert r.choose([20], [], ()) == (32,)
    cheap = rooms(10_000)
    cheap.choose([500], [], ())
    chosen = [cheap.choose([20], [], ()) for _ in range(2000)]
    change = chosen.index(next(b for b in chosen if b != (512,)))
    assert 10 < change < 200  # what is lost in each run until then, or may be in as many again, comes to what compiling costs
    assert set(chosen[change:]) == {chosen[change]} and chosen[change][0] < 512


def test_little_values_have_room_for_more() -> None:
    assert rooms(4).choose([9], [], ())[0] > 16
    assert rooms(10_000_000).choose([9], [], ()) == (16,)


def test_what_is_held_stays_where_it_is() -> None:
    r = rooms(10_000)
    assert r.choose([20], [(("n0", 0), 96)], ()) == (96,)
    assert r.choose([100], [(("n0", 0), 96)], ()) == (128,)  # no longer enough


def test_what_is_held_moves_to_a_program_that_is_there() -> None:
    r = rooms(10_000)
    assert r.choose([100], [], ()) == (128,)
    assert r.choose([20], [(("n0", 0), 64)], ()) == (128,)  # rather than one more program, for 64
    assert r.choose([21], [(("n0", 0), 128)], ()) == (128,)


def test_a_size_that_came_once_is_no_size_of_its_own() -> None:
    flush()
    for sizes, before_the_last in (((9, 12), 0), ((9, 9, 9, 12), None)):
        _config.changed()
        w = torch.ones(3)
        runs = []
        for n in sizes:
            before = family.stats.runs
            (torch.ones(n, 3) * w + 1).tanh().sin().cos().relu().cumsum(0).exp().numpy()
            runs.append(family.stats.runs - before)
        assert runs == [0] * (len(sizes) - 1) + [1 if before_the_last == 0 else 0]


def test_what_is_kept_of_small_sizes_does_not_stay_in_the_room_of_large_ones() -> None:
    flush()
    w = torch.ones(40)
    kept = []
    for n in (300, 290, 310, 305, *[9 + k % 7 for k in range(90)]):
        x = (torch.full((n, 40), float(n)) * w).cumsum(0)
        x.sum().item()
        kept.append(x)
    arrays = [x._s.value.array for x in kept[4:20]]
    assert all(not isinstance(a, Held) and a.nbytes <= 15 * 40 * 4 for a in arrays)
    assert isinstance(kept[-1]._s.value.array, Held)
    assert [int(x[-1, 0]) for x in kept] == [len(x) ** 2 for x in kept]


def test_the_first_step_with_an_optimizer_is_as_the_second() -> None:
    from jtorch._engine.running.executor import stats

    flush()
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.LayerNorm(7), torch.nn.Linear(7, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    compiled = []
    for _ in range(3):
        before = stats.compilations
        optimizer.zero_grad()
        loss = model(torch.ones(3, 5)).square().mean()
        loss.backward()
        optimizer.step()
        loss.item()
        compiled.append(stats.compilations - before)
    assert compiled[0] > 0 and compiled[1:] == [0, 0]


def test_a_new_model_is_called_the_first_time_as_the_second() -> None:
    from jtorch._engine.running.executor import stats

    flush()
    model = torch.nn.Sequential(torch.nn.LayerNorm(7), torch.nn.Linear(7, 5), torch.nn.LayerNorm(5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    compiled, given = [], torch.ones(2, 7)
    given.numpy()
    for _ in range(2):
        before = stats.compilations
        with torch.no_grad():
            model(given).logsumexp(0).max().item()
        compiled.append(stats.compilations - before)
    assert compiled[0] > 0 and compiled[1] == 0


def test_a_cache_that_grows_is_written_where_it_lies() -> None:
    flush()
    cache, kept, places = torch.ones(1, 8, 3), [], []
    for k in range(9):
        cache = torch.cat([cache, torch.full((1, 1, 3), float(k))], 1)
        cache.sum().item()
        held = cache._s.value.array
        places.append((held.array if isinstance(held, Held) else held).unsafe_buffer_pointer())
        if k in (4, 6):
            kept.append(cache)
        del held
    assert [a == b for a, b in zip(places[3:], places[4:], strict=False)] == [True, False, True, False, True]  # the fifth and the seventh are still asked for
    assert [x.numpy()[0, -2:, 0].tolist() for x in kept] == [[3, 4], [5, 6]]
    assert cache.numpy()[0, :, 1].tolist() == [1.0] * 8 + list(range(9))


@pytest.mark.parametrize("copied", [lambda x: x.clone(), lambda x: torch.ops.aten.alias(x), lambda x: x.to(torch.float32, copy=True), lambda x: x.detach()])
def test_what_is_the_same_as_a_growing_cache_stays(copied: Any) -> None:
    flush()
    cache, kept = torch.ones(1, 8, 3), []
    for k in range(12):
        same = copied(cache)
        cache = torch.cat([cache, torch.full((1, 1, 3), float(k))], 1)
        cache.sum().item()
        if k in (5, 8):
            kept.append(same)
        del same
    assert [x.numpy()[0, :, 1].tolist() for x in kept] == [[1.0] * 8 + list(range(n)) for n in (5, 8)]
    assert cache.numpy()[0, :, 1].tolist() == [1.0] * 8 + list(range(12))


def test_making_a_family_keeps_nothing_of_the_program() -> None:
    """What JAX raises and catches over a size that is a symbol stays in a circle with the frames below it, until the next collection."""

    class Big:
        pass

    def step(n: int) -> weakref.ref[Big]:
        big = Big()
        t = torch.full((n,), 0.5)
        assert float((t * 3 - 0.25).sum()) == 1.25 * n
        t.sub_(0.125)
        assert t[-1].item() == 0.375
        return weakref.ref(big)

    before = family.stats.families
    gc.collect()
    gc.disable()
    try:
        kept = [n for n in (5003, 5009, 5011, 5021, 5023) if step(n)() is not None]
    finally:
        gc.enable()
    assert not kept and family.stats.families > before
