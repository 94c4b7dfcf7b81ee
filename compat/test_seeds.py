"""The programs of seeds/ print under jtorch what they print under real torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from compat.run_both import Printed, difference, digits_of, outputs

PROGRAMS = sorted((Path(__file__).parent / "seeds").glob("*.py"))


@pytest.fixture(scope="module")
def printed() -> dict[str, dict[Path, Printed]]:
    return {library: outputs(library, PROGRAMS) for library in ("torch", "jtorch")}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)
def test_prints_what_torch_prints(path: Path, printed: dict[str, dict[Path, Printed]]) -> None:
    found = difference(printed["torch"][path], printed["jtorch"][path], digits_of(path))
    assert found is None, found
