"""Numbers that a type cannot hold, and types that a kernel leaves out: refused or taken as torch does, which depends on the way the number goes. Both libraries print the same."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

PROGRAM = """
def run(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, str(e).partition("\\n")[0])
def put(at, v):
    x = torch.zeros(2, dtype=kind); x[at] = v; return x
kind, at, mask = getattr(torch, name), torch.tensor([0]), torch.tensor([True, False])
for v in (300, -1, 2**40, 70000., 1e39, True, float("nan"), float("inf"), 1j):
    z = lambda: torch.zeros(2, dtype=kind)
    run(lambda: torch.full((2,), v, dtype=kind)); run(lambda: torch.full((1,), v, dtype=kind)); run(lambda: torch.full_like(z(), v)); run(lambda: z().new_full((2,), v)); run(lambda: torch.scalar_tensor(v, dtype=kind))
    run(lambda: torch.tensor([v], dtype=kind)); run(lambda: torch.tensor(v, dtype=kind)); run(lambda: put(0, v)); run(lambda: put(slice(None), v)); run(lambda: z().fill_(torch.tensor(v)))
    run(lambda: z().index_fill_(0, at, v)); run(lambda: z().index_fill(0, at, torch.tensor(v))); run(lambda: z().masked_fill(mask, v)); run(lambda: z().masked_fill_(mask, torch.tensor(v))); run(lambda: z().scatter_(0, at, v))
    if name != "float32": run(lambda: z().fill_(v)); run(lambda: torch.zeros((), dtype=kind).fill_(v))
x = torch.tensor([1.5, float("nan"), 300.])
run(lambda: torch.nansum(x, dtype=kind)); run(lambda: torch.nansum(x, 0, dtype=kind)); run(lambda: torch.nanmean(x, dtype=kind)); run(lambda: torch.nansum(torch.tensor([3, 4]), dtype=kind))
"""
ROWS = """
run(lambda: torch.arange(3, dtype=kind)); run(lambda: torch.arange(0, dtype=kind)); run(lambda: torch.arange(2, out=torch.empty(2, dtype=kind))); run(lambda: torch.linspace(0, 1, 3, dtype=kind)); run(lambda: torch.linspace(0, 1, 1, dtype=kind))
run(lambda: torch.logspace(0, 1, 3, dtype=kind)); run(lambda: torch.logspace(0, 1, 0, dtype=kind)); run(lambda: torch.range(0, 2, dtype=kind)); run(lambda: torch.randperm(3, dtype=kind).shape)
"""
BETWEEN = """
torch.set_printoptions(precision=9, threshold=10000)
for ends in ((4.3, -3), (4.3, 50), (-4.9, 4.9), (0, 10.9), (1, 1e4), (0, 300), (float("nan"), 1)):
    for steps in (0, 1, 2, 5, 50):
        run(lambda: torch.linspace(*ends, steps, dtype=kind).tolist())
        if ends[1] < 20: run(lambda: torch.logspace(*ends, steps, base=2.5, dtype=kind).tolist())
"""


@pytest.mark.parametrize("name", ["uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32", "float64"])
def test_rows_between_numbers(name: str) -> None:
    program = PROGRAM.partition("def put")[0] + f"kind = torch.{name}\n" + BETWEEN
    assert printed(jtorch, program) == printed(torch, program)


@pytest.mark.parametrize("name", ["uint8", "int8", "int64", "bool", "float16", "bfloat16", "float32", "complex64"])
def test_prints_what_torch_prints(name: str) -> None:
    program = f"name = {name!r}\n" + PROGRAM
    assert printed(jtorch, program) == printed(torch, program)


@pytest.mark.filterwarnings("ignore:torch.range")
@pytest.mark.parametrize("name", ["uint8", "bool", "float16", "complex64", "uint16", "float8_e5m2"])
def test_rows_of_numbers(name: str) -> None:
    program = PROGRAM.partition("def put")[0] + f"kind = torch.{name}\n" + ROWS
    assert printed(jtorch, program) == printed(torch, program)
