"""``import torch`` gives one module, which torch's own Python code looks names up in: programs in ``one_torch/`` print the same under both libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from compat.run_both import Printed, difference, outputs

PROGRAMS = sorted((Path(__file__).parent / "one_torch").glob("*.py"))


@pytest.fixture(scope="module")
def printed() -> dict[str, dict[Path, Printed]]:
    """What all of them print, in one process of each library but for those that say that they are isolated."""
    return {library: outputs(library, PROGRAMS) for library in ("torch", "jtorch")}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)
def test_prints_what_torch_prints(path: Path, printed: dict[str, dict[Path, Printed]]) -> None:
    theirs, ours = printed["torch"][path], printed["jtorch"][path]
    assert theirs.text and not theirs.error, theirs.error
    found = difference(theirs, ours)
    assert found is None, found
