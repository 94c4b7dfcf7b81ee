"""Tensors on memory that somebody else has (asarray, frombuffer), factories whose size no memory has, and grids of what does not go together: the same, or the same refusal, as torch."""

from __future__ import annotations

import array
import copy
from typing import Any

import numpy as np
import pytest
import torch

from compat import bridge

EXPRESSIONS = """
t.frombuffer([1, 2], dtype=t.int32)
t.frombuffer(3, dtype=t.int32)
t.frombuffer("x", dtype=t.int32)
t.frombuffer(bytearray(), dtype=t.int32)
t.frombuffer(b, dtype=t.int32)
t.frombuffer(b, dtype=t.int32, offset=4, count=2)
t.frombuffer(b, dtype=t.int32, offset=-4)
t.frombuffer(b, dtype=t.int32, offset=16)
t.frombuffer(b, dtype=t.int32, offset=17)
t.frombuffer(b, dtype=t.int32, offset=3)
t.frombuffer(b, dtype=t.int32, offset=3, count=2)
t.frombuffer(b, dtype=t.int32, count=5)
t.frombuffer(b, dtype=t.int32, count=0)
t.frombuffer(b, dtype=t.int32, count=-2)
t.frombuffer(bytearray(3), dtype=t.int32)
t.frombuffer(array.array("i", [1, 2]), dtype=t.int32)
t.asarray(memoryview(a), dtype=t.float32)
t.asarray(memoryview(a))
t.asarray(memoryview(a), dtype=t.float32, copy=False)
t.asarray(b, dtype=t.uint8)
t.asarray(b)
t.asarray(array.array("d", [1.0, 2.0]))
t.asarray(array.array("d", [1.0, 2.0]), dtype=t.float64)
t.asarray([1, 2], copy=False)
t.asarray([1, 2], copy=True)
t.asarray(3.5)
t.asarray(3.5, copy=False)
t.asarray(t.ones(2), dtype=t.float64, copy=False)
t.asarray(t.ones(2), dtype=t.float32, copy=False)
t.asarray(t.ones(2), device="meta", copy=False)
t.asarray(a, dtype=t.float64, copy=False)
t.asarray(a, copy=False)
t.asarray(None)
t.asarray("x")
t.empty([2, 4, 2**29, 2**29], dtype=t.float64)
t.empty_strided([8, 8], [2**61, 1], dtype=t.float64)
t.empty([2**33, 2**33], device="meta")
t.empty([0, 4, 2305843009213693952])
t.full((2**62, 4), 1.0)
t.arange(0, 1e30)
t.meshgrid(t.tensor([1]), t.tensor([2], device="meta"))
t.meshgrid(t.tensor([1]), t.tensor([2.0]))
t.meshgrid()
t.block_diag()
t.block_diag(t.ones(2), t.ones(2, device="meta"))
t.cartesian_prod()
t.Storage
""".split("\n")[1:-1]


def _outcome(t: Any, expression: str) -> Any:
    world = {"t": t, "b": bytearray(range(16)), "a": np.arange(6, dtype=np.float32), "array": array}
    try:
        found = eval(expression, world)
    except Exception as error:
        return type(error).__name__, str(error)
    return (found.tolist(), str(found.dtype), tuple(found.shape)) if isinstance(found, t.Tensor) else str(found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_as_torch(expression: str) -> None:
    ours, theirs = [_outcome(t, expression) for t in (bridge.jtorch(), torch)]
    assert str(ours).replace("jtorch", "torch") == str(theirs)


def test_the_memory_is_shared() -> None:
    for t in (bridge.jtorch(), torch):
        a = np.arange(4, dtype=np.float32)
        x = t.asarray(memoryview(a), dtype=t.float32)
        x[0] = 5
        a[1] = 7
        assert (a[0], x[1].item()) == (5.0, 7.0)


def test_storage_is_of_the_default_type() -> None:
    for t in (bridge.jtorch(), torch):
        try:
            t.set_default_dtype(t.float64)
            assert t.Storage is t.DoubleStorage
        finally:
            t.set_default_dtype(t.float32)
        assert t.Storage is t.FloatStorage


@pytest.mark.filterwarnings("ignore")
def test_copies_of_tensors_and_storages_share_memory_as_they_did() -> None:
    seen = []
    for t in (bridge.jtorch(), torch):
        a = t.arange(6.0).view(2, 3)
        given = [a, a.storage(), a.view(6), a[0], a.untyped_storage()]
        for order in (given, given[::-1]):
            w = sorted(copy.deepcopy(order), key=lambda x: isinstance(x, t.Tensor))
            next(x for x in w if isinstance(x, t.Tensor) and x.shape == (2, 3)).add_(1)
            seen.append([x.nbytes() if isinstance(x, t.UntypedStorage) else x.tolist() for x in w] + [a.tolist()])
    assert seen[:2] == seen[2:]


def test_masks_of_masked_scatter_count_as_broadcast() -> None:
    def outcomes(t: Any) -> list[Any]:
        found: list[Any] = [tuple(t.zeros(5, 0, 5).masked_scatter_(t.ones(5, 1, 5, dtype=t.bool), t.zeros(0)).shape)]
        for mask, size in (([[True, False, True]], 3), ([[True, False, True]], 4), ([[True], [False]], 2), ([[True], [False]], 3), (True, 6), (True, 5)):
            try:
                found.append(t.zeros(2, 3).masked_scatter_(t.tensor(mask), t.arange(float(size))).tolist())
            except RuntimeError as error:
                found.append(str(error))
        return found

    assert outcomes(bridge.jtorch()) == outcomes(torch)
