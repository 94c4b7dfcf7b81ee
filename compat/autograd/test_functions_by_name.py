"""``Function.apply`` with arguments by name: they are inputs in their places, each with a gradient of its own; and what has no place. The same under both libraries."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

CALLS: dict[str, tuple[str, list[str]]] = {  # the signature of forward, and calls
    "defaults": ("ctx, x, a=1, b=2", ["x, a=w", "x, b=3", "x, c=3", "x, x=3", "a=3", "x, b=3, a=2", "x=x, a=w, b=w", ""]),
    "names only": ("ctx, x, *, a=1", ["x", "x, a=w"]),
    "any name": ("ctx, x, **a", ["x", "x, b=w"]),
}


def outcomes(lib: Any, name: str) -> list[str]:
    signature, calls = CALLS[name]
    found: list[str] = []
    scope = {"torch": lib, "found": found}
    exec(
        f"class F(torch.autograd.Function):\n    @staticmethod\n    def forward({signature}): ctx.n = len(ctx.needs_input_grad); found.append(str((ctx.needs_input_grad, type(a).__name__))); return x * 1\n"
        "    @staticmethod\n    def backward(ctx, g): return tuple(g * (i + 1) for i in range(ctx.n))",
        scope,
    )
    for call in calls:
        scope["x"], scope["w"] = lib.ones(2, requires_grad=True), lib.ones(2, requires_grad=True)
        try:
            exec(f"F.apply({call}).sum().backward()", scope)
            found.append(str([None if t.grad is None else t.grad.tolist() for t in (scope["x"], scope["w"])]))
        except (TypeError, RuntimeError) as error:
            found.append(f"{type(error).__name__} {error}")
    return found


@pytest.mark.parametrize("name", CALLS)
def test_by_name(name: str) -> None:
    assert outcomes(jtorch, name) == outcomes(torch, name)


def test_instances_are_warned_of() -> None:
    def said(lib: Any) -> str:
        with pytest.warns(DeprecationWarning) as heard:
            type("F", (lib.autograd.Function,), {})()
        return str(heard[0].message)

    assert said(jtorch) == said(torch)
