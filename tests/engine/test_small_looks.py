"""What numpy computes in the place of a program is what the program computes, to the bit: whichever of the two runs, the same call prints the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jtorch as torch
from jtorch._engine.running import executor, small_looks

_R = np.random.RandomState(0)
FLOATS = _R.randn(4, 5).astype("f")
FLOATS[0, :4] = np.nan, np.inf, -np.inf, -0.0
FLOATS[2, :2] = 0.0, FLOATS[2, 3]
WHOLE = _R.randint(-9, 9, (4, 5))
PLACES = torch.tensor([[3, 0, 3], [1, 1, 0]])
ROWS = torch.tensor([2, 0, 2])

CASES: dict[str, list[str]] = {
    "sort": [
        "torch.sort(x, 1)",
        "torch.sort(i, 0, descending=True)",
        "torch.argsort(x, dim=0, descending=True, stable=True)",
    ],
    "extremes": [
        "x.max(1)",
        "i.min(0)",
        "x.argmax()",
        "i.argmin(1)",
        "x.amax()",
        "x.cummax(0)",
        "i.cummin(1)",
    ],
    "median": [
        "i.median(1)",
        "x.kthvalue(2, 1)",
    ],
    "index": [
        "x[ROWS]",
        "i[:, [0, -1]]",
        "x[x > 0]",
        "x[ROWS, ROWS + 1]",
        "x.gather(0, PLACES)",
        "x.take(PLACES)",
        "i.index_select(1, ROWS)",
    ],
    "write": [
        "x.clone().index_fill_(0, ROWS, 7.0)",
        "x.scatter(0, PLACES, 2.5)",
        "i.scatter_add(0, PLACES, i)",
        "x.masked_fill(x > 0, -1.0)",
        "i.index_add(0, ROWS, i[:3])",
        "x.index_copy(0, ROWS[:2], x[:2])",
        "torch.zeros(4, 5).index_put((ROWS,), torch.ones(()))",
    ],
    "sums": [
        "i.sum()",
        "i.sum(1)",
        "i.prod(0)",
        "i.cumsum(1)",
        "i.cumprod(0)",
        "(x > 0).sum()",
        "(i > 0).all(1)",
        "(i > 8).any()",
        "i.to(torch.int8).sum()",
        "i @ i.T",
    ],
    "layout": [
        "torch.cat([x, x])",
        "torch.stack([i, i], 1)",
        "torch.nn.functional.pad(x, (1, -1), value=3.0)",
        "x.roll(2, 1)",
        "x.flip(0)",
        "x.tril()",
        "x.unfold(1, 2, 2)",
        "x.repeat(2, 1)",
        "i.tile(1, 2)",
        "x.t().contiguous()",
        "x.rot90()",
        "i.diag()",
        "x.unbind(1)",
        "x.chunk(2)",
        "torch.meshgrid(i[0], i[1], indexing='ij')",
        "x.movedim(0, 1).reshape(-1)",
    ],
    "arithmetic": [
        "x * 3 + 1",
        "x / 7",
        "x**2",
        "i**3",
        "i // 4",
        "i % 4",
        "x - x.flip(0)",
        "x.sqrt()",
        "x.reciprocal()",
        "x.clamp(-1, 1)",
        "x.round()",
        "x.frac()",
        "torch.where(x > 0, x, i)",
    ],
    "types": [
        "i.to(torch.float32) / 3",
        "x.nan_to_num().to(torch.int64)",
        "i.to(torch.uint8)",
        "i.bool()",
        "x.double() * 0.1",
        "(x > 0).float()",
    ],
    "bits": [
        "i & 5",
        "i ^ 3",
        "~i",
        "i << 2",
        "i >> 1",
        "torch.bitwise_or(i, 8)",
    ],
    "compare": [
        "x == x",
        "x > i",
        "x.isnan()",
        "torch.equal(x, x)",
        "torch.isclose(x, x, equal_nan=True)",
        "i.ne(3)",
        "x.isfinite()",
        "torch.maximum(x, x.flip(1))",
    ],
    "search": [
        "torch.bucketize(i, torch.tensor([-3, 0, 4]))",
        "torch.nn.functional.one_hot(ROWS)",
        "torch.searchsorted(torch.tensor([1, 3, 5]), i, right=True)",
    ],
}


def looked_at(case: str) -> list[bytes]:
    found: list[bytes] = []

    def look(r: Any) -> None:
        if isinstance(r, (tuple, list)):
            for y in r:
                look(y)
        elif isinstance(r, torch.Tensor):
            a = r.numpy()
            found.append(str(a.dtype).encode() + str(a.shape).encode() + np.where(np.isnan(a), np.array(0, a.dtype), a).tobytes() + np.isnan(a).tobytes())
        else:
            found.append(repr(r).encode())

    for x, i in ((torch.tensor(FLOATS), torch.tensor(WHOLE)),):
        for text in CASES[case]:
            look(eval(text, globals(), {"x": x, "i": i}))
    return found


@pytest.mark.parametrize("case", CASES)
def test_numpy_and_the_program_agree_to_the_bit(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    executor._recipes.clear()
    ran: list[int] = []
    run = small_looks.run
    monkeypatch.setattr(small_looks, "run", lambda *args: ran.append(1) or run(*args))
    here = looked_at(case)
    assert ran
    assert here == looked_at(case)
    executor._recipes.clear()
    monkeypatch.setattr(small_looks, "small", lambda *args: None)
    count = len(ran)
    assert looked_at(case) == here
    assert len(ran) == count
