"""``torch.compile(mode=, options=)``: what torch's compiler takes is taken, the rest is refused in the same words."""

from __future__ import annotations

import typing
from typing import Any

import pytest
import torch
import torch._inductor.config

import jtorch
import jtorch._private.dynamo.config
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


class Entry(typing.NamedTuple):
    """Of a guard, what filters look at."""

    guard_type: str
    is_global: bool
    value: Any


def _settings_and_marks(torch: Any, dynamo: Any) -> list[Any]:
    config, seen = torch.compiler.config, []
    for change in (lambda: setattr(config, "nonsense", 1), lambda: config.nonsense):
        try:
            change()
        except AttributeError as error:
            seen.append(type(error).__name__)
    with config.patch(recompile_limit=3):
        seen += [dynamo.recompile_limit, config.recompile_limit]
    seen += [config.recompile_limit, config.job_id, sorted(config.get_config_copy())]
    seen += [torch.compiler.set_enable_guard_collectives(x) for x in (True, False, False)]
    marked = torch.compiler.nested_compile_region(lambda x: x.sin())
    f = torch.compile(lambda x: marked(marked(x)), backend="eager", fullgraph=True)
    seen += [marked.__name__, *[round(f(torch.ones(1)).item(), 4) for _ in range(2)]]
    try:
        torch.compiler.nested_compile_region(marked, options=3)
    except RuntimeError as error:
        seen.append(str(error))
    entries = [Entry("TENSOR_MATCH", False, None), Entry("TENSOR_MATCH", True, torch.nn.Parameter(torch.ones(1))), Entry("SHAPE_ENV", False, None), Entry("EQUALS_MATCH", True, 3)]
    c = torch.compiler
    for keep in (c.keep_portable_guards_unsafe, c.keep_tensor_guards_unsafe, lambda g: c.keep_tensor_guards_unsafe(g, True), c.skip_guard_on_globals_unsafe, c.skip_all_guards_unsafe):
        seen.append(keep(entries))
    return seen


def test_settings_and_marks() -> None:
    assert _settings_and_marks(jtorch, jtorch._private.dynamo.config) == _settings_and_marks(torch, torch._dynamo.config)
