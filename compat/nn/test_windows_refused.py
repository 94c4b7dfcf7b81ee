"""Windows, strides and sizes that pooling, unpooling, unfold and fold refuse or take: both libraries print the same."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

BEGIN = """
F = torch.nn.functional
def run(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, str(e).partition("\\n")[0])
x = torch.arange(16.).reshape(1, 1, 4, 4); y = torch.ones(1, 1, 2, 2); at = torch.zeros(1, 1, 2, 2, dtype=torch.long)
"""
PROGRAMS = {
    "windows": """
for k in (0, -1):
    run(lambda: F.avg_pool2d(x, k)); run(lambda: F.max_pool2d(x, k)); run(lambda: F.avg_pool1d(x[0], k)); run(lambda: F.max_pool1d(x[0], k)); run(lambda: F.avg_pool3d(x[None], k)); run(lambda: F.max_pool3d(x[None], k))
    run(lambda: F.unfold(x, k)); run(lambda: F.fold(torch.ones(1, 4, 4), (3, 3), k))
run(lambda: F.unfold(x, (0, 2))); run(lambda: F.max_pool2d(x, (0, 2))); run(lambda: F.unfold(x, 2, stride=0)); run(lambda: F.avg_pool2d(x, 2, -1)); run(lambda: F.max_pool2d(x, 2, 1, 2)); run(lambda: F.max_pool2d(x, 2, 1, 0, 0))
""",
    "unpooling": """
for k, s, p, o in ((0, None, 0, None), (2, 0, 0, None), (2, 2, 5, None), (-1, 1, 0, None), (2, 2, 0, (1, 1)), (2, 2, 0, (5, 5)), (2, 2, 0, (1, 1, 5, 5)), ((2,), 2, 0, None), ((2, 2, 2), 2, 0, None), (2, 2, 0, [4]), ((0, 2), 1, 0, None), (2, (0, 1), 0, None)):
    run(lambda: F.max_unpool2d(y, at, k, s, p, o)); run(lambda: F.max_unpool1d(y[0], at[0], k, s, p, o if o is None else o[:1])); run(lambda: F.max_unpool3d(y[None], at[None], k, s, p, o).shape)
run(lambda: F.max_unpool2d(y.long(), at, 2)); run(lambda: F.max_unpool2d(y, at.int(), 2)); run(lambda: F.max_unpool2d(y, at + 99, 2)); run(lambda: F.max_unpool2d(y[:0], at[:0], 2).shape); run(lambda: F.max_unpool2d(y[:, :0], at[:, :0], 2)); run(lambda: F.max_unpool2d(y, at[..., :1], 2))
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_prints_what_torch_prints(name: str) -> None:
    assert printed(jtorch, BEGIN + PROGRAMS[name]) == printed(torch, BEGIN + PROGRAMS[name])
