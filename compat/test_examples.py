"""The examples print the losses of real torch, to 4 significant digits for 100 steps from one seed, dropout included; those beside JAX's libraries come to what is known."""

from __future__ import annotations

import re

import pytest

from compat.run_both import ROOT, Printed, difference, run_script

CASES = {
    "digits_cnn.py": (),
    "lstm_tagger.py": (),
    "char_gpt.py": ("--layers", "2", "--width", "64", "--heads", "4", "--batch", "4", "--length", "64"),
}


@pytest.mark.parametrize("script", [pytest.param(c, marks=[pytest.mark.slow] if c != "digits_cnn.py" else []) for c in CASES])
def test_losses_are_those_of_torch(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # torch's sums depend on its number of threads: from step 82 of the digits on, torch with one departs from torch with two by up to 3e-4.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    args = ("--losses", "100", *CASES[script])
    theirs, ours = (run_script(library, ROOT / "examples" / script, *args) for library in ("torch", "jtorch"))
    theirs, ours = (Printed("\n".join(line for line in p.text.splitlines() if line.startswith("step")), p.error) for p in (theirs, ours))
    assert theirs.text.count("step") == 100, theirs.error
    found = difference(theirs, ours, digits=4)
    assert found is None, found


WITH_JAX = {  # what each prints: numbers that show that it learned or found what is known
    "numpyro_nuts.py": ("numpyro", (), r"weight \d: (\S+) \+- \S+, exact (\S+)", lambda got: len(got) == 3 and all(abs(float(a) - float(b)) < 0.03 for a, b in got)),
    "blackjax_posterior.py": ("blackjax", (), r"is (\S+) from the data", lambda got: len(got) == 1 and 0.05 < float(got[0]) < 0.15),
    "equinox_loop.py": ("equinox", (), r"loss (\S+)", lambda got: float(got[-1]) < 0.6 * float(got[0])),
    "nnx_encoder.py": ("flax", (), r"loss (\S+)", lambda got: float(got[-1]) < 0.1 * float(got[0])),
}


@pytest.mark.slow
@pytest.mark.parametrize("script", WITH_JAX)
def test_what_stands_beside_jax_s_libraries(script: str) -> None:
    package, args, pattern, right = WITH_JAX[script]
    pytest.importorskip(package, reason=f"{script} needs {package}, which the extras do not bring")
    printed = run_script("jtorch", ROOT / "examples" / script, *args)
    assert not printed.error and right(re.findall(pattern, printed.text)), printed
