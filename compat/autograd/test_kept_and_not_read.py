"""What torch's formulas keep must not be written before going backward, though a derivative here may not read it: recurrent layers' weights, what a reduction or a decomposition gave, a normalization's
bias. And what they do not keep may be: the same is refused under both libraries, in the same words."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from compat import bridge

# x: (2, 4) with a history, q: (4, 4) with one, i: places. The results are what may be written, and ``x`` and ``q``.
OPERATORS = {
    "max": "x.max(1)", "median": "x.median()", "median of a dim": "x.median(1)", "kthvalue": "x.kthvalue(2)", "mode": "x.mode()", "sort": "x.sort()", "topk": "x.topk(2)", "cummax": "x.cummax(1)",
    "cumprod": "x.cumprod(1)", "cumprod_": "x.mul(1).cumprod_(1)", "logcumsumexp": "x.logcumsumexp(1)", "reciprocal": "x.reciprocal()", "sgn": "x.sgn()", "lgamma": "x.lgamma()", "i1": "torch.special.i1(x)",
    "norm": "x.norm()", "norm of a dim": "x.norm(3, 1)", "dist": "x.dist(q[:2])", "cdist": "torch.cdist(x, q)", "gather": "x.gather(1, i)", "take": "x.take(i)", "scatter_reduce": "x.scatter_reduce(1, i, q[:2], 'mean')",
    "index_add": "x.index_add(1, i[0], q[:2, :2])", "masked_select": "x[x > 0.5], x.masked_select(x > 0.5)", "div": "x.div(q[:2], rounding_mode='floor')", "ldexp": "x.ldexp(q[:2])", "complex": "torch.complex(x, q[:2])",
    "avg_pool": "F.avg_pool2d(x[None, None], 2)", "adaptive": "F.adaptive_avg_pool2d(x[None, None], 2)", "max_pool": "F.max_pool2d(x[None, None], 2, return_indices=True)", "pad": "F.pad(x[None], (1, 1), 'reflect')", "nll_loss": "F.nll_loss(x, i[:, 0])",
    "layer norm's bias": "F.layer_norm(x, (4,), None, q[0])", "qr": "torch.linalg.qr(q)", "eigh": "torch.linalg.eigh(q)", "svd": "torch.linalg.svd(q)", "cholesky": "torch.linalg.cholesky(q + 9 * torch.eye(4))",
    "relu": "x.relu()", "angle": "x.angle()", "aminmax": "x.aminmax(dim=1)", "take_along_dim": "x.take_along_dim(i, 1)", "take_along_dim of all": "x.take_along_dim(i)",
    "rfft": "torch.fft.rfft(x)", "rfft, filled": "torch.fft.rfft(x, n=6)", "rfft2": "torch.fft.rfft2(x)", "fft2": "torch.fft.fft2(x)", "ihfft": "torch.fft.ihfft(x)",
    "kron": "torch.kron(x, q)", "float_power": "torch.float_power(x, q[:2].abs())", "float_power by a number": "torch.float_power(x, 3)", "float_power of doubles": "torch.float_power(x.double(), q[:2].abs())",
    "attention": "F.scaled_dot_product_attention(x[None, None], q[None, None], q[None, None])", "attention of matrices": "F.scaled_dot_product_attention(x, q, q)",
    "ctc": "F.ctc_loss(q[:, None].log_softmax(2), i[:1] + 1, (4,), (2,), reduction='none')",
    "det": "torch.linalg.det(q)", "inv": "torch.linalg.inv(q)", "solve": "torch.linalg.solve(q, x.t())", "lu_factor": "torch.linalg.lu_factor(q)", "vector_norm": "torch.linalg.vector_norm(q, 2, 1)",
}  # fmt: skip


def _said(t: Any, code: str, written: int) -> str:
    """What backward says after a write to x, q or a result; how many of those there are where it is none of them."""
    F = t.nn.functional  # noqa: N806 - as everybody calls it
    x, q = (t.linspace(0.2, 1.9, n).reshape(-1, 4).sin().requires_grad_() for n in (8, 16))
    names = {"torch": t, "F": F, "x": x * 1, "q": q * 1 + t.eye(4), "i": t.tensor([[0, 1], [1, 0]])}
    results = eval(code, names)
    results = results if isinstance(results, tuple) else (results,)
    every = [names["x"], names["q"], *results]
    if written >= len(every):
        return "none"
    loss = sum(r.abs().sum() for r in results if r.requires_grad)
    with t.no_grad():
        every[written].zero_()
    try:
        loss.backward()
    except RuntimeError as error:
        return str(error).partition(" Hint")[0]
    return "taken"


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    said = [[_said(t, OPERATORS[name], k) for k in range(5)] for t in (torch, bridge.jtorch())]
    assert said[0] == said[1]


IN_OTHER_STEPS = {  # torch gets there by other steps, which the error names
    "lu": "torch.linalg.lu(q)", "rfft, cut": "torch.fft.rfft(x, n=3)", "fft": "torch.fft.fft(x)", "stft by a window": "torch.stft(x[0], 4, window=torch.ones(4), center=False, return_complex=True)",
    "stft": "torch.stft(x[0], 4, center=False, return_complex=True)", "ctc, zeros for infinity": "F.ctc_loss(q[:, None].log_softmax(2), i[:1] + 1, (4,), (2,), reduction='none', zero_infinity=True)",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:A window was not provided")
@pytest.mark.parametrize("name", IN_OTHER_STEPS)
def test_operators_of_several_steps(name: str) -> None:
    said = [[_said(t, IN_OTHER_STEPS[name], k).partition(":")[0] for k in range(5)] for t in (torch, bridge.jtorch())]
    assert said[0] == said[1]


LAYERS = {
    "LSTM": "nn.LSTM(3, 4)", "LSTM of doubles": "nn.LSTM(3, 4, dtype=torch.double)", "deep LSTM": "nn.LSTM(3, 4, num_layers=2, proj_size=2, batch_first=True)", "both ways": "nn.LSTM(3, 4, bidirectional=True)",
    "GRU": "nn.GRU(3, 4)", "RNN": "nn.RNN(3, 4, bias=False)", "LSTMCell": "nn.LSTMCell(3, 4)", "GRUCell": "nn.GRUCell(3, 4)", "RNNCell": "nn.RNNCell(3, 4)",
    "conv": "nn.Conv1d(2, 2, 1)", "transposed": "nn.ConvTranspose1d(2, 2, 1)", "group norm": "nn.GroupNorm(1, 2)", "batch norm": "nn.BatchNorm1d(2)", "layer norm": "nn.LayerNorm(3)", "prelu": "nn.PReLU()", "linear": "nn.Linear(3, 2)",
}  # fmt: skip


def _refused(t: Any, code: str, history: bool) -> list[str]:
    """Which parameters, or the input (x), backward refuses the change of. ``history``: whether the input has one."""
    found = []
    layer = eval(code, {"nn": t.nn, "torch": t})
    names = [name for name, _ in layer.named_parameters()]
    for name in [*names, "x"]:
        parameters = dict(layer.named_parameters())
        x = t.ones((2, 3) if "Cell" in code else (5, 2, 3), dtype=parameters[names[0]].dtype)
        if history:
            x = x.requires_grad_() * 1
        y = layer(x)
        y = y[0] if isinstance(y, tuple) else y
        with t.no_grad():
            (x if name == "x" else parameters[name]).mul_(1)
        try:
            y.sum().backward()
        except RuntimeError as error:
            assert "modified by an inplace operation" in str(error)
            found.append(name)
    return found


@pytest.mark.filterwarnings("ignore:LSTM with projections")  # torch's, of its own kernels
@pytest.mark.parametrize("history", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, history: bool) -> None:
    assert _refused(bridge.jtorch(), LAYERS[name], history) == _refused(torch, LAYERS[name], history)


def test_what_nobody_holds_is_not_kept() -> None:
    """A result that only torch's formula would keep is not computed for its sake, and its memory may be used again."""
    for t in (torch, bridge.jtorch()):
        x = t.tensor([[3.0, 1.0], [2.0, 5.0]], requires_grad=True)
        y = (x * 1).max(1).values
        y.sum().backward()
        assert x.grad.tolist() == [[1, 0], [0, 1]]
