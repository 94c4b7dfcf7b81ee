"""Indices out of range are errors: at the line where they are known, at the next look where they are computed; and nothing is traced twice for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import jtorch as torch
import jtorch.nn.functional as F
from jtorch._engine.recording import guards
from jtorch._engine.running.executor import stats

x = torch.arange(12.0).reshape(3, 4)


def computed(values):
    return torch.tensor(values) + 0


CASES = {
    "gather": (lambda i: x.gather(1, i([[4]])), RuntimeError, "index 4 is out of bounds for dimension 1 with size 4"),
    "index_select": (lambda i: x.index_select(0, i([-1])), IndexError, "index out of range in self"),
    "take": (lambda i: x.take(i([0, 12])), IndexError, "tried to access index 12 on a tensor of 12 elements"),
    "scatter": (lambda i: x.scatter(1, i([[-1]]), 1.0), RuntimeError, "index -1 is out of bounds"),
    "index_add": (lambda i: x.index_add(0, i([3]), torch.ones(1, 4)), RuntimeError, "index 3 is out of bounds for dimension 0"),
    "getitem": (lambda i: x[i([0]), i([4])], IndexError, "index 4 is out of bounds for dimension 1 with size 4"),
    "setitem": (lambda i: x.clone().index_put_((i([3]),), torch.tensor(1.0)), IndexError, "index 3 is out of bounds"),
    "embedding": (lambda i: F.embedding(i([3]), x), IndexError, "index out of range in self"),
    "nll_loss": (lambda i: F.nll_loss(x, i([0, 1, 4])), IndexError, "Target 4 is out of bounds."),
    "probability": (lambda i: F.binary_cross_entropy(i([0.5, 1.5]), torch.ones(2)), RuntimeError, "all elements of input should be between 0 and 1"),
    "divisor": (lambda i: torch.tensor([4, 2]) // i([2, 0]), RuntimeError, "ZeroDivisionError"),
    "matrix": (lambda i: torch.linalg.svdvals(i([[[1.0]], [[float("nan")]]])), RuntimeError, "linalg.svd: (Batch element 1): The algorithm failed"),
    "one_hot": (lambda i: F.one_hot(i([3]), 3), RuntimeError, "Class values must be smaller than num_classes."),
}


@pytest.mark.parametrize("name", CASES)
def test_on_the_host_at_the_line(name):
    call, kind, text = CASES[name]
    with pytest.raises(kind) as error:
        call(torch.tensor)
    assert text in str(error.value)


@pytest.mark.parametrize("name", CASES)
def test_computed_at_the_look(name):
    call, kind, text = CASES[name]
    y = call(computed)
    with pytest.raises(kind) as error:
        y.sum().item()
    assert text in str(error.value)
    assert not guards.pending
    assert x.sum().item() == 66  # what was right stays


def test_a_number_is_looked_at_each_time():
    for i in (torch.tensor([7]), computed([7])):
        assert (i % 4).item() == 3
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            i % 0
        assert (i // 2).item() == 3
        assert (i % 0.0).isnan().item()


def test_types_without_a_guard_take_the_short_way():
    a, b = torch.tensor([7.0]), torch.tensor([0.0])
    assert (a % b).isnan().item() and (a % b).isnan().item() and (a // 0).isinf().item()
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        torch.tensor([7]) % torch.tensor([0])


def test_what_wraps_and_what_is_ignored():
    for i in (torch.tensor, computed):
        assert x[i([-3, 2])].sum().item() == x[0].sum().item() + x[2].sum().item()
        assert F.nll_loss(x, i([0, -100, 1])).item() == -(0 + 9) / 2
        assert x.gather(1, i([[3]]).int()).item() == 3


def test_columns_of_a_batch():
    batch = torch.tensor([[0, 2, 7], [1, 0, 3]])
    assert F.embedding(batch[:, 0], x).sum().item() == x[:2].sum().item()
    with pytest.raises(IndexError):
        F.embedding(batch[:, 2], x)
    assert F.embedding(batch[:, 1], x).shape == (2, 4)  # 7 stands in another column


def test_discarded_results_are_checked_too():
    y = x + 1
    x[computed([5])]
    with pytest.raises(IndexError):
        y.sum().item()


def test_after_a_step():
    table = torch.nn.Embedding(3, 4)
    opt = torch.optim.SGD(table.parameters(), 0.1)

    def step(index):
        opt.zero_grad()
        table(computed(index)).sum().backward()
        opt.step()

    step([0, 1])
    step([1, 2])
    before = table.weight.tolist()
    with pytest.raises(IndexError) as error:
        step([0, 9])
    assert "table(computed(index))" in "".join(error.value.__notes__)  # the line that used it
    assert table.weight.tolist() == before


def test_no_program_more_in_each_step():
    table = torch.nn.Embedding(3, 4)
    opt = torch.optim.SGD(table.parameters(), 0.1)
    count = []
    for k in range(5):
        opt.zero_grad()
        (table(computed([k % 3, 0])) * table(torch.tensor([k % 2]))).sum().backward()
        opt.step()
        count.append(stats.compilations)
    assert count[-1] == count[2]


def test_many_unlooked_at():
    for _ in range(guards.MOST + 5):
        (x[computed([0])] + 1).sum().item()
    assert len(guards.pending) <= guards.MOST


def test_small_integers():
    assert torch.zeros(200, 1)[torch.tensor([-128, 3], dtype=torch.int32) + 0].shape == (2, 1)
    with pytest.raises(IndexError):
        x[computed([-4]).to(torch.int32)].sum().item()
    for kind in (torch.int8, torch.int16):  # refused, as torch does
        with pytest.raises(IndexError, match="long, int, byte or bool"):
            x[torch.tensor([0]).to(kind)]


def test_synchronize_looks():
    x[computed([5])]
    with pytest.raises(IndexError):
        torch.cpu.synchronize()


def test_at_the_line_when_eager():
    code = "import jtorch as torch\ntry: torch.ones(3)[torch.tensor([3]) + 0]\nexcept IndexError: print('here')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "JTORCH_EAGER": "1"}, check=True)
    assert run.stdout == "here\n"


def test_inside_jax():
    import jax

    f = jax.jit(lambda i: torch.as_tensor(x)[torch.as_tensor(i)].__jax_array__())
    assert f(jax.numpy.array([1])).shape == (1, 4)
