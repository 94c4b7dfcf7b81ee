"""torch.library and torch.ops: what is defined, called and refused is torch's."""

from __future__ import annotations

import pytest
import torch

import jtorch
import jtorch.ops
from compat.library.snippets import SNIPPETS
from compat.programs_of_text import run
from jtorch.library.aten import function_of
from jtorch.library.schema import parse_schema


@pytest.mark.parametrize("name", SNIPPETS)
def test_prints_what_torch_prints(name: str) -> None:
    assert run(jtorch, SNIPPETS[name]) == run(torch, SNIPPETS[name])


def _schemas() -> list[str]:
    """torch's own signatures that name tensors."""
    return sorted({str(s) for s in torch._C._jit_get_all_schemas() if s.name.startswith("aten::") and "Tensor" in str(s)})


def test_signatures_are_read_and_written_as_torch_does() -> None:
    wrong = []
    for text in _schemas():
        if "Dict(" in text or "](a" in text or "|" in text or "aten::_test_" in text or " t" in text.replace(" to", ""):
            continue  # of TorchScript's containers, with sets in no order, and of torch's own tests
        mine, theirs = parse_schema(text), torch._C.parse_schema(text)
        same = str(mine) == str(theirs) and [(a.name, str(a.type), a.kwarg_only, a.N) for a in mine.arguments] == [(a.name, str(a.type), a.kwarg_only, a.N) for a in theirs.arguments]
        if not same or mine.is_mutable != theirs.is_mutable:
            wrong.append((str(mine), str(theirs)))
    assert not wrong, wrong[:3]


def test_known_overloads_are_torchs() -> None:
    """Each operator that jtorch has lists the overloads that torch lists, with their signatures."""
    wrong = []
    for name in dir(jtorch.ops.aten):
        if function_of(name) is None:
            continue
        theirs = getattr(torch.ops.aten, name)
        for overload in getattr(jtorch.ops.aten, name).overloads():
            mine = getattr(getattr(jtorch.ops.aten, name), overload)
            odd = "|" in str(mine._schema) or "[](a" in str(getattr(theirs, overload)._schema)
            if not odd and str(mine._schema) != str(getattr(theirs, overload)._schema):
                wrong.append((str(mine._schema), str(getattr(theirs, overload)._schema)))
    assert not wrong, wrong[:3]
