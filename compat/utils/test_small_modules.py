"""What ``torch.utils.collect_env`` says."""

from __future__ import annotations

import subprocess
import sys


def test_collect_env() -> None:
    run = subprocess.run([sys.executable, "-m", "jtorch.utils.collect_env"], capture_output=True, text=True, check=True)
    assert "JAX backend" in run.stdout and "jaxlib==" in run.stdout
