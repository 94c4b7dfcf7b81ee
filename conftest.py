"""For tests/ and compat/ alike: what the garbage collector looks at."""

from __future__ import annotations

import gc

import pytest

gc.disable()  # until everything is imported


def pytest_collection_finish(session: pytest.Session) -> None:
    """What libraries and the tests' own modules hold stays. Looked through anew by each full collection, that million of objects took a quarter of the tests' time."""
    gc.freeze()
    gc.enable()
