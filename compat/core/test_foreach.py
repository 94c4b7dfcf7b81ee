"""``torch._foreach_*``: every name of torch's, every form of its second operand, and its errors."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from compat import bridge

NAMES = sorted(n for n in dir(torch) if n.startswith("_foreach_"))
TWO, THREE = torch.tensor([0.5, 0.25]), torch.tensor([[0.75], [0.125]])


def forms(name: str) -> list[tuple[Any, ...]]:
    """The arguments beside the first list, as torch's schemas have them."""
    found: list[tuple[Any, ...]] = []
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        if "out" in schema.overload_name or str(schema.arguments[0].type) != "List[Tensor]":
            continue
        found.append(tuple(_value(name, str(a.type), a.name) for a in schema.arguments[1:] if not a.kwarg_only and not a.has_default_value()))
    return found


def _value(name: str, kind: str, argument: str) -> Any:
    if name == "_foreach_mm":
        return [torch.ones(2, 2), torch.ones(1, 2)]
    if kind == "List[Tensor]":
        return [TWO.clone(), THREE.clone()]
    if kind == "Tensor":
        return torch.tensor([0.5, 2.0]) if argument == "scalars" else torch.tensor(2.0)
    return [0.5, 2] if kind.startswith("List") else 2


def run(library: Any, name: str, args: tuple[Any, ...]) -> Any:
    first = [torch.ones(2, 2), torch.ones(3, 1)] if name == "_foreach_mm" else [TWO.clone(), THREE.clone()]
    first, args = (first, args) if library is torch else bridge.Translator()((first, args))
    try:
        result = getattr(library, name)(first, *args)
    except Exception as error:
        return type(error).__name__, str(error)
    return [[t.tolist() for t in result], [str(t.dtype) for t in result], [t.tolist() for t in first], type(result).__name__, result is first]


@pytest.mark.parametrize("name", NAMES)
def test_gives_what_torch_gives(name: str) -> None:
    for args in forms(name):
        theirs, ours = run(torch, name, args), run(bridge.jtorch(), name, args)
        assert isinstance(theirs, list) and isinstance(ours, list), (theirs, ours)
        assert ours[1:2] + ours[3:] == theirs[1:2] + theirs[3:]
        for a, b in zip((theirs[0], theirs[2]), (ours[0], ours[2])):
            assert [torch.testing.assert_close(torch.tensor(y), torch.tensor(x), rtol=2e-6, atol=1e-6, equal_nan=True) for x, y in zip(a, b)]


WRONG = [
    ("_foreach_add", ([torch.ones(2)],)), ("_foreach_add", ([1.0],)), ("_foreach_mul", (torch.ones(2),)), ("_foreach_addcmul", ([TWO, TWO], [TWO])),
    ("_foreach_addcmul", ([TWO, TWO], [TWO, TWO], torch.ones(3))), ("_foreach_addcdiv", ([TWO, TWO], [TWO, TWO], [1.0, 2.0, 3.0])), ("_foreach_lerp", ([TWO, TWO], [1.0])),
    ("_foreach_copy_", ([TWO],)), ("_foreach_sub", (True,)), ("_foreach_add", ("x",)),
]  # fmt: skip


@pytest.mark.parametrize("name, args", WRONG, ids=str)
def test_refuses_what_torch_refuses(name: str, args: tuple[Any, ...]) -> None:
    theirs, ours = run(torch, name, args), run(bridge.jtorch(), name, args)
    assert isinstance(theirs, tuple) and isinstance(ours, tuple), (theirs, ours)
    assert ours[0] == theirs[0] and ours[1].startswith(re.split(r", but expected", theirs[1])[0])


@pytest.mark.parametrize("name", ["_foreach_exp", "_foreach_norm", "_foreach_zero_", "_foreach_max"])
def test_an_empty_list(name: str) -> None:
    for library in (torch, bridge.jtorch()):
        with pytest.raises(RuntimeError, match="^Tensor list must have at least one tensor.$"):
            getattr(library, name)([])
