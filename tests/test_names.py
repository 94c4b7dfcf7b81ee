"""Names that torch has for its own sake: declined ones say what to use, batch normalisation in parts is the whole."""

from __future__ import annotations

from typing import Any

import pytest

import jtorch as torch
from jtorch._api.declined import DECLINED


@pytest.mark.parametrize("name", ["cudnn_convolution", "fbgemm_linear_quantize_weight", "miopen_rnn", "fbgemm_pack_gemm_matrix_fp16"])
def test_declined_names_say_what_to_use(name: str) -> None:
    with pytest.raises(NotImplementedError, match=rf"jtorch does not implement torch\.{name}: .*(use|jax)"):
        getattr(torch, name)(1)


def test_every_declined_name_has_advice() -> None:
    assert all(len(advice) > 20 and signatures for advice, signatures in DECLINED.items())


def test_batch_norm_in_parts_is_batch_norm() -> None:
    torch.manual_seed(0)
    x, g = torch.randn(4, 3, 5).requires_grad_(), torch.randn(4, 3, 5)
    w, b = torch.randn(3).requires_grad_(), torch.randn(3).requires_grad_()
    run_mean, run_var = torch.zeros(3), torch.ones(3)
    y = torch.nn.functional.batch_norm(x, run_mean, run_var, w, b, training=True, momentum=0.3)
    y.backward(g)
    with torch.no_grad():
        # two processes, half of the batch each
        halves = [torch.batch_norm_stats(h, 1e-5) for h in x.split(2)]
        means, invs = (torch.stack(s) for s in zip(*halves, strict=True))
        own_mean, own_var, counts = torch.zeros(3), torch.ones(3), torch.tensor([10.0, 10.0])
        mean, inv = torch.batch_norm_gather_stats_with_counts(x, means, invs, own_mean, own_var, 0.3, 1e-5, counts)
        again = torch.batch_norm_gather_stats(x, means, invs, None, None, 0.3, 1e-5, 10)
        out = torch.batch_norm_elemt(x, w, b, mean, inv, 1e-5)
        sum_dy, sum_dy_xmu, gw, gb = torch.batch_norm_backward_reduce(g, x, mean, inv, w, True, True, True)
        gx = torch.batch_norm_backward_elemt(g, x, mean, inv, w, sum_dy, sum_dy_xmu, counts)
    pairs: list[tuple[Any, Any]] = [(out, y), (own_mean, run_mean), (own_var, run_var), (gx, x.grad), (gw, w.grad), (gb, b.grad), (again[0], mean), (again[1], inv)]
    for got, wanted in pairs:
        torch.testing.assert_close(got, wanted.detach(), rtol=1e-5, atol=1e-5)


def test_cond_takes_one_branch() -> None:
    x = torch.ones(2)
    assert torch.cond(x.sum() > 1, lambda v: v + 1, lambda v: v - 1, (x,)).tolist() == [2.0, 2.0]
    assert torch.cond(False, lambda v: v + 1, lambda v: v, (x,)).tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="single-element"):
        torch.cond(x, lambda v: v, lambda v: v, (x,))


def test_handlers_are_given_the_public_function() -> None:
    class Like:
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func

    functional = torch.nn.functional
    for fn in (functional.cross_entropy, functional.softmax, torch.linalg.norm, torch.norm, functional.max_pool2d, functional.mse_loss):
        assert fn(Like(), 1) is fn
