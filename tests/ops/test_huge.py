"""Beyond 2^31 elements: positions are 64 bits wide. (On machines with the memory for it.)"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest

import jtorch as torch
from jtorch._ops import _reduce, joining, nn_grid, nn_pool_other, reduce_order, view_scatter
from jtorch._ops._lib import place_type
from jtorch._registry import OPS

N = 2_200_000_000


def _free() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0


def test_the_type_of_positions() -> None:
    assert place_type(5, 2**31 - 1) is np.int32
    assert place_type(5, 2**31) is np.int64


def _steps(jaxpr: Any) -> Iterator[Any]:
    for e in jaxpr.eqns:
        yield e
        for v in e.params.values():
            for inner in v if isinstance(v, (tuple, list)) else (v,):
                if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                    yield from _steps(getattr(inner, "jaxpr", inner))


def _narrow(fn: Callable[..., Any], *inputs: Any) -> list[str]:
    """What an operator counts in 32 bits although a dim is larger than that holds. It is traced for these inputs; nothing of their size is made."""
    found = []
    for e in _steps(jax.make_jaxpr(fn)(*inputs).jaxpr):
        out = e.outvars[0].aval
        if e.primitive.name == "iota" and out.dtype.kind in "iu" and out.dtype.itemsize < 8 and out.shape[e.params["dimension"]] >= 2**31:
            found.append(str(e))
        if e.primitive.name in ("reduce_sum", "cumsum", "cummax") and out.dtype in (np.int32, np.uint32) and e.invars[0].aval.dtype.kind in "iu" and max(e.invars[0].aval.shape) >= 2**31:
            found.append(str(e))
        if e.primitive.name == "convert_element_type" and e.invars[0].aval.dtype == np.int64 and out.dtype == np.int32:
            found.append(str(e))
    return found


_x, _f, _at = jax.ShapeDtypeStruct((N,), np.uint8), jax.ShapeDtypeStruct((N,), np.float32), jax.ShapeDtypeStruct((), np.int64)
COUNTING: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "roll": (lambda x, k: joining.roll.fn(x, (k,), (0,)), (_x, _at)),
    "tril": (lambda x: joining.tril.fn(x[None], 0), (_x,)),
    "mode": (lambda x: reduce_order.mode.fn(x, 0, False), (_x,)),
    "median": (lambda x: reduce_order.median_dim.fn(x, 0, False), (_f,)),
    "quantile": (lambda x, q: reduce_order._quantile(x, q, 0, False, "linear", False), (_f, jax.ShapeDtypeStruct((), np.float32))),
    "searchsorted": (lambda x, v: _reduce.insertion_points(x, v, False), (_f, jax.ShapeDtypeStruct((3,), np.float32))),
    "as_strided_scatter": (lambda x, s: view_scatter.as_strided_scatter.fn(x, s, (2,), (N - 2,), 1), (_x, jax.ShapeDtypeStruct((2,), np.uint8))),
    "max_unpool2d": (lambda x, i: nn_pool_other.max_unpool2d.fn(x, i, (N, 1)), (jax.ShapeDtypeStruct((1, 2, 1), np.float32), jax.ShapeDtypeStruct((1, 2, 1), np.int64))),
    "grid": (lambda x, i: nn_grid._read(x, [i, i], (2, N // 2)), (jax.ShapeDtypeStruct((1, 1, N), np.float32), jax.ShapeDtypeStruct((1, 3), np.int64))),
}


@pytest.mark.parametrize("name", COUNTING)
def test_what_counts_positions(name: str) -> None:
    fn, inputs = COUNTING[name]
    assert not _narrow(fn, *inputs)


# Matrices of so many rows and columns; the number of a bin, not of an element.
OTHERWISE = {"diag_embed", "diagflat", "histc", "histogram", "exp2", "ldexp"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_operators_of_one_large_dim(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operator that can be called with tensors of one dim and what its declaration gives for the rest."""
    arange = np.arange

    def small(*args: Any, **rest: Any) -> Any:
        if any(isinstance(a, int) and abs(a) > 1 << 28 for a in args):
            raise NotImplementedError("all positions on the host")
        return arange(*args, **rest)

    monkeypatch.setattr(np, "arange", small)
    large = jax.ShapeDtypeStruct((N,), kind)
    inputs = {"Tensor": large, "Tensor|Scalar": jax.ShapeDtypeStruct((), kind), "index": _at, "index[]": (_at,)}
    wrong, traced = {}, 0
    for name, records in OPS.items():
        for op in records if name != "internal.combinations" else ():  # which lists them all on the host
            given, rest = {}, {}
            for p in op.signatures[0].params:
                if p.name in ("index", "indices") and p.kind == "Tensor":
                    given[p.name] = jax.ShapeDtypeStruct((3,), np.int64)
                elif p.kind in inputs:
                    given[p.name] = inputs[p.kind]
                else:
                    rest[p.name] = (0 if p.kind.startswith("int?") or p.kind == "int" else (0,)) if p.name in ("dim", "dims") else 1 if p.required else p.default

            def call(*arrays: Any, op: Any = op, names: Any = tuple(given), rest: Any = rest) -> Any:
                return op.fn(**dict(zip(names, arrays, strict=True)), **{k: v for k, v in rest.items() if k in {q.name for q in op.fn_params}})

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found = _narrow(call, *given.values())
                except Exception as e:  # noqa: BLE001 - a call that means nothing, as most of those without a fitting shape
                    assert not isinstance(e, OverflowError) or name == "internal.segment_reduce", (name, e)
                    continue
            traced += 1
            if found and name.rpartition(".")[2] not in OTHERWISE:
                wrong[name] = found
    assert not wrong
    assert traced > 300


def test_sums_of_many_integers() -> None:
    x = torch.zeros(1 << 26, dtype=torch.uint8)
    x[5], x[-1] = 200, 100
    assert (x.sum().item(), torch.count_nonzero(x).item(), x.sum(dtype=torch.int32).item()) == (300, 2, 300)


@pytest.mark.slow
@pytest.mark.skipif(_free() < 16 << 30, reason="takes 10 GiB of memory")
def test_reads_and_writes_beyond_two_to_the_31() -> None:
    x = torch.zeros(N, dtype=torch.uint8)
    x[N - 1] = 7
    assert x[-1].item() == 7
    x[N - 10 : N - 5] = 3
    assert x[N - 12 :].tolist() == [0, 0, 3, 3, 3, 3, 3, 0, 0, 0, 0, 7]
    x[torch.tensor([N - 2, 1])] = torch.tensor([9, 8], dtype=torch.uint8)
    assert x[torch.tensor([N - 1, N - 2, 1])].tolist() == [7, 9, 8]
    assert x[:: N - 1].tolist() == [0, 7]
    assert x.view(-1, 11)[-1].tolist() == [0, 3, 3, 3, 3, 3, 0, 0, 0, 9, 7]
    assert (x.argmax().item(), x.max().item(), torch.count_nonzero(x).item()) == (N - 2, 9, 8)
    x.scatter_(0, torch.tensor([N - 4]), torch.tensor([5], dtype=torch.uint8))
    assert torch.gather(x, 0, torch.tensor([N - 4, N - 2])).tolist() == [5, 9]
    assert torch.index_select(x, 0, torch.tensor([N - 4])).tolist() == [5]
    x[N - 3 :].fill_(2)
    assert x.narrow(0, N - 4, 4).tolist() == [5, 2, 2, 2]
    assert x.roll(3)[:4].tolist() == [2, 2, 2, 0]
