"""torch.fx: graphs, their code and their text are torch's."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import pytest
import torch
import torch.fx
import torch.overrides

import jtorch
import jtorch.fx
from compat.fx.snippets import SNIPPETS
from compat.programs_of_text import run


def same(name: str, program: str) -> None:
    """Both print the same, with ``import torch`` in the program meaning the library that it is given."""
    assert run(jtorch, program) == run(torch, program), name


@pytest.mark.parametrize("name", SNIPPETS)
def test_prints_what_torch_prints(name: str) -> None:
    same(name, SNIPPETS[name])


def _functions() -> list[str]:
    """torch.nn.functional's own functions that a proxy can be given to."""
    asked = torch.overrides.get_overridable_functions()[torch.nn.functional]
    return sorted({f.__name__ for f in asked if getattr(torch.nn.functional, f.__name__, None) is f and hasattr(jtorch.nn.functional, f.__name__)})


def _code(library: Any, fx: Any, name: str) -> str:
    fn = getattr(library.nn.functional, name)
    stand_in = torch.overrides.get_testing_overrides()[getattr(torch.nn.functional, name)]
    given = [p.name for p in inspect.signature(stand_in).parameters.values() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    scope: dict[str, Any] = {"fn": fn}
    exec(f"def traced({', '.join(given)}): return fn({', '.join(given)})", scope)
    gm = fx.symbolic_trace(scope["traced"])
    said = f"{gm.code}{gm.graph}"
    return said if hasattr(jtorch, "_C") else said.replace("torch._C._nn.", "torch.nn.functional.")


@pytest.mark.parametrize("name", _functions())
def test_functions_are_recorded_as_torch_does(name: str) -> None:
    if hasattr(getattr(jtorch.nn.functional, name), "jtorch_declined"):
        pytest.skip("declined: compat/gaps.toml says why")
    assert _code(jtorch, jtorch.fx, name) == _code(torch, torch.fx, name)


def test_no_torch_is_imported_by_generated_code() -> None:
    gm = jtorch.fx.symbolic_trace(lambda x: jtorch.relu(x) * 2)
    assert gm.forward.__globals__["torch"] is sys.modules["jtorch"]
