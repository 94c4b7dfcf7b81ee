"""Checkpoints: the same numbers, the same random numbers, run twice, and errors where the runs differ."""

from __future__ import annotations

import functools
import math
import sys
import threading
from typing import Any

import pytest

import jtorch as torch
from jtorch import nn as nn
from jtorch._engine.recording import trace
from jtorch._engine.running import executor
from jtorch.utils.checkpoint import (
    CheckpointError,
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
)


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 4))


def run(wrap):
    m = model()
    x = torch.arange(8.0).reshape(2, 4).requires_grad_()
    y = wrap(m, x)
    y.sum().backward()
    return [y.tolist(), x.grad.tolist(), [p.grad.tolist() for p in m.parameters()], torch.rand(2).tolist()]


def close(a, b):
    if isinstance(a, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))
    return a == pytest.approx(b, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("reentrant", [True, False])
def test_as_without(reentrant):
    calls = []

    def counted(m):
        def f(x):
            calls.append(1)
            return m(x)

        return f

    plain = run(lambda m, x: m(x))
    assert close(run(lambda m, x: checkpoint(counted(m), x, use_reentrant=reentrant)), plain) and len(calls) == 2
    assert close(run(lambda m, x: checkpoint_sequential(m, 2, x, use_reentrant=reentrant)), plain)


def test_nested_and_keyword_arguments():
    m = model().eval()
    x = torch.ones(2, 4, requires_grad=True)

    def inner(x, *, scale):
        return checkpoint(m, x, use_reentrant=False) * scale

    y = checkpoint(inner, x, scale=torch.tensor(2.0), use_reentrant=False)
    y.sum().backward()
    got, x.grad = x.grad.tolist(), None
    (m(x) * 2).sum().backward()
    assert close(got, x.grad.tolist())


def test_second_derivative():
    a = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = checkpoint(lambda a: a**3, a, use_reentrant=False)
    (g,) = torch.autograd.grad(y.sum(), a, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), a)
    assert g.tolist() == [3.0, 12.0] and h.tolist() == [6.0, 12.0]


def test_differences_between_the_runs():
    runs = []

    def odd(x):
        runs.append(1)
        return (x * x).sin() if len(runs) == 1 else x * x

    x = torch.ones(2, requires_grad=True)
    with pytest.raises(CheckpointError, match="A different number of tensors"):
        checkpoint(odd, x, use_reentrant=False).sum().backward()
    runs.clear()

    def wider(x):
        runs.append(1)
        return (x.expand(len(runs), 2) ** 2).sum()

    with pytest.raises(CheckpointError, match="different metadata"):
        checkpoint(wider, x, use_reentrant=False).backward()


def test_without_gradients_and_wrong_arguments():
    x = torch.ones(2)
    with torch.no_grad():
        assert checkpoint(lambda x: x * 2, x, use_reentrant=False).tolist() == [2.0, 2.0]
    with pytest.warns(UserWarning, match="None of the inputs"):
        checkpoint(lambda x: x * 2, x, use_reentrant=True)
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed"):
        checkpoint(lambda x: x * 2, x.requires_grad_())
    with pytest.raises(ValueError, match="Unexpected keyword arguments: foo"):
        checkpoint(lambda x: x, x, use_reentrant=True, foo=1)
    with pytest.raises(ValueError, match="determinism_check"):
        checkpoint(lambda x: x, x, use_reentrant=False, determinism_check="maybe")


# Memory, as XLA's own analysis of the programs has it ------------------------------------------------------------------------


def peak(plan):
    """The most bytes beyond the inputs: what waits between programs, and what each needs while it runs."""
    size, waiting, most = {}, set(), 0
    for program, _, outs, _, dead in plan.steps:
        for slot, info in zip(outs, program.run.out_info, strict=True):
            size[slot] = math.prod(info.shape) * info.dtype.itemsize
        waiting |= set(outs)
        most = max(most, sum(size[s] for s in waiting) + program.run.memory_analysis().temp_size_in_bytes)
        waiting -= set(dead)
    return most


def step_memory(wrap):
    """Of forward and backward through four blocks, and the gradients."""
    executor._recipes.clear()
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8), nn.Tanh()) for _ in range(4)]
    x = torch.randn(256, 8, requires_grad=True)
    y = x
    for b in blocks:
        y = wrap(b, y)
    y.square().mean().backward()
    trace.flush("step")
    grads = [x.grad, *[p.grad for b in blocks for p in b.parameters()]]
    return max(peak(r.plan) for r in executor._recipes.values() if r.plan is not None), [g.tolist() for g in grads]


def test_less_memory():
    plain, expected = step_memory(lambda b, y: b(y))
    for reentrant in (False, True):
        used, grads = step_memory(lambda b, y: checkpoint(b, y, use_reentrant=reentrant))
        assert used < plain / 2
        assert close(grads, expected)
    contexts = functools.partial(create_selective_checkpoint_contexts, [torch.ops.aten.addmm.default])
    used, grads = step_memory(lambda b, y: checkpoint(b, y, use_reentrant=False, context_fn=contexts))
    assert used < plain
    assert close(grads, expected)


def test_what_a_policy_keeps_is_not_computed_again():
    asked = []

    def policy(ctx, op, *args, **kwargs):
        asked.append(str(op))
        assert not ctx.is_recompute
        return CheckpointPolicy.MUST_SAVE if op is torch.ops.aten.addmm.default else CheckpointPolicy.PREFER_RECOMPUTE

    def f(m, x):
        return checkpoint(m, x, use_reentrant=False, context_fn=lambda: create_selective_checkpoint_contexts(policy))

    assert close(run(f), run(lambda m, x: m(x)))
    assert asked.count("aten.addmm.default") == 2
    assert "aten.gelu.default" in asked


def test_wrong_policies():
    with pytest.raises(TypeError, match="either a function or a list of ops"):
        create_selective_checkpoint_contexts(5)
    with pytest.raises(ValueError, match="change it to `torch.ops.aten.mm.default`"):
        create_selective_checkpoint_contexts([torch.ops.aten.mm])


def test_other_threads_and_handlers_do_not_move_what_is_computed_again() -> None:
    """Nodes have numbers of the whole process; those of another thread, or of a handler that computes in the middle of the second run, belong to nobody's block."""
    torch.manual_seed(0)
    m = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3), torch.nn.Tanh())
    inserted: list[int] = []

    def block(x: Any) -> Any:
        if inserted and inserted.pop() == 1:  # as a signal handler would
            torch.ones(3, requires_grad=True).sin().exp().sum().backward()
        return m(x)

    def grad(i: int, *handlers: int) -> Any:
        x = torch.full((2, 3), float(i), requires_grad=True)
        out = checkpoint(block, x, use_reentrant=False).pow(2).sum()
        inserted.extend(handlers)
        (found,) = torch.autograd.grad(out, x)
        return found

    def plain(i: int) -> Any:
        x = torch.full((2, 3), float(i), requires_grad=True)
        return torch.autograd.grad(m(x).pow(2).sum(), x)[0]

    expected = [plain(i) for i in range(3)]
    torch.testing.assert_close(grad(1, 1), expected[1])
    wrong: list[Any] = []
    ready = threading.Barrier(3)

    def work(i: int) -> None:
        try:
            ready.wait()
            for _ in range(8):
                torch.testing.assert_close(grad(i), expected[i])
        except BaseException as e:
            wrong.append(e)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    sys.setswitchinterval(before)
    assert not wrong, wrong[0]
