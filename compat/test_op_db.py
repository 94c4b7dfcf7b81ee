"""op_db in the ordinary run: every operator on the list of passing ones still passes, every gap is still one."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest

from compat import harness
from compat.opdb.checks import OpChecks, Options
from compat.opdb.samples import database

_LIST = harness.BOARD / "op_db_passing.txt"
PASSING = _LIST.read_text().split() if _LIST.exists() else []
# Every operator: a sample's values and gradient from one program, and its errors. Every fourth operator also has the integer sample, every eighth the variants
# (method, in place, out=, strides) and the second derivative, which are derived for all operators in one way;
# `make scoreboard` and `make compat-full` take all of them of every operator.
LEAST = Options(samples=1, gradients=1, second=0, variants=0, errors=12, together=True)
EIGHTH = replace(LEAST, variants=1, second=1)


def amount(name: str) -> tuple[Options, bool]:
    """How much of an operator is run, and whether in its integer type, too."""
    turn = zlib.crc32(name.encode()) % 8
    return EIGHTH if turn == 0 else LEAST, turn < 2


@pytest.mark.parametrize("name", PASSING)
def test_operator_agrees_with_torch(name: str) -> None:
    options, integers = amount(name)
    checks = OpChecks(name, options)
    checks.dtypes = checks.dtypes if integers else checks.dtypes[:1]
    record = checks.run()
    assert not record.failures(), "\n".join(record.details)


def test_every_listed_name_is_an_entry() -> None:
    every = set(database())
    assert set(PASSING) <= every
    assert set(harness.gaps("op_db")) <= every


def test_gaps_are_still_gaps() -> None:
    """A gap that passes has to be struck off the list."""
    assert [n for n in harness.gaps("op_db") if OpChecks(n, Options()).run().status == "pass"] == []
    assert not set(harness.gaps("op_db")) & set(PASSING)
