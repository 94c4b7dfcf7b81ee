"""Each snippet about sparse tensors prints the same under real torch and under jtorch, in one process."""

from __future__ import annotations

import pytest
import torch

import jtorch
import jtorch.sparse  # noqa: F401
from compat.core.test_snippets import printed
from compat.sparse.snippets import PRELUDE, SNIPPETS


@pytest.mark.parametrize("name", SNIPPETS)
def test_prints_what_torch_prints(name: str) -> None:
    program = PRELUDE + SNIPPETS[name]
    assert printed(jtorch, program) == printed(torch, program)
