"""Element types that torch's kernels leave out or that may not be mixed: its exceptions, and its words where they name the types."""

from __future__ import annotations

import gc
import operator
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from compat import bridge

FLOAT8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
OF_FLOAT8: dict[str, Callable[[Any, Any], Any]] = {
    "arange": lambda t, k: t.arange(3, dtype=k), "linspace": lambda t, k: t.linspace(0, 1, 3, dtype=k), "logspace": lambda t, k: t.logspace(0, 1, 3, dtype=k),
    "range": lambda t, k: t.range(0, 2, dtype=k), "nonzero": lambda t, k: t.ones(2).to(k).nonzero(), "argwhere": lambda t, k: t.argwhere(t.ones(2).to(k)),
    "unique": lambda t, k: t.ones(2).to(k).unique(), "unique, dim": lambda t, k: t.unique(t.ones(2).to(k), dim=0), "shift": lambda t, k: t.ones(2).to(k) << 1,
    "count_nonzero": lambda t, k: t.ones(2).to(k).count_nonzero(), "sort": lambda t, k: t.ones(2).to(k).sort()[0], "max": lambda t, k: t.ones(2).to(k).max(),
    "masked_fill": lambda t, k: t.ones(2).to(k).masked_fill(t.tensor([True, False]), 0), "clamp": lambda t, k: t.ones(2).to(k).clamp(0, 1),
    "tril": lambda t, k: t.ones(2, 2).to(k).tril(), "gather": lambda t, k: t.ones(2).to(k).gather(0, t.tensor([0])), "full": lambda t, k: t.full((2,), 2.0, dtype=k).float(),
}  # fmt: skip
MIXED = [
    ("float32", "float32", "float32"), ("float32", "float64", "float32"), ("float64", "float32", "float32"), ("float32", "float32", "float64"),
    ("int64", "float32", "float32"), ("float16", "float32", "float32"), ("float32", "int64", "float32"), ("int32", "int64", "int64"), ("complex64", "float32", "float32"),
]  # fmt: skip
# (library, a maker of ones of the first type, of the second, of the third)
PRODUCTS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "baddbmm": lambda t, a, b, c: t.baddbmm(a(1, 2, 2), b(1, 2, 2), c(1, 2, 2)),
    "addbmm": lambda t, a, b, c: t.addbmm(a(2, 2), b(1, 2, 2), c(1, 2, 2)),
    "addmm": lambda t, a, b, c: t.addmm(a(2, 2), b(2, 2), c(2, 2)),
    "bmm": lambda t, a, b, c: t.bmm(b(1, 2, 2), c(1, 2, 2)),
    "chain_matmul": lambda t, a, b, c: t.chain_matmul(b(2, 2), c(2, 2)),
    "multi_dot": lambda t, a, b, c: t.linalg.multi_dot([b(2, 2), c(2, 2)]),
    "bilinear": lambda t, a, b, c: t.nn.functional.bilinear(b(1, 2), c(1, 2), a(1, 2, 2)),
}


def _outcome(make: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            r = make()
            return str(r.dtype).rpartition(".")[2], r.tolist()
        except (NotImplementedError, RuntimeError, TypeError) as e:
            return type(e).__name__, str(e).partition("\n")[0]


@pytest.mark.parametrize("kind", FLOAT8)
@pytest.mark.parametrize("name", OF_FLOAT8)
def test_float8(name: str, kind: str) -> None:
    theirs, ours = (_outcome(lambda: OF_FLOAT8[name](t, getattr(t, kind))) for t in (torch, bridge.jtorch()))  # noqa: B023
    assert ours == theirs


@pytest.mark.parametrize("kinds", MIXED, ids=" ".join)
@pytest.mark.parametrize("name", PRODUCTS)
def test_mixed_products(name: str, kinds: tuple[str, ...]) -> None:
    found = []
    for t in (torch, bridge.jtorch()):
        makers = [lambda *shape, k=k, t=t: t.ones(*shape, dtype=getattr(t, k)) for k in kinds]
        found.append(_outcome(lambda: PRODUCTS[name](t, *makers)))  # noqa: B023
    assert found[1] == found[0]


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_running_sums_of_bools(name: str) -> None:
    for masked in (False, True):
        def run(t: Any) -> Any:
            return getattr(t.masked, name)(t.tensor([True, False]), 0, mask=t.tensor([True, False]) if masked else None)  # noqa: B023

        theirs, ours = (_outcome(lambda: run(t)) for t in (torch, bridge.jtorch()))  # noqa: B023
        assert ours == theirs
    theirs, ours = (_outcome(lambda: getattr(t, name)(t.ones(2), 0, dtype=t.bool)) for t in (torch, bridge.jtorch()))  # noqa: B023
    assert ours == theirs


@pytest.mark.parametrize("name", ["imod", "ifloordiv", "iand", "ior", "ixor", "ilshift", "irshift", "iadd", "ipow"])
def test_in_place_types(name: str) -> None:
    for kind in ("bool", "int64", "complex64"):
        for number in (2.5, 1j):
            theirs, ours = (_outcome(lambda: getattr(operator, name)(t.ones(2, dtype=getattr(t, kind)), number)) for t in (torch, bridge.jtorch()))  # noqa: B023
            assert ours == theirs


def test_swap_tensors_refuses_what_is_weakly_referred_to() -> None:
    for t in (torch, bridge.jtorch()):
        for first in (True, False):
            a, b = t.ones(2), t.zeros(3)
            seen = weakref.ref(a if first else b)
            with pytest.raises(RuntimeError, match=f"Cannot swap t{1 if first else 2} because it has weakref"):
                t.utils.swap_tensors(a, b)
            assert seen() is not None
            del seen
            gc.collect()
            t.utils.swap_tensors(a, b)
            assert a.shape == (3,)
        p = t.nn.Parameter(t.ones(2))
        p.sum().backward()
        t.utils.swap_tensors(p, t.nn.Parameter(t.zeros(3)))
        assert p.shape == (3,) and p.grad is None
