"""The engine: what is compiled, when, and how often."""

from __future__ import annotations

import gc
import math
import threading

import numpy as np
import pytest

import jtorch as torch
from jtorch._engine.planning import segments
from jtorch._engine.recording import trace
from jtorch._engine.running import executor, small_looks
from jtorch._engine.running.executor import stats
from jtorch._engine.values.thread_state import state


def compiled(fn):
    """Programs compiled while ``fn`` runs."""
    before = stats.compilations
    fn()
    return stats.compilations - before


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def test_nothing_runs_until_somebody_looks():
    x = torch.ones(3)
    y = x * 2 + 1
    assert y._s.value.trace is not None
    assert y.tolist() == [3.0, 3.0, 3.0]
    assert y._s.value.trace is None


def test_errors_come_at_the_recording_line():
    with pytest.raises(RuntimeError, match="must match the size of tensor b"):
        torch.ones(2, 3) + torch.ones(4)


def test_a_changing_learning_rate_compiles_nothing_after_the_second_step():
    net = model()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1 / (1 + i))
    x, y = torch.randn(5, 6), torch.tensor([0, 1, 2, 0, 1])

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        schedule.step()

    step()
    step()
    assert compiled(lambda: [step() for _ in range(20)]) == 0


def test_a_loop_without_optimizer_settles():
    net = model()
    x = torch.randn(5, 6)

    def run(n):
        for i in range(n):
            net(x).pow(2).mean().backward()
            with torch.no_grad():
                for p in net.parameters():
                    p -= 0.1 / (i + 1) * p.grad
                    p.grad = None

    run(5)
    assert compiled(lambda: run(15)) <= 1


def test_an_evaluation_that_never_looks_settles_and_does_not_grow():
    net = model()
    x = torch.randn(5, 6)
    longest = 0
    with torch.no_grad():
        total = torch.zeros(())
        for i in range(600):
            total = total + net(x).sum()
            longest = max(longest, len(state.trace.nodes))
            if i == 300:
                before = stats.compilations
    assert stats.compilations - before <= 1
    assert longest < 1000
    assert np.isfinite(total.item())


def test_a_loop_that_never_looks_is_cut_at_whole_periods():
    z, seen = torch.ones(2), set()
    for _ in range(14000):
        z = z * 0.5
        z = z + 1
        seen.add(stats.compilations)
    assert len(seen) <= 4
    assert z.tolist() == [2.0, 2.0]


def test_slices_that_move_do_not_compile_again():
    data = torch.randn(64, 3)
    total = (data * 1).sum()  # on the device from here on

    def take(i):
        return (data[i : i + 4] * 2).sum().item()

    take(0), take(4), take(8)
    assert compiled(lambda: [take(i) for i in range(12, 60, 4)]) == 0
    assert np.isfinite(total.item())


def test_the_sign_of_zero_is_kept():
    x = torch.tensor([1.0, 2.0])
    for zero, sign in ((0.0, 1), (-0.0, -1), (0.0, 1), (-0.0, -1)):
        assert np.copysign(1, (x * zero).numpy()).tolist() == [sign, sign]


def test_dead_values_are_not_computed_and_memory_is_given_back():
    x = torch.ones(4)
    y = x + 1
    del y
    z = x + 2
    assert len(state.trace.nodes) == 2
    assert z.tolist() == [3.0] * 4
    gc.collect()


def test_a_value_pending_in_another_thread_can_be_read():
    made = {}

    def work():
        made["t"] = torch.ones(3) * 5
        made["ready"].set()
        made["go"].wait(300)
        made["u"] = (made["t"] + 1).tolist()

    made["ready"], made["go"] = threading.Event(), threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    made["ready"].wait(300)
    assert made["t"].tolist() == [5.0] * 3
    made["go"].set()
    thread.join()
    assert made["u"] == [6.0] * 3


