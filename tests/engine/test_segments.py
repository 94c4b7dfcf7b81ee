"""Where long traces are cut: a loop of thousands of turns becomes pieces that are small enough to compile and equal to each other."""

from __future__ import annotations

import pytest

from jtorch._engine.planning.segments import PIECE, cut


@pytest.mark.parametrize(("weight", "kept"), [(1, True), (1, False), (25, True), (60, False)])
def test_a_long_loop_is_cut_into_equal_pieces(weight: int, kept: bool) -> None:
    n = 5000
    reads = [[i - 1] if i else [] for i in range(n)]
    bounds = [0, *cut([7] * n, reads, [False] * n, lambda i: weight, range(n) if kept else ()), n]
    sizes = [b - a for a, b in zip(bounds, bounds[1:], strict=False)]
    assert len(set(sizes)) <= 3
    assert max(sizes) * weight <= (2 * PIECE if kept or weight > 2 else 1000)


def test_a_model_of_some_layers_is_one_piece_whatever_it_weighs() -> None:
    n = 2 * 32
    assert cut([1, 2] * 32, [[i - 1] if i else [] for i in range(n)], [False] * n, lambda i: 9, range(n)) == []
