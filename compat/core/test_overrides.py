"""Every function that torch lists as overridable asks ``__torch_function__`` of its arguments, in jtorch as in torch."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest
import torch
import torch.overrides

from compat import bridge

ANSWER = object()


class Like:
    """Neither a tensor nor a number: it takes part by ``__torch_function__`` alone."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return ANSWER, func


def _cases() -> dict[str, tuple[Any, Any]]:
    """Path to (torch's function, the stand-in that has its signature)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        overrides = torch.overrides.get_testing_overrides()
    found = {}
    for fn, stand_in in overrides.items():
        path = bridge.paths().get(fn)
        if path is None or path.startswith("Tensor.") or "_" == path.rpartition(".")[2][0] or isinstance(fn, type):
            continue
        try:
            ours = bridge.resolve(path)
        except bridge.Missing:
            continue  # the surface report counts it
        if not hasattr(ours, "jtorch_declined"):
            found[path] = (ours, stand_in)
    return dict(sorted(found.items()))


CASES = _cases()


def problem(ours: Any, stand_in: Any) -> str | None:
    """None when the call is offered to the argument; else what happened."""
    params = inspect.signature(stand_in).parameters.values()
    first = [p for p in params if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    args: list[Any] = [Like() for _ in first]
    if any(p.kind is p.VAR_POSITIONAL for p in params):
        args.append(Like())
    if stand_in.__code__.co_varnames[:1] == ("tensors",):
        args[:1] = [[Like()]]
    try:
        result = ours(*args)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    if type(result) is not tuple or result[0] is not ANSWER:
        return f"gave {result!r}"[:200]
    return None if result[1] is ours else f"offered {result[1]!r} instead"


@pytest.mark.parametrize("path", CASES)
def test_is_offered_to_the_argument(path: str) -> None:
    assert problem(*CASES[path]) is None