def test_equal_layers_share_a_program():
    block = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    tokens = [100, 101, *block * 12, 200, 201, 202]
    reads = [[i - 1] if i else [] for i in range(len(tokens))]
    bounds = [0, *segments.cut(tokens, reads, [False] * len(tokens)), len(tokens)]
    pieces = [tuple(tokens[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)]
    assert sum(len(p) for p in pieces) == len(tokens)
    assert len(set(pieces)) <= 3 < len(pieces)


def test_operators_work_inside_jax_transforms():
    import jax
    import jax.numpy as jnp

    def f(a):
        t = torch._from_jax(a)
        return torch.tanh(t * 2).sum().jax()

    x = jnp.arange(3.0, dtype=jnp.float32)
    assert np.allclose(jax.jit(f)(x), np.tanh(2 * np.arange(3.0)).sum(), rtol=1e-6)
    assert np.allclose(jax.grad(f)(x), 2 / np.cosh(2 * np.arange(3.0)) ** 2, atol=1e-6)
    assert jax.vmap(f)(jnp.ones((4, 3), jnp.float32)).shape == (4,)


def test_what_is_small_and_on_the_host_goes_to_a_device_the_second_time():
    def run():
        x = torch.full((600,), 2.0)
        y = x * 3 + x + x
        first = y.tolist()
        assert isinstance(x._s.value.array, np.ndarray)
        assert (x * 3 + x + x).tolist() == first == [10.0] * 600
        assert not isinstance(x._s.value.array, np.ndarray)

    run()
    run()
    assert compiled(run) == 0


def test_what_is_tiny_and_on_the_host_stays_there_for_a_while():
    x = torch.full((3,), 2.0)
    for i in range(40):
        assert isinstance(x._s.value.array, np.ndarray) == (i < 26)
        assert torch.exp(x * 0).tolist() == [1.0] * 3


@pytest.mark.parametrize(
    "look",
    [
        lambda x: bool(x[0] > 1), lambda x: (x * 2 - 1).max().item(), lambda x: int(x.argmax()), lambda x: x.to(torch.int64).tolist(), lambda x: bool(torch.isnan(x).any()),
        lambda x: torch.where(x > 1, x, -x).tolist(), lambda x: bool(((x >= 0) & (x <= 9)).all()), lambda x: torch.round(x).tolist(), lambda x: (x % 2).tolist(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("values", [[0.5, 2.5, -7.0], [float("inf"), float("nan"), -0.0], [2.0**100, -3e9, 5.0]])
def test_a_look_at_little_is_what_a_program_gives(look, values, monkeypatch):
    x = torch.tensor(values) + 0
    x.tolist()
    with monkeypatch.context() as m:
        for kind in ("LOOK", "FIRST"):
            m.setattr(small_looks, kind, getattr(small_looks, kind)._replace(nodes=-1))
        wanted = repr(look(x))
    ran = []
    original = small_looks.run
    monkeypatch.setattr(small_looks, "run", lambda *args: ran.append(1) or original(*args))
    monkeypatch.setattr(executor, "_recipes", {})
    found = [repr(look(x)) for _ in range(3)]
    assert found == [wanted] * 3
    assert ran


def test_a_look_at_what_is_large_or_inexact_is_a_program(monkeypatch):
    """What is exact and not so large is one from the second time on: the first may be the only one."""
    large, ran = torch.zeros(1 << 19) + 0, []
    large.tolist()
    original = small_looks.run
    monkeypatch.setattr(small_looks, "run", lambda how, *args: ran.append(1) or original(how, *args))
    for _ in range(3):
        assert (torch.zeros(3).exp() + 1).sum().item() == 6
        assert bool((large == 0).all())
        assert not ran
    for _ in range(3):
        assert bool((torch.zeros(5003) + 1.5 == 1.5).all())
        assert len(ran) == 1



@pytest.mark.parametrize(
    ("size", "f"),
    [*enumerate([  # sizes of their own: operators that were met before run by themselves
        lambda a, b, c: torch.exp(a) * b + c, lambda a, b, c: a * b + c, lambda a, b, c: (a * 0.3).view(3, -1).T - 0.7, lambda a, b, c: torch.where(a > 0, a / 3, b) / c,
        lambda a, b, c: (a + 0.1).add(0.7) * 1.1, lambda a, b, c: torch.sqrt(a.abs()) / b, lambda a, b, c: (a * b).neg() + c, lambda a, b, c: a.square() + b.square(),
        lambda a, b, c: (a - b).abs() <= c.abs() * 1e-3 + 1e-5, lambda a, b, c: a.sort().values.cummax(0).values * b,
    ])],
)  # fmt: skip
def test_a_program_gives_the_same_digits_the_first_time_and_the_second(size, f):
    torch.manual_seed(0)
    a, b, c = torch.randn(3, 1500 + 33 * size)

    def look():
        return f(a, b, c).numpy().copy()

    first = look()
    for _ in range(2):
        np.testing.assert_array_equal(look(), first)


def test_what_is_never_the_same_twice_does_not_compile_for_ever():
    x = torch.randn(1501)

    def chain(bits):
        y = x
        for i in range(5):
            y = y.tanh() if bits >> i & 1 else y.sigmoid()
        return y.numpy()

    for bits in range(3, 8):
        chain(bits)
    assert compiled(lambda: [chain(bits) for bits in range(8, 20)]) == 0


def test_what_a_program_may_overwrite_is_a_copy_of_what_numpy_holds():
    shared = np.full((64, 64), 2.0, np.float32)

    def run():
        x = torch.from_numpy(shared).clone()
        for _ in range(4):
            x = x * 2 + 1
        return x

    for _ in range(3):
        assert run()[0, 0].item() == 47.0
        assert (shared == 2).all()


def test_the_default_type_is_asked_for_again_when_it_changes():
    whole = torch.tensor([1, 2])
    assert (whole / whole).dtype is whole.sqrt().dtype is torch.float32
    try:
        torch.set_default_dtype(torch.float64)
        assert (whole / whole).dtype is whole.sqrt().dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert (whole / whole).dtype is whole.sqrt().dtype is torch.float32


@pytest.mark.parametrize("write", [lambda x, c: x * c, lambda x, c: x.mul(c), lambda x, c: x.mul_(c)])
def test_a_program_does_not_take_one_zero_for_the_other(write):
    def run(c):
        return (torch.ones(2) / write(torch.ones(2) * 1.5, c)).tolist()

    infinity = float("inf")
    for c in (0.0, 0.0, 0.0, -0.0, -0.0, 0.0):
        assert run(c) == [infinity if str(c) == "0.0" else -infinity] * 2
    assert (torch.ones(2) / torch.full((2,), -0.0)).tolist() == [-infinity] * 2


def test_what_another_thread_reads_is_one_program_however_far_this_one_has_come(monkeypatch):
    ran = []
    original = trace.executor

    def noted(tr, why):
        if why == "thread":
            ran.append(([(node[0].call.name, *node[1:]) for node in tr.nodes], len(tr.inputs), list(tr.scalars)))
        original(tr, why)

    monkeypatch.setattr(trace, "executor", noted)
    for more in (0, 1, 4):
        x = torch.linspace(0, 1, 6)
        x.tolist()
        before = [x.mul(0.5 + k) for k in range(more)]
        y = x.mul(2.5).exp()
        after = [y.sin().add(0.25) for _ in range(more)]
        found = []
        thread = threading.Thread(target=lambda y=y, found=found: found.extend(y.tolist()))
        thread.start()
        thread.join()
        assert found == pytest.approx([math.exp(2.5 * k / 5) for k in range(6)], rel=1e-5)
        assert all(a.tolist() == pytest.approx([math.sin(v) + 0.25 for v in found], abs=1e-5) for a in after)
        assert all(b.tolist() == pytest.approx([k / 5 * (0.5 + i) for k in range(6)]) for i, b in enumerate(before))
    assert ran == [([("mul", -1, trace.SCALAR), ("exp", 0)], 1, [2.5])] * 3
