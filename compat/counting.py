"""Counting the programs that are compiled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jtorch import _config
from jtorch._engine.recording import kept

__all__ = ["programs"]


@contextmanager
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """A list that gets, for each program that is asked for within, whether it was compiled for itself. What an earlier process has left on the disk does not count."""
    seen: list[bool] = []
    original = kept.program

    def counting(*args: Any) -> Any:
        what, shapes = original(*args)
        seen.append(what.new)
        return what, shapes

    with monkeypatch.context() as patch:
        patch.setattr(kept, "program", counting)
        patch.setattr(_config, "CACHE_DIR", "0")
        yield seen
