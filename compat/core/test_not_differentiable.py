"""Arguments that torch differentiates nowhere: a tensor there that requires grad is refused by the call, whether or not something else has a gradient; without grad mode it is taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

CALLS = {
    "nll_loss": lambda t, x, w: t.nn.functional.nll_loss(x, t.tensor([0, 1]), weight=w),
    "nll_loss of images": lambda t, x, w: t.nn.functional.nll_loss(x[..., None, None], t.zeros(2, 1, 1, dtype=t.int64), weight=w),
    "cross_entropy": lambda t, x, w: t.nn.functional.cross_entropy(x, t.tensor([0, 1]), weight=w),
    "cross_entropy, smoothed": lambda t, x, w: t.nn.functional.cross_entropy(x, t.tensor([0, 1]), weight=w, label_smoothing=0.1),
    "cross_entropy of probabilities": lambda t, x, w: t.nn.functional.cross_entropy(x, t.ones(2, 3) / 3, weight=w),
    "binary_cross_entropy": lambda t, x, w: t.nn.functional.binary_cross_entropy(x.sigmoid(), t.ones(2, 3), weight=w),
    "binary_cross_entropy, target": lambda t, x, w: t.nn.functional.binary_cross_entropy(x.sigmoid(), w.expand(2, 3)),
    "with logits": lambda t, x, w: t.nn.functional.binary_cross_entropy_with_logits(x, t.ones(2, 3), weight=w),
    "with logits, pos_weight": lambda t, x, w: t.nn.functional.binary_cross_entropy_with_logits(x, t.ones(2, 3), pos_weight=w),
    "multi_margin_loss": lambda t, x, w: t.nn.functional.multi_margin_loss(x, t.tensor([0, 1]), weight=w),
    "soft_margin_loss": lambda t, x, w: t.nn.functional.soft_margin_loss(x, w.expand(2, 3)),
    "multilabel_soft_margin_loss": lambda t, x, w: t.nn.functional.multilabel_soft_margin_loss(x, t.ones(2, 3), weight=w),
    "hinge_embedding_loss": lambda t, x, w: t.nn.functional.hinge_embedding_loss(x, w.expand(2, 3)),
    "batch_norm, mean": lambda t, x, w: t.nn.functional.batch_norm(x, w, t.ones(3)),
    "batch_norm, variance": lambda t, x, w: t.nn.functional.batch_norm(x, t.ones(3), w),
    "instance_norm, mean": lambda t, x, w: t.nn.functional.instance_norm(x[..., None], w, t.ones(3), use_input_stats=False),
    "fake_quantize of channels": lambda t, x, w: t.fake_quantize_per_channel_affine(x, w, t.zeros(3, dtype=t.int32), 1, 0, 255),
    "fake_quantize": lambda t, x, w: t.fake_quantize_per_tensor_affine(x, w[:1], t.zeros(1, dtype=t.int32), 0, 255),
}


def _outcome(t: Any, name: str, x_too: bool, grad: bool) -> Any:
    x = t.tensor([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]).requires_grad_(x_too)
    w = t.ones(3).requires_grad_()
    with t.set_grad_enabled(grad):
        try:
            return CALLS[name](t, x, w).requires_grad
        except RuntimeError as error:
            return str(error)


@pytest.mark.parametrize("name", CALLS)
def test_is_refused_as_in_torch(name: str) -> None:
    for x_too, grad in ((False, True), (True, True), (True, False)):
        assert _outcome(jtorch, name, x_too, grad) == _outcome(torch, name, x_too, grad), (x_too, grad)
