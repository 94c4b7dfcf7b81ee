"""The examples print the losses of real torch, to 4 significant digits for 100 steps from one seed, dropout included; those beside JAX's libraries come to what is known.

The ordinary run takes 32 steps of the classifier, 24 with its backbone frozen and 8 that train it, too."""

from __future__ import annotations

import re

import pytest

from compat.run_both import ROOT, Printed, difference, run_script

CASES = {
    "digits_cnn.py": ("digits_cnn.py", 100),
    "digits_cnn.py, shorter": ("digits_cnn.py", 32, "--frozen", "1"),
    "lstm_tagger.py": ("lstm_tagger.py", 100),
    "char_gpt.py": ("char_gpt.py", 100, "--layers", "2", "--width", "64", "--heads", "4", "--batch", "4", "--length", "64"),
}


@pytest.mark.parametrize("case", [pytest.param(c, marks=[pytest.mark.slow] if c != "digits_cnn.py, shorter" else []) for c in CASES])
def test_losses_are_those_of_torch(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # torch's sums depend on its number of threads: from step 82 of the digits on, torch with one departs from torch with two by up to 3e-4.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    script, steps, *more = CASES[case]
    theirs, ours = (run_script(library, ROOT / "examples" / script, "--losses", str(steps), *more) for library in ("torch", "jtorch"))
    theirs, ours = (Printed("\n".join(line for line in p.text.splitlines() if line.startswith("step")), p.error) for p in (theirs, ours))
    assert theirs.text.count("step") == steps, theirs.error
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
