"""A file that one process at a time can make: the same under both libraries."""

from __future__ import annotations

import importlib
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("library", ["torch", "jtorch"])
def test_one_at_a_time(library: str, tmp_path: Path) -> None:
    baton: Any = importlib.import_module(f"{library}.utils.file_baton").FileBaton
    path = str(tmp_path / "lock")
    mine, other = baton(path), baton(path, 0.01, 0.02)
    assert mine.try_acquire() is True and other.try_acquire() is False
    timer = threading.Timer(0.2, mine.release)
    timer.start()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        other.wait()
    timer.join()
    assert len(heard) == 1 and f'Waited on lock file "{path}"' in str(heard[0].message)
    assert not os.path.exists(path) and other.try_acquire()
    other.release()
