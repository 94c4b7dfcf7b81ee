"""Each snippet prints the same under real torch and under jtorch, in one process."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import pytest
import torch

import jtorch
from compat.core.snippets import SNIPPETS


def printed(library: Any, program: str) -> str:
    """What a snippet prints with ``torch`` bound to ``library``."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(program, "<snippet>", "exec"), {"torch": library})
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
        finally:
            library.set_grad_enabled(True)
            library.set_default_dtype(library.float32)
            library.set_printoptions(profile="default")
    return out.getvalue()


@pytest.mark.parametrize("name", SNIPPETS)
def test_prints_what_torch_prints(name: str) -> None:
    assert printed(jtorch, SNIPPETS[name]) == printed(torch, SNIPPETS[name])
