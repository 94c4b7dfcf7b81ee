"""Corners that op_db's samples found: empty batches, memory that is not contiguous, arguments of the wrong kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import jtorch as torch
import jtorch.nn.functional as F


def test_an_empty_batch_passes_through_batch_norm_and_leaves_the_statistics():
    mean = torch.ones(3)
    assert F.batch_norm(torch.zeros(0, 3), mean, torch.ones(3), training=True).shape == (0, 3) and mean.tolist() == [1, 1, 1]
    assert F.batch_norm(torch.zeros(0), torch.zeros(0), torch.zeros(0), training=True).shape == (0,)


def test_fractional_pooling_of_no_samples():
    assert F.fractional_max_pool3d(torch.zeros(0, 1, 4, 5, 4), (2, 2, 1), output_size=2).shape == (0, 1, 2, 2, 2)


def test_statistics_have_no_gradient():
    x = torch.ones(3, 2, requires_grad=True)
    for found in (torch.native_layer_norm(x, (2,), None, None, 1e-5), torch.native_batch_norm(x, None, None, None, None, True, 0.1, 1e-5)):
        assert [t.requires_grad for t in found] == [True, False, False]


def test_as_strided_scatter_writes_memory_as_it_lies():
    x = torch.arange(6.0).reshape(2, 3).t()
    y = torch.as_strided_scatter(x, torch.tensor([-1.0, -2.0]), (2,), (1,), 1)
    assert y.tolist() == [[0, 3], [-1, 4], [-2, 5]] and y.stride() == (1, 3)


def test_lu_s_permutation_has_no_gradient():
    p, lower, upper = torch.linalg.lu(torch.eye(3, requires_grad=True))
    assert [t.requires_grad for t in (p, lower, upper)] == [False, True, True]


def test_bool_reduces_as_logic_and_sums_as_numbers():
    x, i, src = torch.tensor([True, True, True]), torch.tensor([0, 0, 2]), torch.tensor([True, False, True])
    assert torch.scatter_reduce(x, 0, i, src, "prod").tolist() == [False, True, True]
    assert (
        x.sum_to_size(1).tolist() == [3]
        and x.sum_to_size(3).dtype is torch.bool
        and torch.tensor(True).sum_to_size(()).dtype is torch.int64
    )


CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: torch.arange(0, 64, 0.5, dtype=torch.int64), ValueError, "step must be nonzero"),
    (lambda: torch.arange(0, 64, 0), RuntimeError, "step must be nonzero"),
    (lambda: torch.logspace(0, 3, 1.0), TypeError, "invalid combination of arguments"),
    (lambda: torch.narrow(torch.zeros(5), 0, torch.tensor([1]), 2), RuntimeError, "0-dim integral Tensor"),
    (lambda: torch.narrow_copy(torch.zeros(5), 0, 0, -1), RuntimeError, r"start \(0\) \+ length \(-1\)"),
    (lambda: torch.empty_permuted((2,), (3,)), RuntimeError, "expected to be between 0 and 0"),
    (lambda: torch.cat(torch.zeros(2, 3)), TypeError, "must be tuple of Tensors, not Tensor"),
    (lambda: torch.isin(torch.zeros(3), torch.zeros(2), out=torch.zeros(3)), RuntimeError, "to have dtype bool, but got float"),
    (lambda: torch.normal(torch.zeros(3), 1.0, out=torch.zeros(3, dtype=torch.int64)), NotImplementedError, "normal_kernel_cpu"),
    (lambda: torch.multinomial(torch.ones(3), 2, out=torch.zeros(2)), RuntimeError, "expects Long tensor out"),
    (lambda: F.gaussian_nll_loss(torch.zeros(4, 3), torch.zeros(4, 3), torch.ones(4, 2)), ValueError, "var is of incorrect size"),
    (lambda: torch.native_group_norm(torch.ones(3, 2).T, None, None, 2, 3, 1, 3, 1e-5), RuntimeError, "is_contiguous"),
    (lambda: F.batch_norm(torch.ones(2, 3), None, None, torch.ones(3).bfloat16(), training=True), RuntimeError, "scalar type of Float"),
    (lambda: torch.zeros(3).bool().index_reduce(0, torch.tensor([0]), torch.ones(1).bool(), "prod"), NotImplementedError, "for 'Bool'"),
    (lambda: torch.Tensor.__rand__(2, torch.tensor([1])), TypeError, "doesn't apply to a 'int' object"),
    (lambda: torch.Tensor.__rdiv__(2, torch.tensor([1])), AttributeError, "'int' object has no attribute 'reciprocal'"),
    (lambda: torch.tensor_split(torch.zeros(3), "abc"), TypeError, "invalid combination of arguments"),
    (lambda: torch.movedim(torch.zeros(2, 3, 4), (0, -3), (1, 0)), RuntimeError, r"repeated dim in `source` \(\[0, -3\]\)"),
]


@pytest.mark.parametrize("call, kind, text", CASES)
def test_errors(call: Callable[[], Any], kind: type[Exception], text: str):
    with pytest.raises(kind, match=text):
        call()
