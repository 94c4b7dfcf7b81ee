"""Calls that nobody writes on purpose: numbers where tensors are usual, types that a kernel lacks, nothing to do, bounds gone past. Found by drawing arguments from torch's schemas; each
expression gives the same, or the same exception, under both libraries."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

EXPRESSIONS = """
torch.triplet_margin_loss(x, x, x, reduction=1)
torch.binary_cross_entropy_with_logits(x, torch.ones(1, 3))
torch.add(x, 1, 2)
x.sub(1, 2)
x.clone().add_(1, 2)
x.clone().subtract_(1, 2)
torch.subtract(x, 1, 2)
x.clone().add_(True, True)
torch.take_along_dim(i, i.int(), None)
torch.take_along_dim(x, (i % 2).int(), 1)
torch.take_along_dim(x, (i % 2).to(torch.uint8))
torch.fft.fftfreq(0)
torch.fft.fftfreq(0, -1.0)
torch.fft.fftfreq(3, 0.0)
torch.fft.fftfreq(-1)
torch.fft.fftfreq(1, dtype=torch.int64)
torch.fft.rfftfreq(3, dtype=torch.bool)
torch.fft.rfftfreq(3, 2.0, dtype=torch.complex64)
torch.fft.rfftfreq(-1, 0.5)
torch.fft.rfftfreq(0)
torch.fft.fftshift(torch.tensor(1.0))
torch.embedding_bag(torch.ones(3), torch.tensor([0, 1]), torch.tensor([0]))
torch.embedding_bag(torch.ones(3, 2, 2), torch.tensor([0, 1]), torch.tensor([0]))
torch.nn.functional.max_unpool2d(x, i, 2)
torch.affine_grid_generator(x, [1, 1, 2, 2], False)
torch.affine_grid_generator(x[None], [1, 1], False)
torch.nn.functional.affine_grid(x, [1, 1, 2, 2], False)
torch.nn.functional.affine_grid(x[None], (1, 1, 2), False)
torch.bilinear(x, x, torch.ones(4, 3), None)
torch.rnn_tanh_cell(x, x, torch.ones(4, 3), torch.ones(4, 3))
torch.rnn_relu_cell(torch.ones(2, 5), x, torch.ones(3, 3), torch.ones(4, 3))
torch.gru_cell(x, x, torch.ones(4, 3), torch.ones(4, 3))
torch.lstm_cell(x, (x, x), torch.ones(12, 3), torch.ones(4, 3))
torch.lstm_cell(x, (x, torch.ones(2, 4)), torch.ones(12, 3), torch.ones(12, 3))
torch.tensordot(x, x, ([0, 0], [0, 0]))
torch.dist(i, i)
torch.dist(i, x)
torch.renorm(i, 0.5, 1, 2.0)
torch.norm_except_dim(torch.arange(3))
torch.geqrf(i)
torch.linalg.ldl_factor(i[:, :2])
torch.linalg.ldl_factor_ex(torch.ones(2, 2, dtype=torch.bool))
torch.cholesky_inverse(torch.eye(2).bfloat16())
torch.nn.functional.soft_margin_loss(i, i)
torch.flip(torch.tensor(1.0), [1])
torch.flip(torch.tensor(1.0), [-1])
x.clone().t().detach_()
x.view(-1).detach_()
x.clone().cumprod_(1, dtype=torch.int64)
i.clone().cumsum_(1, dtype=torch.float32)
torch.ones(2, dtype=torch.bool).cumsum_(0)
i.int().cumsum_(1)
torch.can_cast(1, 1)
torch.promote_types(torch.int8, 2)
torch.linalg.vander(torch.zeros(0))
torch.linalg.vander(torch.zeros(1))
torch.linalg.vander(torch.zeros(2), N=1)
torch.cumulative_trapezoid(torch.ones(2, 1), torch.tensor(1.0))
torch.trapezoid(torch.ones(2, 1), torch.tensor(1.0))
torch.trapezoid(torch.ones(2, 2), torch.tensor(1.0))
torch.trapezoid(torch.zeros(0))
torch.trapezoid(torch.zeros(2, 0), torch.zeros(0))
torch.cumulative_trapezoid(torch.zeros(2, 0), torch.zeros(0))
torch.broadcast_tensors([x])
torch.cartesian_prod([x[0]])
torch.block_diag([x])
torch.chain_matmul([x])
torch.broadcast_shapes((2, -1), (3,))
torch.broadcast_shapes((2, 3), (3,), (4,))
torch.view_as_real(x)
torch.view_as_complex(i[:, :2])
torch.special.multigammaln(torch.ones(2, dtype=torch.bool), 1)
torch.constant_pad_nd(torch.zeros(0), [1, -1])
torch.constant_pad_nd(torch.zeros(2), [3, -2])
torch.constant_pad_nd(torch.zeros(2), [3, -3])
torch.constant_pad_nd(torch.zeros(2), [3, -9])
torch.threshold(torch.ones(2, dtype=torch.uint8), -1.5, 0)
torch.threshold(torch.ones(2, dtype=torch.int8), 300, 0)
torch.threshold(torch.ones(2, dtype=torch.uint8), 1.5, 0)
torch.unflatten(torch.tensor(3), -1, [1, 0])
torch.unflatten(torch.tensor(3), 1, [1])
torch.as_strided_scatter(x, x, [], [0])
torch.ctc_loss(torch.ones(3), torch.ones(3), torch.ones(3).long(), torch.ones(3).long())
torch.bincount(torch.ones(2, 3))
torch.slice_scatter(u, f, 0, -2, 1)
torch.select_scatter(u, f[0], 0, 0)
torch.diagonal_scatter(u, f[0, 2:])
torch.as_strided_scatter(u, f, (1, 3), (3, 1))
u.masked_fill(u > 2, torch.tensor(-1.5))
u.clone().copy_(f)
hasattr(torch.Tensor, "view_as_real")
"""


def outcome(lib: Any, expression: str) -> Any:
    given = {
        "torch": lib, "x": lib.arange(6.0).view(2, 3), "i": lib.arange(6).view(2, 3), "u": lib.tensor([[3, 2, 2]], dtype=lib.uint8), "f": lib.tensor([[1.56, 1.71, -1.8]]),
    }  # fmt: skip
    try:
        return repr(eval(expression, given))
    except Exception as error:
        return type(error), str(error)[:50]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("expression", EXPRESSIONS.strip().splitlines())
def test_odd_calls(expression: str) -> None:
    assert outcome(jtorch, expression) == outcome(torch, expression)
