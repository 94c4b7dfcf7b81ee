"""Packed state: the same numbers as without, and nobody outside can tell."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

import jtorch as torch
from jtorch._core.state import packed_state as packed
from jtorch._core.state.packed_state import PackedStorage
from jtorch._engine.recording.trace import flush
from jtorch._engine.running.executor import stats

SHAPES = [(3, 4), (5,), (2, 2, 2), ()] * 3 + [(200, 300)]  # the last is too large to be packed
OPTIMIZERS = [
    ("SGD", {"momentum": 0.9, "dampening": 0.1}), ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}), ("AdamW", {}),
    ("Adam", {"amsgrad": True}), ("Adam", {"weight_decay": 0.1, "maximize": True}), ("NAdam", {}), ("RAdam", {}), ("Adamax", {}), ("Adagrad", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True}), ("ASGD", {}), ("Rprop", {}),
]  # fmt: skip


class Job:
    """Parameters, their optimizer, and steps with gradients that are there before the step."""

    def __init__(self, name="AdamW", kind=torch.float32, **options):
        self.random = np.random.RandomState(0)
        self.params = [torch.nn.Parameter(self.some(s).to(kind)) for s in SHAPES]
        self.optimizer = getattr(torch.optim, name)(self.params, **{"lr": 0.01, **options})

    def some(self, shape):
        return torch.tensor(np.float32(self.random.randn(*shape)))

    def step(self, without=()):
        for i, p in enumerate(self.params):
            p.grad = None if i in without else self.some(p.shape).to(p.dtype) * 1
        flush()
        self.optimizer.step()

    def states(self):
        return [t for p in self.params for t in self.optimizer.state[p].values() if isinstance(t, torch.Tensor) and t.shape == p.shape and t.ndim]

    def packed(self):
        return sum(isinstance(t._s, PackedStorage) for s in self.optimizer.state.values() for t in s.values() if isinstance(t, torch.Tensor))

    def numbers(self):
        return [t.detach().float().numpy().copy() for t in [*self.params, *self.states()]]


def _same(a, b):
    for x, y in zip(a.numbers(), b.numbers(), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture
def never(monkeypatch):
    """A function that makes a job whose steps are done without packing."""

    def run(job, *args, **kwargs):
        with monkeypatch.context() as m:
            m.setattr(packed, "update_packed", lambda *a: None)
            m.setattr("jtorch._core.state.optimizer_updates.update_packed", lambda *a: None)
            job.step(*args, **kwargs)

    return run


FEW = ("SGD", "AdamW", "RAdam", "RMSprop")  # no moments, two, a choice by the step, others; `make compat-full` has all


@pytest.mark.parametrize(("name", "options"), [pytest.param(*o, id=f"{o[0]}-{'-'.join(o[1])}", marks=() if o[0] in FEW else pytest.mark.slow) for o in OPTIMIZERS])
def test_the_same_numbers(name, options, never):
    one, other = Job(name, **options), Job(name, **options)
    for n in range(6):
        for job in (one, other):
            job.optimizer.param_groups[0]["lr"] = 0.01 / (n + 1)
        one.step()
        never(other)
    assert one.packed() > 0
    assert other.packed() == 0
    _same(one, other)


def test_half_types_and_updates_that_cannot_be_taken_apart(never):
    for options in ({"kind": torch.bfloat16}, {"name": "Adadelta"}, {"name": "Adafactor"}):
        one, other = Job(**options), Job(**options)
        for _ in range(4):
            one.step()
            never(other)
        assert (one.packed() > 0) == ("kind" in options)
        _same(one, other)


def _read(job):
    job.optimizer.state[job.params[4]]["exp_avg"].sum().item()


def _write(job):
    job.optimizer.state[job.params[4]]["exp_avg"].mul_(0.5)
    job.optimizer.state[job.params[0]]["exp_avg_sq"].zero_()


def _replace(job):
    job.optimizer.state[job.params[1]]["exp_avg"] = torch.ones(5)


def _data(job):
    job.optimizer.state[job.params[2]]["exp_avg"].data = torch.ones(2, 2, 2)


def _forget(job):
    del job.optimizer.state[job.params[3]]


def _reload(job):
    job.optimizer.load_state_dict(copy.deepcopy(job.optimizer.state_dict()))


def _swap(job):
    a, b = job.optimizer.state[job.params[0]], job.optimizer.state[job.params[4]]
    a["exp_avg"], b["exp_avg"] = b["exp_avg"], a["exp_avg"]


def _transpose(job):
    job.optimizer.state[job.params[2]]["exp_avg"].transpose_(0, 1)


def _parameter(job):
    with torch.no_grad():
        job.params[0].mul_(2.0)
    job.params[1].data = torch.zeros(5)


def _held(job):
    job.kept = [p.detach().clone() for p in job.params], job.params[0].detach() * 2


@pytest.mark.parametrize("between", [_read, _write, _replace, _data, _forget, _reload, _swap, _transpose, _parameter, _held])
def test_what_a_program_does_between_steps(between, never):
    one, other = Job(), Job()
    for n in range(8):
        one.step()
        never(other)
        if n in (2, 3):
            between(one)
            between(other)
    _same(one, other)


def test_a_parameter_without_gradient(never):
    one, other = Job(), Job()
    for n in range(8):
        without = (1, 12) if n == 3 else ()
        one.step(without)
        never(other, without)
    assert one.packed() > 0
    _same(one, other)


def test_versions_count_the_steps(never):
    one, other = Job(), Job()
    for _ in range(5):
        one.step()
        never(other)
    assert one.packed() > 0
    before = [t._version for t in one.states()]
    assert before == [t._version for t in other.states()]
    _read(one)
    assert before == [t._version for t in one.states()]


def test_what_a_graph_saved_is_missed():
    job = Job()
    for _ in range(3):
        job.step()
    w = torch.ones(3, 4, requires_grad=True)
    out = (w * job.optimizer.state[job.params[0]]["exp_avg"]).sum()
    job.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_checkpoints_are_whole(never):
    one, other = Job(), Job()
    for _ in range(4):
        one.step()
        never(other)
    kept = copy.deepcopy(one.optimizer.state_dict())
    again = pickle.loads(pickle.dumps(one.optimizer.state_dict()))
    for state in (kept, again):
        for mine, theirs in zip(state["state"].values(), other.optimizer.state_dict()["state"].values(), strict=True):
            for name in theirs:
                np.testing.assert_array_equal(mine[name].numpy(), theirs[name].numpy())
    one.step()
    never(other)
    _same(one, other)


def test_reading_in_another_thread():
    job, found = Job(), []
    for _ in range(4):
        job.step()
    states = job.states()
    reader = threading.Thread(target=lambda: found.extend(t.sum().item() for t in states))
    reader.start()
    reader.join()
    assert found == [t.sum().item() for t in states]


def test_quiet_steps_are_earned():
    job = Job()
    packed_after = []
    for n in range(40):
        job.step()
        packed_after.append(job.packed() > 0)
        if n < 10:
            _read(job)
    assert packed_after[-1]
    assert sum(packed_after[2:10]) < 6  # one that is looked at each step is soon left alone


def test_nothing_is_compiled_again():
    job = Job()
    for _ in range(3):
        job.step()
    before = stats.compilations
    for n in range(20):
        job.optimizer.param_groups[0]["lr"] = 0.1 / (n + 1)
        job.step()
    assert stats.compilations == before


def test_the_arrays_go_with_the_optimizer():
    job = Job()
    for _ in range(4):
        job.step()
    assert job.packed() > 0
    gc.collect()
    gc.disable()
    try:
        held = weakref.ref(job.states()[0]._s)
        flat = weakref.ref(packed._groups[held()].pack.flats[0])
        del job
        assert held() is None
        assert flat() is None
    finally:
        gc.enable()
