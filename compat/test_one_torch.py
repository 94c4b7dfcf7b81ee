"""``import torch`` gives one module, which torch's own Python code looks names up in: programs in ``one_torch/`` print the same under both libraries."""

from __future__ import annotations

from pathlib import Path

from compat.run_both import difference, outputs

PROGRAMS = sorted((Path(__file__).parent / "one_torch").glob("*.py"))


def test_prints_what_torch_prints() -> None:
    """All of them in one process of each library, but for those that say that they are isolated."""
    theirs, ours = (outputs(library, PROGRAMS) for library in ("torch", "jtorch"))
    assert not [p.stem for p in PROGRAMS if not theirs[p].text]
    found = {p.stem: difference(theirs[p], ours[p]) for p in PROGRAMS}
    assert not any(found.values()), "\n".join(f"{name}: {text}" for name, text in found.items() if text)
