"""What branches and loops have in common: calling a program's function, and torch's words where it does what none may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jtorch._compile.errors import UncapturedHigherOrderOpError
from jtorch._core.backward.control_flow import Aliased, Region, Written
from jtorch._core.state.generator import Keys
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.values import Aval
from jtorch._public import torch
from jtorch.utils._pytree import tree_flatten

__all__ = ["Draws", "called", "keys", "mismatch", "recorded", "refuse"]

_START = "This higher order operator doesn't work unless it is captured completely with torch.compile. Got graph break/error:\n\n"


def refuse(what: str, name: str, why: str) -> UncapturedHigherOrderOpError:
    """torch's error for a function that does what a branch or a loop's body cannot."""
    return UncapturedHigherOrderOpError(f"{_START}{what}\n  Higher Order Operator: {name}\n  Explanation: {why}")


def called(fn: Callable[..., Any], *args: Any) -> Any:
    """``fn(*args)``, seen by who watches."""
    watch = state.observed
    return fn(*args) if watch is None else watch.helper.call(fn, *args)


def recorded(name: str, fn: Callable[..., Any], avals: Sequence[Aval], followed: Sequence[bool]) -> Region:
    """The region of a function. UncapturedHigherOrderOpError in torch's words if it writes its inputs or gives them back."""
    try:
        return Region(fn, avals, followed, tree_flatten)
    except Written:
        raise refuse(
            "Encountered input mutation during higher order op tracing", name,
            "Higher order ops do not support input mutation. Consider using the debug context to change user code to avoid mutation.",
        ) from None  # fmt: skip
    except Aliased:
        raise refuse(
            "Encountered aliasing during higher order op tracing", name,
            "Higher order ops do not support aliasing. Consider using the debug context to change user code to avoid aliasing, or cloning the output.",
        ) from None  # fmt: skip


def mismatch(name: str, said: str, given: Sequence[Any], found: Sequence[Any]) -> None:
    """UncapturedHigherOrderOpError if tensors are not alike in shape, type and device. ``said``: what they are."""
    if len(given) != len(found):
        raise UncapturedHigherOrderOpError(
            f"Expected {said} to have same number of outputs but got lhs:{[*map(_shown, given)]} and rhs:{[*map(_shown, found)]}\n  Higher Order Operator: {name}"
        )
    wrong = []
    for i, (a, b) in enumerate(zip(given, found, strict=True)):
        parts = [f"'{k}: {getattr(a, k)} vs {getattr(b, k)}'" for k in ("dtype", "shape", "device") if getattr(a, k) != getattr(b, k)]
        if parts:
            wrong.append(f"pair[{i}] differ in {', '.join(parts)}, where lhs is {_shown(a)} and rhs is {_shown(b)}")
    if wrong:
        raise UncapturedHigherOrderOpError(f"Expected {said} to have same metadata but found:\n" + "\n".join(wrong) + f"\n  Higher Order Operator: {name}")


def _shown(t: Any) -> str:
    kind = "" if t.dtype is torch.float32 else f", dtype={t.dtype}"
    return f"FakeTensor(..., size={tuple(t.shape)}{kind})"


class Draws:
    """Inside, random numbers come from a key: each turn of a loop has one of its own. ``row``: the key as int64 [2], an input of the body."""

    def __init__(self, row: Any) -> None:
        self.keys = Keys(None)
        self.keys._key = row.to(torch.uint32)

    def __enter__(self) -> Draws:
        self.before, state.keys = state.keys, self.keys
        return self

    def __exit__(self, *_: object) -> None:
        state.keys = self.before

    @property
    def used(self) -> bool:
        """Whether anything was drawn."""
        return self.keys._offset > 0


def keys(count: int) -> Any:
    """Keys for so many turns, int64 [count, 2], from the generator that draws go to."""
    return torch.randint(0, 1 << 31, (count, 2))
