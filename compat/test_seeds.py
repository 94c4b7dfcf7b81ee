"""The programs of seeds/ print under jtorch what they print under real torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from compat.run_both import difference, digits_of, head, outputs

PROGRAMS = sorted((Path(__file__).parent / "seeds").glob("*.py"))
LONG = [p for p in PROGRAMS if "# slow" in head(p)]
SHORT = [p for p in PROGRAMS if p not in LONG]
TOGETHER = 21  # programs that one process of each library runs: imports cost two seconds
BATCHES = [SHORT[i : i + TOGETHER] for i in range(0, len(SHORT), TOGETHER)]


@pytest.mark.parametrize("batch", [*BATCHES, pytest.param(LONG, marks=pytest.mark.slow)], ids=lambda b: f"{b[0].stem} to {b[-1].stem}")
def test_prints_what_torch_prints(batch: list[Path]) -> None:
    printed = {library: outputs(library, batch) for library in ("torch", "jtorch")}
    found = {path.stem: difference(printed["torch"][path], printed["jtorch"][path], digits_of(path)) for path in batch}
    assert not any(found.values()), "\n".join(f"{name}: {text}" for name, text in found.items() if text)
