"""The programs of seeds/ print under jtorch what they print under real torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from compat.run_both import difference, digits_of, outputs

PROGRAMS = sorted((Path(__file__).parent / "seeds").glob("*.py"))
TOGETHER = 5  # programs that one process of each library runs: imports cost two seconds
BATCHES = [PROGRAMS[i : i + TOGETHER] for i in range(0, len(PROGRAMS), TOGETHER)]


@pytest.mark.parametrize("batch", BATCHES, ids=lambda b: " ".join(p.stem for p in b))
def test_prints_what_torch_prints(batch: list[Path]) -> None:
    printed = {library: outputs(library, batch) for library in ("torch", "jtorch")}
    found = {path.stem: difference(printed["torch"][path], printed["jtorch"][path], digits_of(path)) for path in batch}
    assert not any(found.values()), "\n".join(f"{name}: {text}" for name, text in found.items() if text)
