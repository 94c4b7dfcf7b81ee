"""The three kernels' programs: one dot or one gather where one is enough, and no int64 arithmetic on indices.

Seen in XLA's optimized HLO for CPU (jax 0.10 to 0.12). Where a transpose or a copy stands beside a dot, the line says why it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import pytest

import jtorch as torch
from jtorch.nn import functional as F
from tests.ops.programs import exported, operations, program, stable_operations, wide_integers

NEWEST = tuple(map(int, jax.__version__.split(".")[:2])) >= (0, 11)
DOT = {"dot": 1}
TWO = {"dot": 2}


def f(*sizes: int) -> Any:
    return torch.ones(sizes)


def i(*sizes: int) -> Any:
    return torch.zeros(sizes, dtype=torch.int64)


Case = tuple[Callable[..., Any], tuple[Any, ...], dict[str, int], dict[str, int]]
PRODUCTS: dict[str, Case] = {
    # einsum: one dot_general for two operands, read where they lie, whatever the order of letters
    "einsum, batched": (lambda a, b: torch.einsum("bij,bjk->bik", a, b), (f(2, 3, 4), f(2, 4, 5)), DOT, TWO),
    "einsum, transposed operand": (lambda a, b: torch.einsum("ij,kj->ik", a, b), (f(3, 4), f(5, 4)), DOT, TWO),
    "einsum, implicit output": (lambda a, b: torch.einsum("ij,jk", a, b), (f(3, 4), f(4, 5)), DOT, TWO),
    "einsum, sublists": (lambda a, b: torch.einsum(a, [0, 1], b, [1, 2], [0, 2]), (f(3, 4), f(4, 5)), DOT, TWO),
    # backward of a batch that b does not have: its gradient sums over the batch and i at once, which XLA does on a transposed copy
    "einsum, ellipsis": (
        lambda a, b: torch.einsum("...ij,jk->...ik", a, b), (f(2, 3, 3, 4), f(4, 5)), DOT, {"dot": 2, "transpose": 1, "copy": 1},
    ),
    # a batch dim must lead in XLA's dot on CPU: heads in third place are moved once for each operand (backward, jax 0.11 and newer write two of the moves as transposes beside the copies)
    "einsum, heads": (
        lambda q, k: torch.einsum("bqhd,bkhd->bhqk", q, k), (f(2, 3, 2, 4), f(2, 5, 2, 4)), {"dot": 1, "transpose": 2, "copy": 2},
        {"dot": 2, "transpose": 4 if NEWEST else 2, "copy": 4},
    ),
    # a repeated letter is a mask and a sum (one fused loop), no gather; then one dot
    "einsum, repeated letter": (
        lambda a, b: torch.einsum("iij,jk->ik", a, b), (f(4, 4, 3), f(3, 5)), {"dot": 1, "compare": 1, "select": 1, "reduce": 1, "add": 1},
        {"dot": 2, "compare": 2, "select": 2, "reduce": 1, "add": 1},
    ),
    # the cheaper order of two; backward: the inner product again, then two dots for each product
    "einsum, three operands": (
        lambda a, b, c: torch.einsum("ij,jk,kl->il", a, b, c), (f(3, 4), f(4, 5), f(5, 2)), TWO, {"dot": 5},
    ),
    "mm of a transposed view": (lambda a, b: torch.mm(a, b.t()), (f(3, 4), f(6, 4)), DOT, TWO),
    # b is not repeated for the leading dim; its batch of 2 goes in front and the result's back
    "matmul, broadcast batches": (
        lambda a, b: a @ b, (f(5, 1, 3, 4), f(2, 4, 6)), {"dot": 1, "transpose": 2, "copy": 2}, {"dot": 2, "transpose": 4, "copy": 5},
    ),
    # the weight is read untransposed. Its gradient takes a transposed copy of the upstream one: with the rows flattened beforehand it needs none,
    # which pays for large products only (_linalg_lib.rows_as_one)
    "linear": (F.linear, (f(2, 3, 4), f(5, 4), f(5)), {"dot": 1, "add": 1}, {"dot": 2, "transpose": 1, "copy": 1, "reduce": 1, "add": 1}),
    # the sum is fused with beta and alpha; backward hands the upstream gradient on as it is
    "baddbmm": (torch.baddbmm, (f(2, 3, 5), f(2, 3, 4), f(2, 4, 5)), {"dot": 1, "add": 1}, {"dot": 2, "copy": 1}),
    "addmm": (torch.addmm, (f(5), f(3, 4), f(4, 5)), {"dot": 1, "add": 1}, {"dot": 2, "reduce": 1, "add": 1}),
    "tensordot": (lambda a, b: torch.tensordot(a, b, 2), (f(3, 4, 5), f(4, 5, 6)), DOT, {"dot": 2, "transpose": 2, "copy": 2}),
}  # fmt: skip
LOOKUPS: dict[str, Case] = {
    # forward: one gather; backward: one scatter-add into zeros, no one-hot. Indices are narrowed to int32 (a table has fewer rows)
    "embedding": (lambda w, x: F.embedding(x, w), (f(10, 4), i(2, 3)), {"gather": 1}, {"scatter": 1}),
    # the row's gradient is cut before the scatter; the forward does not know of it
    "embedding, padding_idx": (lambda w, x: F.embedding(x, w, padding_idx=1), (f(10, 4), i(2, 3)), {"gather": 1}, {"scatter": 1}),
    # uses are counted by a scatter of ones, and looked up
    "embedding, scale_grad_by_freq": (
        lambda w, x: F.embedding(x, w, scale_grad_by_freq=True), (f(10, 4), i(2, 3)), {"gather": 1}, {"scatter": 2, "gather": 1},
    ),
    # bags of one length are a reduction over a dim: 4 to 12 % faster than the scatter of ragged bags at 512 x 32 rows of 64
    "embedding_bag, sums of rows": (
        lambda w, x: F.embedding_bag(x, w, mode="sum"), (f(10, 4), i(2, 3)), {"gather": 1, "reduce": 1}, {"scatter": 1},
    ),
    "embedding_bag, means of rows": (
        lambda w, x: F.embedding_bag(x, w, mode="mean"), (f(10, 4), i(2, 3)), {"gather": 1, "reduce": 1}, {"scatter": 1},
    ),
    # ragged bags: one scatter counts their starts, a running sum numbers them, a second one adds; backward gathers by number and scatters
    "embedding_bag, offsets": (
        lambda w, x, o: F.embedding_bag(x, w, o, mode="sum"), (f(10, 4), i(6), i(2)), {"gather": 1, "scatter": 2}, {"gather": 1, "scatter": 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_dots(name: str) -> None:
    call, tensors, forward, backward = PRODUCTS[name]
    assert operations(program(call, *tensors)) == forward
    assert operations(program(call, *tensors, grads=tuple(range(len(tensors))))) == backward


@pytest.mark.parametrize("name", LOOKUPS)
def test_lookups_are_gathers(name: str) -> None:
    call, tensors, forward, backward = LOOKUPS[name]
    for text, wanted in ((program(call, *tensors), forward), (program(call, *tensors, grads=(0,)), backward)):
        found = operations(text)
        assert {k: found.get(k, 0) for k in ("gather", "scatter", "dot", "reduce")} == {"gather": 0, "scatter": 0, "dot": 0, "reduce": 0} | wanted
        assert not wide_integers(text)


LOOPS = {("embedding_bag, offsets", "cuda"): {"while": 1, "dynamic_slice": 1}} if NEWEST else {}  # jax 0.11 and newer have running sums as a loop over blocks on GPUs
HEAVY = ("dot_general", "gather", "scatter", "while", "custom_call", "sort", "dynamic_slice")


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("name", [*PRODUCTS, *LOOKUPS])
def test_what_accelerators_are_given(name: str, platform: str) -> None:
    """The same dots, gathers and scatters as on the cpu and no loops or calls beside them: what a library of products takes whole. (What of the forward a backward does not need is still there.)"""
    call, tensors, forward, backward = {**PRODUCTS, **LOOKUPS}[name]
    names = {"dot": "dot_general", "gather": "gather", "scatter": "scatter"}
    wanted = {names[k]: n for k, n in forward.items() if k in names} | LOOPS.get((name, platform), {})
    found = stable_operations(exported(platform, call, *tensors))
    assert {k: n for k, n in found.items() if k in HEAVY} == wanted
    also = {names[k]: n for k, n in backward.items() if k in names}
    found = stable_operations(exported(platform, call, *tensors, grads=tuple(k for k, t in enumerate(tensors) if t.is_floating_point())))
    for k in HEAVY:
        assert also.get(k, 0) <= found.get(k, 0) <= also.get(k, 0) + wanted.get(k, 0), k


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_products_of_halves_stay_halves_on_accelerators(platform: str) -> None:
    """bfloat16 operands go to the product as they are; nothing is widened before it."""
    text = exported(platform, torch.matmul, f(3, 4).bfloat16(), f(4, 5).bfloat16())
    (line,) = [x for x in text.splitlines() if "= stablehlo.dot_general" in x]
    assert "(tensor<3x4xbf16>, tensor<4x5xbf16>)" in line
