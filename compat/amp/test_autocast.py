"""Autocast on cpu: the same result types as torch's for what its lists name and for what they do not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from compat import bridge

Call = Callable[[Any, Any, Any], Any]  # (library, x, y) with x and y 4 x 4


def _image(x: Any) -> Any:
    return x.reshape(1, 1, 4, 4)


def _recurrent(t: Any, kind: str, x: Any, packed: bool = False, **options: Any) -> Any:
    t.manual_seed(0)
    net = getattr(t.nn, kind)(4, 3, **options)
    if kind.endswith("Cell"):
        out = net(x)
    else:
        out = net(t.nn.utils.rnn.pack_padded_sequence(x.view(2, 2, 4), [2, 1])) if packed else net(x[None])
        out = out[0].data if packed else out[0]
    return out[0] if isinstance(out, tuple) else out


CALLS: dict[str, Call] = {
    "mm": lambda t, x, y: t.mm(x, y),
    "matmul": lambda t, x, y: x @ y,
    "bmm": lambda t, x, y: t.bmm(x[None], y[None]),
    "addmm": lambda t, x, y: t.addmm(x, y, x),
    "baddbmm": lambda t, x, y: t.baddbmm(x[None], y[None], x[None]),
    "mv": lambda t, x, y: t.mv(x, y[0]),
    "dot": lambda t, x, y: t.dot(x[0], y[0]),
    "einsum": lambda t, x, y: t.einsum("ij,jk->ik", x, y),
    "einsum without a sum": lambda t, x, y: t.einsum("ij,ij->ij", x, y),
    "tensordot": lambda t, x, y: t.tensordot(x, y, 1),
    "vecdot": lambda t, x, y: t.linalg.vecdot(x, y),
    "multi_dot": lambda t, x, y: t.linalg.multi_dot([x, y, x]),
    "multi_dot of two": lambda t, x, y: t.linalg.multi_dot([x[0], y]),
    "chain_matmul": lambda t, x, y: t.chain_matmul(x, y, x),
    "inner": lambda t, x, y: t.inner(x, y),
    "inner of vectors": lambda t, x, y: t.inner(x[0], y[0]),
    "matrix_power": lambda t, x, y: t.linalg.matrix_power(x, 3),
    "matrix_power, 1": lambda t, x, y: t.matrix_power(x, 1),
    "linear": lambda t, x, y: t.nn.functional.linear(x, y),
    "conv1d": lambda t, x, y: t.nn.functional.conv1d(x[None], y[:, :, None]),
    "conv2d": lambda t, x, y: t.nn.functional.conv2d(_image(x), _image(y)[..., :2, :2]),
    "conv_transpose2d": lambda t, x, y: t.nn.functional.conv_transpose2d(_image(x), _image(y)[..., :2, :2]),
    "prelu": lambda t, x, y: t.nn.functional.prelu(x, y[0]),
    "attention": lambda t, x, y: t.nn.functional.scaled_dot_product_attention(x[None], y[None], x[None]),
    "add": lambda t, x, y: x + y,
    "mul": lambda t, x, y: x * y,
    "exp": lambda t, x, y: x.exp(),
    "sum": lambda t, x, y: x.sum(),
    "mean": lambda t, x, y: x.mean(),
    "prod": lambda t, x, y: x.prod(),
    "softmax": lambda t, x, y: t.softmax(x, 1),
    "log_softmax": lambda t, x, y: t.nn.functional.log_softmax(x, 1),
    "layer_norm": lambda t, x, y: t.nn.functional.layer_norm(x, (4,)),
    "gelu": lambda t, x, y: t.nn.functional.gelu(x),
    "cat": lambda t, x, y: t.cat([x, y]),
    "stack": lambda t, x, y: t.stack([x, y]),
    "where": lambda t, x, y: t.where(x > 0, x, y),
    "cross_entropy": lambda t, x, y: t.nn.functional.cross_entropy(x, t.tensor([0, 1, 2, 3])),
    "cross_entropy of probabilities": lambda t, x, y: t.nn.functional.cross_entropy(x, t.softmax(y, 1)),
    "nll_loss": lambda t, x, y: t.nn.functional.nll_loss(x, t.tensor([0, 1, 2, 3])),
    "mse_loss": lambda t, x, y: t.nn.functional.mse_loss(x, y),
    "l1_loss": lambda t, x, y: t.nn.functional.l1_loss(x, y),
    "smooth_l1_loss": lambda t, x, y: t.nn.functional.smooth_l1_loss(x, y),
    "huber_loss": lambda t, x, y: t.nn.functional.huber_loss(x, y),
    "kl_div": lambda t, x, y: t.nn.functional.kl_div(x, t.softmax(y, 1), reduction="sum"),
    "bce": lambda t, x, y: t.nn.functional.binary_cross_entropy(x.sigmoid(), y.sigmoid()),
    "bce_with_logits": lambda t, x, y: t.nn.functional.binary_cross_entropy_with_logits(x, y.sigmoid()),
    "cosine_embedding_loss": lambda t, x, y: t.nn.functional.cosine_embedding_loss(x, y, t.ones(4)),
    "margin_ranking_loss": lambda t, x, y: t.nn.functional.margin_ranking_loss(x[0], y[0], t.ones(4)),
    "triplet_margin_loss": lambda t, x, y: t.nn.functional.triplet_margin_loss(x, y, x + 1),
    "hinge_embedding_loss": lambda t, x, y: t.nn.functional.hinge_embedding_loss(x, t.ones(4, 4)),
    "poisson_nll_loss": lambda t, x, y: t.nn.functional.poisson_nll_loss(x, y.exp()),
    "cdist": lambda t, x, y: t.cdist(x, y),
    "reflect": lambda t, x, y: t.nn.functional.pad(x[None], (1, 1), mode="reflect"),
    "max_pool2d": lambda t, x, y: t.nn.functional.max_pool2d(_image(x), 2),
    "avg_pool3d": lambda t, x, y: t.nn.functional.avg_pool3d(_image(x)[None], 2, stride=1, padding=1),
    "grid_sample": lambda t, x, y: t.nn.functional.grid_sample(_image(x), t.zeros(1, 2, 2, 2), align_corners=False),
    "inverse": lambda t, x, y: t.linalg.inv(x + 4 * t.eye(4)),
    "svd": lambda t, x, y: t.linalg.svdvals(x),
    "fft": lambda t, x, y: t.fft.rfft(x).real,
    "trace": lambda t, x, y: t.trace(x),
    **{k: lambda t, x, y, k=k: _recurrent(t, k, x) for k in ("LSTM", "GRU", "RNN", "RNNCell")},
    "RNN of relu": lambda t, x, y: _recurrent(t, "RNN", x, nonlinearity="relu"),
    "two GRUs both ways": lambda t, x, y: _recurrent(t, "GRU", x, num_layers=2, bidirectional=True),
    "packed LSTM": lambda t, x, y: _recurrent(t, "LSTM", x, packed=True),
    "packed RNN": lambda t, x, y: _recurrent(t, "RNN", x, packed=True),
    "quantile": lambda t, x, y: t.quantile(x.float(), 0.5),
}


def _outcome(library: Any, name: str, arrays: list[np.ndarray], mixed: str) -> Any:
    """The result, or torch's error."""
    x, y = (library.tensor(a) for a in arrays)
    if mixed != "float32":
        x = x.to(library.bfloat16)
    if mixed == "bfloat16":
        y = y.to(library.bfloat16)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with library.autocast("cpu", dtype=library.bfloat16):
                return CALLS[name](library, x, y)
    except (RuntimeError, ValueError, TypeError) as error:
        return error


@pytest.mark.parametrize("name", CALLS)
def test_result_types(name: str) -> None:
    """Of two float32 tensors, of two halves, and of one of each: looked at when all are there, so that they are one program."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(4, 4)).astype(np.float32) for _ in range(2)]
    theirs, ours = ({mixed: _outcome(library, name, arrays, mixed) for mixed in ("float32", "bfloat16", "both")} for library in (torch, bridge.jtorch()))
    compared = {mixed: (want, ours[mixed]) for mixed, want in theirs.items() if not isinstance(want, Exception)}
    if not compared:
        pytest.skip(f"torch raises {theirs['float32']!r}")
    for mixed, (want, got) in compared.items():
        assert not isinstance(got, Exception), (mixed, got)
        assert str(got.dtype) == str(want.dtype), mixed
        np.testing.assert_allclose(got.float().reshape(-1).tolist(), want.float().reshape(-1).tolist(), rtol=5e-2, atol=5e-2, err_msg=mixed)
