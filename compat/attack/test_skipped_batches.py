"""A batch that torch refuses, caught and skipped, has trained nothing: for every operator that requires something of values which are still to be computed (the registry says which)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from compat import bridge
from jtorch._registry import OPS

WARNS = {"copy", "corrcoef", "cov", "cross", "qr", "std", "std_mean", "to_copy", "triangular_solve", "var", "var_mean", "where"}  # refuse nothing
GUARDED = sorted({name.rpartition(".")[2] for name, records in OPS.items() for r in records if r.guard is not None} - WARNS)
REFUSED = (IndexError, RuntimeError, ValueError, ZeroDivisionError)


def at(b: Any) -> Any:
    """A computed index: 0, or far outside."""
    return (b * 99).long().reshape(1)


def zero_if(b: Any) -> Any:
    return (1 - b).long()


def nan_if(t: Any, b: Any) -> Any:
    return t.eye(2) + t.where(b > 0, float("nan"), 0.0)


def _lu(t: Any, b: Any, solve: bool) -> Any:
    lu, pivots = t.linalg.lu_factor(t.eye(2) * 2)
    pivots = pivots + at(b).int()
    return t.linalg.lu_solve(lu, pivots, t.ones(2, 1)) if solve else t.lu_unpack(lu, pivots)[1]


def _ctc(t: Any, b: Any, z: Any) -> Any:
    logits = t.log_softmax(z.reshape(4, 1, 1).expand(4, 1, 3), -1)
    return t.nn.functional.ctc_loss(logits, t.tensor([[1, 2]]), (b * 50).long().reshape(1) + 4, t.tensor([2]))


def _unpool(t: Any, b: Any, dims: int) -> Any:
    return getattr(t.nn.functional, f"max_unpool{dims}d")(t.ones(1, 1, *[1] * dims), at(b).reshape(1, 1, *[1] * dims), 2)


def _small(t: Any, b: Any) -> Any:
    """0, or what int8 cannot hold."""
    return (b * 1000).long()


# torch, a computed flag (0.0 or 1.0: torch refuses), four values that come from the model
USES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "div": lambda t, b, z: t.div(t.ones(2, dtype=t.long), zero_if(b), rounding_mode="floor"),
    "divide": lambda t, b, z: t.divide(t.ones(2, dtype=t.long), zero_if(b), rounding_mode="trunc"),
    "floor_divide": lambda t, b, z: t.ones(2, dtype=t.long) // zero_if(b),
    "remainder": lambda t, b, z: t.ones(2, dtype=t.long) % zero_if(b),
    "fmod": lambda t, b, z: t.fmod(t.ones(2, dtype=t.long), zero_if(b)),
    "index_select": lambda t, b, z: z.index_select(0, at(b)),
    "index_add": lambda t, b, z: z.index_add(0, at(b), t.ones(1)),
    "index_copy": lambda t, b, z: z.index_copy(0, at(b), t.ones(1)),
    "index_fill": lambda t, b, z: z.index_fill(0, at(b), 1.0),
    "index_reduce": lambda t, b, z: z.detach().index_reduce(0, at(b), t.ones(1), "amax"),
    "gather": lambda t, b, z: z.gather(0, at(b)),
    "scatter": lambda t, b, z: z.scatter(0, at(b), 1.0),
    "scatter_add": lambda t, b, z: z.scatter_add(0, at(b), t.ones(1)),
    "scatter_reduce": lambda t, b, z: z.scatter_reduce(0, at(b), t.ones(1), "sum"),
    "take": lambda t, b, z: z.take(at(b)),
    "put": lambda t, b, z: z.put(at(b), t.ones(1)),
    "index": lambda t, b, z: z[at(b)],
    "index_put": lambda t, b, z: z.index_put((at(b),), t.ones(1)),
    "masked_scatter": lambda t, b, z: z.masked_scatter((b > 0).expand(4), t.ones(2)),
    "embedding": lambda t, b, z: t.nn.functional.embedding(at(b), z.reshape(2, 2)),
    "embedding_bag": lambda t, b, z: t.nn.functional.embedding_bag(at(b), z.reshape(2, 2), t.tensor([0])),
    "one_hot": lambda t, b, z: t.nn.functional.one_hot(at(b), 5),
    "masked_fill": lambda t, b, z: t.zeros(2, dtype=t.int8).masked_fill(t.tensor([True, False]), _small(t, b)),
    "histc": lambda t, b, z: t.histc(nan_if(t, b), 3, 0, 0),
    "histogram": lambda t, b, z: t.histogram(nan_if(t, b), 3)[0],
    "_histogramdd_even": lambda t, b, z: t.histogramdd(nan_if(t, b), [2, 2])[0],
    "searchsorted": lambda t, b, z: t.searchsorted(t.arange(2.0), t.ones(1), sorter=t.tensor([1, 0]) + at(b)),
    "cholesky_inverse": lambda t, b, z: t.cholesky_inverse(t.eye(2) * (1 - b)),
    "pinv": lambda t, b, z: t.linalg.pinv(nan_if(t, b)),
    "lstsq": lambda t, b, z: t.linalg.lstsq(nan_if(t, b), t.ones(2, 1)).solution,
    "lu_solve": lambda t, b, z: _lu(t, b, True),
    "lu_unpack": lambda t, b, z: _lu(t, b, False),
    "svd": lambda t, b, z: t.linalg.svd(nan_if(t, b))[1],
    "svdvals": lambda t, b, z: t.linalg.svdvals(nan_if(t, b)),
    "eig": lambda t, b, z: t.linalg.eig(nan_if(t, b))[0].real,
    "eigvals": lambda t, b, z: t.linalg.eigvals(nan_if(t, b)).real,
    "_ctc_loss": _ctc,
    "nll_loss": lambda t, b, z: t.nn.functional.nll_loss(z.reshape(1, 4), at(b)),
    "nll_loss2d": lambda t, b, z: t.nn.functional.nll_loss(z.reshape(1, 4, 1, 1), at(b).reshape(1, 1, 1)),
    "binary_cross_entropy": lambda t, b, z: t.nn.functional.binary_cross_entropy(t.sigmoid(z) + b * 3, t.ones(4)),
    "multilabel_margin_loss": lambda t, b, z: t.nn.functional.multilabel_margin_loss(z.reshape(1, 4), t.tensor([[0, -1, -1, -1]]) + at(b)),
    "multi_margin_loss": lambda t, b, z: t.nn.functional.multi_margin_loss(z.reshape(1, 4), at(b)),
    "max_unpool2d": lambda t, b, z: _unpool(t, b, 2),
    "max_unpool3d": lambda t, b, z: _unpool(t, b, 3),
    "chances": lambda t, b, z: t.bernoulli(t.full((3,), 0.5) + b * 4),
    "deviation": lambda t, b, z: t.normal(t.zeros(3), t.ones(3) - b * 4),
    "assert_async": lambda t, b, z: (t._assert_async(b == 0), z)[1],
    "segment_reduce": lambda t, b, z: t.segment_reduce(z, "sum", lengths=t.tensor([4]) + at(b)),
    "quantile": lambda t, b, z: t.quantile(z, 0.5 + b * 4),
    "nanquantile": lambda t, b, z: t.nanquantile(z, 0.5 + b * 4),
}
# What their guards look at are Python numbers, which are there when the line runs: nothing has been done that would have to be undone.
AT_THE_LINE = {"fill", "threshold", "constant_pad_nd", "clamp", "clamp_min", "clamp_max", "clip"}
NEWER = {"polar"}  # torch.linalg has it since 2.15; its guard is that of the singular values
DIES = {"eigvals"}  # torch's own LAPACK dies of it

QUICK = {"index", "embedding", "masked_fill", "nll_loss", "floor_divide", "chances", "scatter_add", "svd"}


def trained(t: Any, use: Callable[[Any, Any, Any], Any], bad: tuple[int, ...], run_bad: bool) -> tuple[list[Any], int]:
    """The weights after six steps, of which the ``bad`` ones are refused (or left out), and how many were refused."""
    t.manual_seed(0)
    model = t.nn.Sequential(t.nn.Linear(3, 4), t.nn.Dropout(0.2), t.nn.Tanh())
    optimizer = t.optim.Adam(model.parameters(), lr=0.1)
    x, refused = t.arange(6.0).reshape(2, 3) / 6, 0
    flags = [t.tensor(float(i in bad)) for i in range(6)]  # no Python numbers: one that changes is another program, whose last digits may differ
    for i in range(6):
        if i in bad and not run_bad:
            t.rand(2)  # what a loop draws before it meets the bad value stays drawn
            model(x)
            continue
        try:
            t.rand(2)
            optimizer.zero_grad()
            h = model(x)
            flag = x.sum() * 0 + flags[i]
            loss = h.pow(2).mean() + use(t, flag, h.mean(0)).float().sum() * 1e-3
            loss.backward()
            optimizer.step()
            loss.item()
        except REFUSED:
            refused += 1
    whole = [p.detach().tolist() for p in model.parameters()] + [v.tolist() for s in optimizer.state_dict()["state"].values() for _, v in sorted(s.items())]
    return [*whole, t.rand(2).tolist()], refused


def test_every_guarded_operator_is_there() -> None:
    assert sorted({*USES, *AT_THE_LINE, *NEWER}) == GUARDED


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in sorted(USES)])
def test_a_skipped_batch_has_trained_nothing(name: str) -> None:
    use, bad = USES[name], (2, 3)
    ours, refused = trained(bridge.jtorch(), use, bad, True)
    theirs, there = trained(torch, use, bad, True) if name not in DIES else (ours, refused)
    assert refused == there == len(bad)
    without, _ = trained(bridge.jtorch(), use, bad, False)
    assert ours == without
    assert _near(ours, theirs)


def _near(a: Any, b: Any) -> bool:
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_near, a, b))
    return a == pytest.approx(b, rel=1e-4, abs=1e-5)  # type: ignore[no-any-return]
