"""What ``functional_call`` puts into a module, takes out again and refuses: the same under both libraries."""

from __future__ import annotations

from typing import Any

import pytest
import torch as real

import jtorch

KEYS = ["l1.weight", "l1.extra", "extra", "none", "foo", "", ".", "l1", "l1.", "l2.weight", "foo.weight", "forward", "buffer"]


def _attempt(fn: Any) -> Any:
    try:
        return fn()
    except Exception as e:
        return type(e).__name__, str(e).replace("jtorch", "torch")


def _seen(torch: Any, key: str, kind: str, strict: bool) -> list[Any]:
    class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.l1, self.foo = torch.nn.Linear(1, 1, bias=False), 0.0
            self.register_buffer("buffer", torch.ones(1))
            self.register_parameter("none", None)

        def forward(self, x: Any) -> Any:
            there = [n for n, _ in self.named_parameters()], [n for n, _ in self.named_buffers()]
            return (self.l1(x) + self.buffer).shape, *there, sorted(k for k in vars(self) if k[:1] != "_"), sorted(vars(self.l1))[-3:]

    model = Model()
    value = {"tensor": torch.ones(1, 1), "parameter": torch.nn.Parameter(torch.ones(1, 1)), "none": None, "number": 3}[kind]
    before = [*model.parameters(), *model.buffers()]
    found = _attempt(lambda: torch.func.functional_call(model, {key: value}, torch.ones(1, 1), strict=strict))
    after = [*model.parameters(), *model.buffers()]
    return [found, len(after) == len(before) and all(a is b for a, b in zip(after, before, strict=False)), model.foo, hasattr(model, "extra"), hasattr(model.l1, "extra")]


@pytest.mark.parametrize("kind", ["tensor", "parameter", "none", "number"])
def test_what_is_put_in_and_taken_out(kind: str) -> None:
    for key in KEYS:
        for strict in (False, True):
            assert _seen(jtorch, key, kind, strict) == _seen(real, key, kind, strict), (key, strict)


def _scripted(torch: Any) -> list[Any]:
    x = torch.ones(1, 1)
    made = [torch.jit.script(torch.nn.Linear(1, 1)), torch.jit.trace(torch.nn.Linear(1, 1), x)]
    return [_attempt(lambda m=m: torch.func.functional_call(m, {"weight": x}, x)) for m in made]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_modules_are_refused() -> None:
    assert _scripted(jtorch) == _scripted(real)
