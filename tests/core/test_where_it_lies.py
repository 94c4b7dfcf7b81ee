"""Whose file an error comes from does not go by the names of folders: a checkout called jtorch has its environment below it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

PROGRAM = """
import jax
assert "/jtorch/" in jax.__file__
import jtorch as torch
try:
    torch.lerp(torch.ones(2), torch.ones(3), 0.5)
except RuntimeError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a link to a folder")
def test_libraries_in_a_folder_of_our_name(tmp_path: Path) -> None:
    (tmp_path / "jtorch").mkdir()
    (tmp_path / "jtorch" / "packages").symlink_to(Path(jax.__file__).parent.parent)
    here = Path(__file__).parent.parent.parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "jtorch" / "packages"), str(here)])}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=120)
    assert done.stdout == "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0\n", done.stderr
