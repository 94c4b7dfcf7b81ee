"""``torch.compile(mode=, options=)``: what torch's compiler takes is taken, the rest is refused in the same words."""

from __future__ import annotations

import typing
from typing import Any

import pytest
import torch
import torch._inductor.config

import jtorch
from jtorch._compile.options import known_options

ASKED: dict[str, dict[str, Any]] = {
    "unknown": {"options": {"nonsense": 1}}, "unknown below another": {"options": {"triton.nonsense": 1}}, "known": {"options": {"max-autotune": True, "triton.cudagraphs": False}},
    "another class": {"options": {"epilogue_fusion": 1}}, "none": {"options": {"max_autotune": None}}, "none at all": {"options": {}}, "no dict": {"options": 3},
    "a mode": {"mode": "reduce-overhead"}, "no mode": {"mode": "nonsense"}, "both": {"mode": "default", "options": {"nonsense": 1}}, "both, empty": {"mode": "default", "options": {}},
    "torch.compile's own": {"options": {"guard_filter_fn": lambda guards: [True for _ in guards]}}, "of no other backend": {"backend": "eager", "options": {"nonsense": 1}},
    "a mode of no other backend": {"backend": "eager", "mode": "nonsense"},
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_refused_alike(name: str) -> None:
    said = []
    for lib in (torch, jtorch):
        try:
            lib.compile(lambda x: x, **ASKED[name])
            said.append("taken")
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    assert said[0] == said[1]


def test_a_backend_is_handed_both() -> None:
    for lib in (torch, jtorch):
        lib.compiler.reset()
        given: list[Any] = []

        def backend(graph: Any, inputs: Any, *, given: Any = given, **kwargs: Any) -> Any:
            given.append(kwargs)
            return graph

        for asked in ({"mode": "mine"}, {"options": {"mine": 1}}, {"mode": "default"}, {}):
            lib.compile(lambda x: x + 1, backend=backend, **asked)(lib.ones(1))
            lib.compiler.reset()
        assert given == [{"mode": "mine"}, {"options": {"mine": 1}}, {}, {}]


def test_the_options_are_torch_s() -> None:
    config = torch._inductor.config
    theirs = {name: config.get_type(name) for name in config.get_config_copy()}
    assert {name: kind if isinstance(kind, type) and typing.get_origin(kind) is None else None for name, kind in theirs.items()} == known_options()
    assert list(known_options()) == torch._inductor.list_options()
