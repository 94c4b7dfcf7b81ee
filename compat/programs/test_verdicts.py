"""What the table of programs says of a difference: which of float64 and real torch's other kernels explains it."""

from __future__ import annotations

import pytest

from compat.programs.__main__ import explain, judge

ONE, NEAR, FAR, FAILS = ([1.0, 2.0], ""), ([1.0, 2.0001], ""), ([1.0, 2.1], ""), ([], "ValueError: no")


@pytest.mark.parametrize(
    ("ours", "said"),
    [(ONE, "same numbers"), (NEAR, "same numbers"), (FAR, "differs: 2.1 for 2, number 2 of 2"), (FAILS, "fails: ValueError: no"), (([1.0], ""), "differs: 1 numbers for 2")],
)
def test_numbers_are_the_same_to_four_digits(ours: tuple[list[float], str], said: str) -> None:
    assert judge(ONE, ours) == said


@pytest.mark.parametrize(
    ("plain", "theirs", "ours", "other", "said"),
    [
        (FAR, ONE, ONE, ONE, "rounding: 2.1 for 2, number 2 of 2; in float64 the same numbers, and real torch without oneDNN gives 2.1 for 2, number 2"),
        (ONE, ONE, ONE, ONE, "differs: 2.1 for 2, number 2 of 2; in float64 the same numbers"),
        (FAILS, ONE, ONE, ONE, "differs: 2.1 for 2, number 2 of 2; in float64 the same numbers"),
        (FAR, ONE, FAR, ONE, "differs: 2.1 for 2, number 2 of 2; in float64 too: 2.1 for 2, number 2"),
        (FAR, ONE, FAR, FAILS, "differs: 2.1 for 2, number 2 of 2; in float64 too: 2.1 for 2, number 2"),
        # A program whose rounding shows in float64: real torch's other kernels differ from it there as well.
        (FAR, ONE, FAR, NEAR, "rounding: 2.1 for 2, number 2 of 2; in float64 too: 2.1 for 2, number 2, and real torch without oneDNN gives 2.0001 for 2 there, number 2"),
        (FAR, ONE, FAILS, ONE, "differs: 2.1 for 2, number 2 of 2; in float64: ValueError: no"),
        (FAR, FAILS, ONE, ONE, "differs: 2.1 for 2, number 2 of 2; in float64: ValueError: no"),
    ],
)
def test_a_difference_is_explained(plain: object, theirs: object, ours: object, other: object, said: str) -> None:
    assert explain("differs: 2.1 for 2, number 2 of 2", ONE, plain, (theirs, ours), other) == said  # type: ignore[arg-type]
