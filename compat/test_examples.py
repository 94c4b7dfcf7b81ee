"""The plain PyTorch examples print torch's losses, step by step, dropout and shuffling included."""

from __future__ import annotations

import pytest

from compat.run_both import ROOT, difference, run_script

STEPS = {"digits_cnn": 24, "lstm_tagger": 6, "char_gpt": 5}


@pytest.mark.parametrize("name", STEPS)
def test_first_losses(name: str) -> None:
    path = ROOT / "examples" / f"{name}.py"
    size = ["--layers", "2", "--width", "64", "--heads", "4", "--length", "64"] if name == "char_gpt" else []
    arguments = ["--losses", str(STEPS[name]), *size]
    found = difference(run_script("torch", path, *arguments), run_script("jtorch", path, *arguments), digits=4)
    assert found is None, found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", STEPS)
def test_a_hundred_losses(name: str) -> None:
    path = ROOT / "examples" / f"{name}.py"
    found = difference(run_script("torch", path, "--losses", "100", timeout=1800), run_script("jtorch", path, "--losses", "100", timeout=1800), digits=4)
    assert found is None, found
