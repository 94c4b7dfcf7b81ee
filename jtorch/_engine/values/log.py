"""``JTORCH_LOG=trace,recompiles``: what runs, and why something is compiled again. ``faults``: an error of the engine's own is raised where it could do without (the tests set it)."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from jtorch import _config
from jtorch._engine.values.callers import lines

__all__ = ["trace", "update", "compiling", "exact_shapes", "packing", "fault", "gathering", "scalars_changed"]

_seen: dict[Any, Any] = {}


def _say(text: str) -> None:
    print(f"[jtorch] {text}", file=sys.stderr, flush=True)


def trace(tr: Any, why: str, live: int) -> None:
    if "trace" in _config.LOG:
        _say(f"run ({why}): {len(tr.nodes)} operators, {len(tr.inputs)} inputs, {live} results: " + " ".join(n[0].call.name for n in tr.nodes[:40]))


def update(name: str, results: int) -> None:
    if "trace" in _config.LOG:
        _say(f"run (update): {name}, {results} results")


def scalars_changed(tr: Any, fresh: set[int], before: list[Any]) -> None:
    if "recompiles" in _config.LOG:
        for i in sorted(fresh):
            _say(f"recompile: number {before[i]!r} became {tr.scalars[i]!r}; it is a runtime input from now on")


def exact_shapes(why: str) -> None:
    if "recompiles" in _config.LOG:
        _say(f"programs alike but for sizes are compiled for each shape: {why}")


_OURS = (AttributeError, NameError, AssertionError)  # what no program's sizes are the cause of


def fault(error: Exception) -> None:
    """A program for many sizes could not be made, and exact shapes are the way out. If the engine itself is at fault, let it be seen."""
    if isinstance(error, _OURS):
        if "faults" in _config.LOG:
            raise error
        if "recompiles" in _config.LOG:
            _say("".join(traceback.format_exception(error)))


def packing(name: str, count: int) -> None:
    if "recompiles" in _config.LOG:
        _say(f"compile (update): {name} of {count} small parameters with their state in one piece")


def gathering(operators: int, count: int) -> None:
    if "recompiles" in _config.LOG:
        _say(f"compile (backward): {operators} operators once more, with {count} small gradients in one piece")


def compiling(key: Any, why: str) -> None:
    """Compare with the last program of the same operators, and say which input differs."""
    if "recompiles" not in _config.LOG:
        return
    body, outs, donated = key[:3]
    names = tuple(n[0].call.name for n in body)
    avals = [[repr(a) for a in n[0].inputs] for n in body]
    calls = [n[0].call for n in body]
    before = _seen.get(names)
    _seen[names] = (avals, outs, donated, calls)
    shown = " ".join(names[:6]) + (" ..." if len(names) > 6 else "")
    where = "".join(f", at {path}:{number}" for path, number, _ in lines(1))
    if before is None:
        _say(f"compile ({why}): {len(body)} operators: {shown}{where}")
        return
    for name, old, new in zip(names, before[0], avals, strict=True):
        if old != new:
            changed = ", ".join(f"{a} -> {b}" for a, b in zip(old, new, strict=False) if a != b)
            _say(f"recompile ({why}): {shown}: input of {name} changed: {changed}{where}")
            return
    reason = next((found for old, new in zip(before[3], calls, strict=True) if old is not new and (found := _other_call(old, new))), None)
    if reason is None:
        reason = "other results are held" if before[1] != outs else "other inputs can be given away" if before[2] != donated else "operators are connected otherwise, or a number differs"
    _say(f"recompile ({why}): {shown}: {reason}{where}")


def _other_call(old: Any, new: Any) -> str | None:
    """Which size or flag of a call of the same operator differs."""
    if old.op is None or old.op is not new.op:
        return None
    differ = [(p.name, a[-1], b[-1]) for p, a, b in zip(new.op.fn_params, old.key, new.key, strict=False) if a != b]
    return f"{new.name} is called otherwise: " + ", ".join(f"{name}={a!r} -> {b!r}" for name, a, b in differ) if differ else None
