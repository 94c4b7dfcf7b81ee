"""Rules for padded values, over whole programs: sizes, rooms and garbage are drawn."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from compat.run_both import ROOT
from jtorch._engine.recording.trace import flush

from .padding import Unfit, padded_against_exact
from .programs import PROGRAMS, Program

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # torch calls some functions beta
QUICK = ("masked softmax", "cummax", "scatter into what changes", "conv1d strided", "triangular solves", "searchsorted")


def drawn(p: Program, seed: int) -> list[str]:
    flush()
    r = np.random.RandomState(seed + sum(map(ord, p.name)))
    least = int(r.choice([7, 9, 12]))
    columns = {n: r.permutation(np.arange(least, 25))[:4] for n in p.sizes}
    sizes = [{n: int(column[k]) for n, column in columns.items()} for k in range(4)]
    try:
        return padded_against_exact(p, sizes[:3], sizes[3], r)
    except Unfit as why:
        if "some are" in str(why):  # two dims are compared, and the samples do not agree: such sizes run by their exact shapes
            pytest.skip(str(why))
        raise


def test_padding_is_never_seen() -> None:
    """In a process of its own: which traces are alike depends on what was compiled before."""
    code = "from compat.changing.test_padding import PROGRAMS, QUICK, drawn\nfor name in QUICK:\n    if found := drawn(PROGRAMS[name], 0):\n        print(name, found)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode and not done.stdout, done.stdout + done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("p", PROGRAMS.values(), ids=list(PROGRAMS))
def test_padding_is_never_seen_in_any_program(p: Program, seed: int) -> None:
    if p.name in ("unique_consecutive", "solve", "packed LSTM", "packed GRU both ways"):
        pytest.skip("values are looked at on the way, so a step is several traces")
    assert not drawn(p, seed + 1)
