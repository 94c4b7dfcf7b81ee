"""Which modules a recorded call went through: what ``unflatten`` gives a program its hierarchy back from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jtorch._core.storage.view_steps import read
from jtorch._engine.values.thread_state import state
from jtorch._public import torch
from jtorch.utils._pytree import tree_flatten

__all__ = ["Call", "followed"]


@dataclasses.dataclass
class Call:
    """A module's call: its name with the number of the call (``s``, ``s@1``), its class, which nodes of the trace it recorded (from ``start`` to before ``end``), and of one whose signature is kept,
    (values and structure) of the arguments and the result."""

    name: str
    fqn: str
    kind: str
    start: int
    end: int = 1 << 62
    given: Any = None
    result: Any = None


def _values(x: Any) -> tuple[list[Any], Any]:
    leaves, spec = tree_flatten(x)
    return [read(t) if isinstance(t, torch.Tensor) else t for t in leaves], spec


@contextmanager
def followed(mod: Any, kept: tuple[str, ...]) -> Iterator[list[Call]]:
    """Within, the calls of the modules below ``mod``, in the order in which they begin."""
    calls: list[Call] = []
    under_way: list[Call] = []
    counts: dict[str, int] = {}

    def before(fqn: str, kind: str) -> Any:
        def hook(module: Any, args: Any, kwargs: Any) -> None:
            number = counts[fqn] = counts.get(fqn, -1) + 1
            given = _values((args, kwargs)) if fqn in kept else None
            calls.append(Call(f"{fqn}@{number}" if number else fqn, fqn, kind, len(state.trace.nodes), given=given))
            under_way.append(calls[-1])

        return hook

    def after(fqn: str) -> Any:
        def hook(module: Any, args: Any, out: Any) -> None:
            call = under_way.pop()
            if fqn in kept:
                call.result = _values(out)
            call.end = len(state.trace.nodes)

        return hook

    handles = []
    for fqn, module in mod.named_modules():
        if fqn:
            kind = f"{type(module).__module__}.{type(module).__qualname__}"
            try:
                handles.append(module.register_forward_pre_hook(before(fqn, kind), prepend=True, with_kwargs=True))
            except RuntimeError:  # a scripted one is a part of what calls it
                continue
            handles.append(module.register_forward_hook(after(fqn), always_call=True))  # also where it raises, and a module above catches that
    try:
        yield calls
    finally:
        for h in handles:
            h.remove()
