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
    "how many sizes": """
for n in (1, 2, 3):
    avg, most, both = (getattr(F, f"{name}_pool{n}d{rest}") for name, rest in (("avg", ""), ("max", ""), ("max", "_with_indices")))
    z = torch.arange(2. * 5 ** n).reshape(1, 2, *[5] * n)
    for k in ((2,) * (n + 1), (), 7):
        run(lambda: avg(z, k).shape); run(lambda: avg(z, 2, k).shape); run(lambda: avg(z, 2, 2, k).shape)
        for f in (most, lambda *a: both(*a)[0]): run(lambda: f(z, k).shape); run(lambda: f(z, 2, k).shape); run(lambda: f(z, 2, 2, k).shape); run(lambda: f(z, 2, 2, 0, k).shape)
""",
    "norms of windows": """
for n in (1, 2, 3):
    pool, z = getattr(F, f"lp_pool{n}d"), torch.arange(2. * 4 ** n).reshape(1, 2, *[4] * n).sin().round(decimals=2)
    for p in (float('inf'), -float('inf'), 1): print((pool(z, p, 2).double() * 100).round().long())
    for k in ((2,), (2, 2), (2, 2, 2), (), 2., (2.,) * n): run(lambda: pool(z, 2, k).shape); run(lambda: getattr(torch.nn, f"LPPool{n}d")(2, k)(z).shape)
    run(lambda: getattr(torch.nn, f"LPPool{n}d")(float('inf'), 2)(z).shape); run(lambda: pool(z, 0, 2))
""",
    "windows drawn": """
for k in ((2,), 2, (2, 3), (2, 3, 4), [2, 2], 2.0):
    for o in ((3,), 3, (3, 2), (1, 2, 3), None): run(lambda: F.fractional_max_pool2d(x, k, o).shape)
    for r in ((0.5,), 0.5, (0.5, 0.5), (0.5, 0.5, 0.5)): run(lambda: F.fractional_max_pool2d(x, k, output_ratio=r).shape); run(lambda: torch.nn.FractionalMaxPool2d(k, output_ratio=r)(x).shape)
run(lambda: F.fractional_max_pool3d(x[None], 1, (1, 1)).shape); run(lambda: F.fractional_max_pool3d(x[None], (1, 1), 1).shape); run(lambda: F.fractional_max_pool3d(x[None], 1, output_ratio=1.0).shape)
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
