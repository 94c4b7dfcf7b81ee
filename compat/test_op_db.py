"""op_db in the ordinary run: every operator on the list of passing ones still passes, every gap is still one."""

from __future__ import annotations

import sys
import zlib
from dataclasses import replace

import pytest

from compat import harness
from compat.opdb.checks import OpChecks, Options
from compat.opdb.samples import database

_LIST = harness.BOARD / "op_db_passing.txt"
PASSING = _LIST.read_text().split() if _LIST.exists() else []
QUICK = Options(samples=2, gradients=1, second=1, variants=1, errors=12)
ONCE = replace(QUICK, second=0)  # second derivatives take a third of the time: those of every third operator here, of all of them in `make scoreboard` and `make compat-full`


@pytest.mark.parametrize("name", PASSING)
def test_operator_agrees_with_torch(name: str) -> None:
    record = OpChecks(name, ONCE if zlib.crc32(name.encode()) % 3 else QUICK).run()
    assert not record.failures(), "\n".join(record.details)


def test_every_listed_name_is_an_entry() -> None:
    every = set(database())
    assert set(PASSING) <= every
    assert set(harness.gaps("op_db")) <= every


def test_gaps_are_still_gaps() -> None:
    """A gap that passes has to be struck off the list."""
    names = [n for n in harness.gaps("op_db") if n not in PASSING]
    command = [sys.executable, "-m", "compat.opdb", "--worker"]
    records = harness.run_all(names, command, 1, 120.0, lambda r: None)
    assert not [r.name for r in records if r.status == "pass"]
    assert not set(harness.gaps("op_db")) & set(PASSING)
