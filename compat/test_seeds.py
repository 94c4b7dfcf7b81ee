"""The programs of seeds/ print under jtorch what they print under real torch."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from compat.run_both import Printed, difference, digits_of, outputs

PROGRAMS = sorted((Path(__file__).parent / "seeds").glob("*.py"))
TOGETHER = 8  # programs that one process of each library runs: imports cost two seconds, and the workers of a test run share the rest


@cache
def _printed(batch: int) -> dict[str, dict[Path, Printed]]:
    programs = PROGRAMS[batch * TOGETHER : (batch + 1) * TOGETHER]
    return {library: outputs(library, programs) for library in ("torch", "jtorch")}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)
def test_prints_what_torch_prints(path: Path) -> None:
    printed = _printed(PROGRAMS.index(path) // TOGETHER)
    found = difference(printed["torch"][path], printed["jtorch"][path], digits_of(path))
    assert found is None, found
