"""JTORCH_LOG=recompiles says what changed, and where."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import jtorch as torch

x = torch.arange(24.0).view(4, 6)


def f(dim):
    y = x
    for _ in range(5):
        y = (y * 2).softmax(dim) + 1
    return y.sum().item()


f(0), f(0), f(1), f(1)
x = torch.arange(28.0).view(4, 7)
f(1), f(1)
"""


def test_a_new_program_says_what_changed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    env = {**os.environ, "JTORCH_LOG": "recompiles", "JTORCH_CACHE_DIR": "0"}
    said = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, check=True).stderr.splitlines()
    first, flag, shape = (line for line in said if "compile (look)" in line)
    assert "16 operators: mul softmax add" in first and first.endswith(f"at {script}:11")
    assert "softmax is called otherwise: dim=0 -> 1" in flag
    assert "input of mul changed: float32[4, 6] -> float32[4, 7]" in shape
