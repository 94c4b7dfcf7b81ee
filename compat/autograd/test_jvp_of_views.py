"""A custom Function that hands out an input or a view of one: its ``jvp`` must hand out the same of the tangent."""

import itertools

import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

PROGRAM = """
fw = torch.autograd.forward_ad
class V(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x if WHOLE else x.narrow(0, 0, 2)
    @staticmethod
    def jvp(ctx, g):
        r = g if WHOLE else g.narrow(0, 0, 2)
        return {"right": lambda: r, "a view": lambda: r.view_as(r), "a copy": r.clone, "of a copy": lambda: r.clone().view(-1)}[HOW]()
with fw.dual_level():
    x = fw.make_dual(torch.arange(4.), torch.full((4,), 2.))
    if BASE: x = x.view_as(x)
    try: print(fw.unpack_dual(V.apply(x)).tangent)
    except RuntimeError as e: print(e)
"""
CASES = list(itertools.product(("right", "a view", "a copy", "of a copy"), (False, True), (False, True)))


@pytest.mark.parametrize(("how", "whole", "base"), CASES)
def test_what_jvp_hands_out(how: str, whole: bool, base: bool) -> None:
    program = f"HOW, WHOLE, BASE = {how!r}, {whole}, {base}\n{PROGRAM}"
    assert printed(jtorch, program) == printed(torch, program)
