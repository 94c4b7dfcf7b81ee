"""``import torch`` gives one module, which torch's own Python code looks names up in: programs in ``one_torch/`` print the same under both libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from compat.run_both import difference, run_script

PROGRAMS = sorted((Path(__file__).parent / "one_torch").glob("*.py"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)
def test_prints_what_torch_prints(path: Path) -> None:
    theirs, ours = run_script("torch", path), run_script("jtorch", path)
    assert theirs.text and not theirs.error, theirs.error
    found = difference(theirs, ours)
    assert found is None, found
