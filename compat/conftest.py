"""The order of the tests: those that take longest come first, so that no worker is still at one when the others are done."""

from __future__ import annotations

import pytest

LONGEST = ("test_seeds.py", "distributed/test_programs.py", "test_examples.py", "test_one_torch.py", "changing/test_padding.py", "typing/test_typing.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))
