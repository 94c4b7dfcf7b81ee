"""What writers that were killed leave behind goes with the next save of that name; a living writer's file stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import jtorch as torch

WRITER = """
import os, signal, sys
import jtorch as torch
from jtorch.serialization import _zip
def stop(*args):
    print("here", flush=True)
    signal.pause()
_zip.ZipWriter.record = stop
torch.save([1], sys.argv[1])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file locks")
def test_drafts_of_the_killed_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stdout.readline() == "here\n"
    left = os.listdir(tmp_path)
    torch.save([2], path)  # while the other lives
    torch.save([2], tmp_path / "other.pt")
    assert sorted(os.listdir(tmp_path)) == sorted([*left, "c.pt", "other.pt"])
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    torch.save([2], tmp_path / "other.pt")
    assert left[0] in os.listdir(tmp_path)
    torch.save([3], path)
    assert sorted(os.listdir(tmp_path)) == ["c.pt", "other.pt"] and torch.load(path) == [3]
