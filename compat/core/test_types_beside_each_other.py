"""Operands of unlike element types where torch's kernels take one type, or where one operand's type is that of the result: the same types, or the same refusal, as torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from compat import bridge

Case = Callable[..., Any]
THREE: dict[str, Case] = {  # input, weight and bias (None: not given)
    "layer_norm": lambda t, x, w, b: t.nn.functional.layer_norm(x, (4,), w, b), "native_layer_norm": lambda t, x, w, b: t.native_layer_norm(x, (4,), w, b, 1e-5),
    "group_norm": lambda t, x, w, b: t.nn.functional.group_norm(x[:, :, None], 2, w, b), "native_group_norm": lambda t, x, w, b: t.native_group_norm(x[:, :, None], w, b, 2, 4, 1, 2, 1e-5),
    "instance_norm": lambda t, x, w, b: t.nn.functional.instance_norm(x[:, :, None].expand(2, 4, 3), None, None, w, b), "batch_norm": lambda t, x, w, b: t.nn.functional.batch_norm(x, None, None, w, b, True),
}  # fmt: skip
TWO: dict[str, Case] = {
    "huber_loss": lambda t, x, w: t.nn.functional.huber_loss(x[0], w), "bce with logits": lambda t, x, w: t.nn.functional.binary_cross_entropy_with_logits(x[0], w),
    "smooth_l1": lambda t, x, w: t.nn.functional.smooth_l1_loss(x[0], w), "mse": lambda t, x, w: t.nn.functional.mse_loss(x[0], w), "cross": lambda t, x, w: t.linalg.cross(x[0, :3], w[:3]),
    "cholesky_solve": lambda t, x, w: t.cholesky_solve(x[:, :2], w.reshape(2, 2)), "triangular_solve": lambda t, x, w: t.triangular_solve(x[:, :2], w.reshape(2, 2)),
    "ormqr tau": lambda t, x, w: t.ormqr(x[:, :2], w[:2], x[:, :2]), "ormqr other": lambda t, x, w: t.ormqr(x[:, :2], x[0, :2], w.reshape(2, 2)), "trapezoid": lambda t, x, w: t.trapezoid(x[0], w),
    "embedding_bag": lambda t, x, w: t.nn.functional.embedding_bag(t.tensor([0, 1]), x, t.tensor([0]), mode="sum", per_sample_weights=w[:2]), "bilinear": lambda t, x, w: t.nn.functional.bilinear(x, x, x.new_ones(4, 4, 4), w),
}  # fmt: skip


def _outcome(t: Any, case: Case, kinds: tuple[str | None, ...]) -> Any:
    given = [None if k is None else t.ones(*((2, 4) if not i else (4,))).to(getattr(t, k)) for i, k in enumerate(kinds)]
    try:
        found = case(t, *given)
    except Exception as error:
        return type(error).__name__, str(error).splitlines()[0].replace("jtorch", "torch")
    return [str(x.dtype).replace("jtorch", "torch") for x in (found if isinstance(found, tuple) else (found,))]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*THREE, *TWO])
def test_as_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jtorch._config.EAGER", True)  # operators share programs, and say what is wrong at once
    kinds = ("float32", "float64", "float16")
    if name in THREE:
        every = [k for k in itertools.product(kinds, (*kinds, None), (*kinds, None)) if len(set(k) - {None}) > 1]
    else:
        every = [k for k in itertools.product((*kinds, "int64"), (*kinds, "int64", "bool")) if k[0] != k[1]]
    for k in every:
        assert _outcome(bridge.jtorch(), (THREE | TWO)[name], k) == _outcome(torch, (THREE | TWO)[name], k), k
