"""A share of the attacks on programs that run: interrupts at random moments, and threads on the same tensors. (An hour of them: the scripts themselves.)"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _run(script: str, *args: str, eager: bool = False) -> str:
    env = {**os.environ, "JTORCH_EAGER": "1" if eager else "0"}
    done = subprocess.run(
        [sys.executable, "-m", "jtorch", str(HERE / script), *args], capture_output=True, text=True, timeout=600, env=env, cwd=HERE.parents[1]
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


def test_a_share_of_the_interrupts() -> None:
    """All kinds; the deterministic cases stand in tests/engine/test_unbroken.py."""
    assert "lost: 0" in _run("interrupts.py", "--seconds", "6", "--models", "mlp", "--kinds", "SIGINT,SIGTERM,exception,MemoryError,weakref,collection")


def test_a_share_of_the_points_elsewhere() -> None:
    assert ", 0 wrong" in _run("elsewhere.py", "--only", "save,fill_optimizer,recompute", "--points", "6")


@pytest.mark.slow
def test_points_elsewhere() -> None:
    assert _run("elsewhere.py", "--points", "30").count(" 0 wrong") == 17


@pytest.mark.slow
@pytest.mark.parametrize("eager", [False, True])
def test_interrupts(eager: bool) -> None:
    assert "lost: 0" in _run("interrupts.py", "--seconds", "30", "--times", "40", eager=eager)


@pytest.mark.slow
def test_threads() -> None:
    assert _run("threads.py", "--threads", "8", "--times", "25", "--rounds", "1").count("0 of 1 wrong") == 6
