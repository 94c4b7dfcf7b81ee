"""What is kept of compiled programs, and for how long: as many bytes as ``_config.PROGRAM_BYTES``, the least recently used go first.

A recipe owns the programs that its plan runs, by what they were measured to cost when they were compiled; a trace that ran operator by operator, those of its entries. Programs are shared
by recipes and go with the last of them. What traces of structures that never came again have left goes first: an endless stream of shapes must not push out the loop that it is part of.
What ran lately is never dropped, however much it is.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax.extend.core import unsafe_am_i_under_a_jit_DO_NOT_USE as _being_traced

from jtorch import _config
from jtorch._engine.recording import entry
from jtorch._engine.recording.forgetting import entries_of, forget_calls
from jtorch._engine.recording.program import Program
from jtorch._engine.values import memory

__all__ = ["Kept", "charge", "forget_everything", "full", "kept_in", "made", "measured", "met", "sweep", "told", "weighed"]

RECENT = 64  # executions; what came again and ran within them stays
LATEST = 8  # the same of what came once or twice
ENTRIES = 3000  # that may be made between two sweeps
RECIPES = 3000
_NODE = 160  # bytes that a node of a recipe's key takes
_ENTRY = 3 << 10  # and what is known of a call on inputs of new sizes
_LIGHT = 24 << 20  # bytes of these beside all programs: a size that comes again is soon found out about again
_LEAST, _MOST = 100 << 10, 32 << 20  # bytes of one program, whatever was measured: other threads allocate too
_FACTOR = 2  # code and torn pages come to as much again as what is allocated for a program


class Kept:
    """What retention knows of a recipe: when it ran last, how often it came, and what it costs beside its programs (``light``: it and what is known of its calls)."""

    __slots__ = ("used", "seen", "cost", "light", "__weakref__")

    def __init__(self) -> None:
        self.used = self.seen = self.cost = self.light = 0

    def programs(self) -> list[Program]:
        """The programs that it runs."""
        return []


kept_in: list[tuple[dict[Any, Any], Callable[[Any], Iterable[tuple[Any, ...]]]]] = []  # stores of such, and which nodes stand behind a key
told: list[Callable[[], None]] = []  # who hears of a sweep
_total, _threshold, _light = 0, 0, 0  # bytes
_usual = 4 * _LEAST  # bytes of a program, of those that were measured lately
_due = 0.0  # when memory may be asked for again
_entries = 0  # made when the last recipe was new
_traced = 0  # entries made since JAX forgot what it had traced for them


def weighed() -> int | None:
    """The bytes in use, before something is compiled; None where that was asked a short while ago. The C library goes through all its free blocks for it, milliseconds in a process that has
    compiled much (8 before and 8 after each program of 130), so it is asked for a fiftieth of the time at most."""
    return memory.in_use() if time.perf_counter() >= _due else None


def measured(before: int | None, programs: int) -> int:
    """What compiling so many programs since ``before`` (:func:`weighed`) has cost, in bytes; where that was not asked, as much as programs have cost lately."""
    global _due, _usual
    if before is None:
        return programs * _usual
    began = time.perf_counter()
    cost = min(max((memory.in_use() - before) * _FACTOR, programs * _LEAST), programs * _MOST)
    now = time.perf_counter()
    _due = now + 100 * (now - began)  # twice as long it took
    if programs:
        _usual += (cost // programs - _usual) // 4
    return cost


def met(kept: Kept, nodes: int) -> None:
    """A recipe is new, with so many nodes, and whatever entries were made since the last one was."""
    global _light, _entries
    cost = nodes * _NODE + max(entry.made - _entries, 0) * _ENTRY
    kept.light, _light, _entries = cost, _light + cost, entry.made
    charge(kept, cost)


def made(kept: Kept, before: int | None) -> None:
    """A plan was made for a recipe: divide what that has cost among its new programs."""
    fresh = [p for p in kept.programs() if not p.cost]
    cost = measured(before, len(fresh))
    for p in fresh:
        p.cost = cost // len(fresh)
    _add(cost)


def charge(kept: Kept, cost: int) -> None:
    """A recipe has cost so many bytes beside its programs."""
    kept.cost += cost
    _add(cost)


def _add(cost: int) -> None:
    global _total
    _total += cost


def full() -> bool:
    """Whether something must be let go of."""
    return _total > (_threshold or _config.PROGRAM_BYTES) or entry.made > ENTRIES or _light > _LIGHT


def sweep(now: int) -> None:
    """Drop recipes until half of the limit is free, and what is known of calls that none of the rest uses."""
    global _total, _threshold, _traced, _light, _entries
    _traced += entry.made
    limit = _config.PROGRAM_BYTES
    every = [(k, store, key) for store, _ in kept_in for key, k in list(store.items()) if k is not None]
    users = Counter(p for k, _, _ in every for p in k.programs())
    _total = sum(k.cost for k, _, _ in every) + sum(p.cost for p in users)
    count, _light = len(every), sum(k.light for k, _, _ in every)
    every.sort(key=lambda e: (e[0].seen > 2, e[0].used))
    for k, store, key in every:
        if _total <= limit // 2 and count <= RECIPES and _light <= _LIGHT // 2:
            break
        if now - k.used > (RECENT if k.seen > 2 else LATEST):
            store.pop(key, None)
            count -= 1
            _total -= k.cost
            _light -= k.light
            for p in k.programs():
                users[p] -= 1
                if not users[p]:
                    _total -= p.cost
    del every, users
    forget_calls({e for store, nodes in kept_in for key in list(store) for e in entries_of(nodes(key))})
    _entries = 0
    for tell in told:
        tell()
    _threshold = max(limit, _total + limit // 4)
    _light = min(_light, _LIGHT // 2)  # what ran lately stays, however much it is
    gc.collect()
    if _traced >= ENTRIES and not _being_traced():
        # JAX keeps what it traced of its own functions for each shape that they met: ten kilobytes an entry.
        jax.clear_caches()
        _traced = 0
    memory.give_back()


def forget_everything() -> None:
    """Drop all recipes and whatever is known of calls: the devices that programs were compiled for are no more."""
    for store, _ in kept_in:
        store.clear()
    forget_calls(set())
    for tell in told:
        tell()
    gc.collect()
