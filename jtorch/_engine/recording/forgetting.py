"""Forgetting what is known of calls that no kept recipe uses: entries, their gradients' plans, and calls that have none left.

Everything forgotten is found out again when it is met again. What a kept recipe names must stay the very object that it is, for recipes are found by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from sys import getrefcount
from typing import Any

from jtorch._registry import OPS

from jtorch._engine.recording import bundle, entry, guards
from jtorch._engine.recording.bundle import Bundle
from jtorch._engine.recording.call import NO_ENTRY, Call
from jtorch._engine.recording.trace import _lane_calls

__all__ = ["entries_of", "forget_calls", "interned", "remembered"]

remembered: list[dict[Any, Any]] = []  # caches of what is derived from calls and avals alone: emptied
interned: list[dict[Any, Call]] = [guards._calls, _lane_calls]  # where calls are found that belong to no operator


def entries_of(nodes: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """The entries that nodes stand for, bundles among them."""
    for node in nodes:
        first = node[0]
        yield first
        if first.__class__ is Bundle:
            yield from first.parts


def forget_calls(kept: set[Any]) -> None:
    """Drop every entry that is not in ``kept`` and that nothing in it comes from, then calls without entries that nobody holds."""
    for cache in remembered:
        cache.clear()
    for key, found in list(bundle._bundles.items()):
        if found is None or found not in kept:
            bundle._bundles.pop(key, None)
    every = {op: op.calls for overloads in OPS.values() for op in overloads}
    for calls in (*interned, *every.values()):
        for call in list(calls.values()):
            _forget_entries(call, kept)
        _drop(calls, lambda call: not call.entries)
    entry.made = 0


def _forget_entries(call: Call, kept: set[Any]) -> bool:
    """Whether anything of the call is kept."""
    for key, found in list(call.entries.items()):
        wanted = found in kept
        for plan in list(found.plans.values()):
            for behind in (plan.forward, *list(plan._backward.values())):
                if behind is not None and _forget_entries(behind, kept):
                    wanted = True
        if not wanted:
            call.entries.pop(key, None)
            if call.last is found:
                call.last = NO_ENTRY
    return bool(call.entries)


def _drop(store: dict[Any, Any], free: Callable[[Any], bool]) -> None:
    for key in list(store):
        found = store.get(key)
        if found is not None and free(found) and getrefcount(found) <= _ALONE:
            store.pop(key, None)


def _count_alone() -> int:
    """What getrefcount says in :func:`_drop` of an object that the dict alone holds."""
    counts: list[int] = []
    store = {0: object()}
    for key in list(store):
        found = store.get(key)
        if found is not None and counts is not None and getrefcount(found):
            counts.append(getrefcount(found))
    return counts[0]


_ALONE = _count_alone()
