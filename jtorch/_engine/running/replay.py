"""Nodes that were recorded once, to be run or recorded again without the Python that recorded them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from threading import RLock
from typing import Any

import numpy as np

from jtorch._engine.planning.segments import LONG
from jtorch._engine.recording.bundle import expanded
from jtorch._engine.recording.guards import Every
from jtorch._engine.recording.trace import SCALAR, SMALL, Trace, _set_array, _set_pos, _set_trace, add_input, add_scalar, append, record_multi
from jtorch._engine.running import executor
from jtorch._engine.running.executor import Recipe
from jtorch._engine.running.plan import Plan, slots_of
from jtorch._engine.running.plan_making import always_dynamic
from jtorch._engine.values.shards import in_use, sent, spread
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.unbroken import elsewhere
from jtorch._engine.values.values import Value, to_device

__all__ = ["Recorded", "outside"]


class Recorded:
    """Nodes of a trace on inputs of these avals. ``dynamic``: the scalars that are given for each run; the others are those of ``scalars``."""

    __slots__ = ("nodes", "avals", "scalars", "dynamic", "device", "checks", "successors", "_plans")

    def __init__(self, nodes: list[Any], avals: list[Any], scalars: list[Any], dynamic: set[int], device: Any, checks: Any = ()) -> None:
        self.nodes, self.avals, self.scalars, self.dynamic, self.device, self.checks = expanded(nodes), avals, scalars, dynamic, device, checks
        self.successors: dict[int, int] = {}  # which output takes the place of an input that may be overwritten
        self._plans: dict[Any, tuple[Plan, tuple[int, ...] | None]] = {}

    def plan(self, arrays: list[Any], live: tuple[int, ...], donated: tuple[int, ...]) -> Plan:
        """The programs for these outputs; inputs ``donated`` may be overwritten."""
        found = self._plans.get(donated)
        if found is None:
            tr: Trace = object.__new__(Trace)  # by hand, for this may be a thread that computes nothing (packing.py)
            tr.device, tr.dynamic, tr.inputs, tr.nodes, tr.scalars = self.device, None, [], self.nodes, list(self.scalars)
            for a in self.avals:
                v = Value()
                v.aval, v.array, v.trace, v.pos = a, None, None, -1
                tr.inputs.append(v)
            dynamic = self.dynamic | always_dynamic(self.nodes)
            recipe = Recipe()
            plan = executor._made(tr, recipe, dynamic, self.checks, arrays, live, list(donated), "replay", None, self.successors if donated else None, self._small())
            found = self._plans[donated] = plan, plan.places(live)
        return found[0]

    def _small(self) -> bool:
        """Whether what a program's call costs counts for more than what it computes: then it is one."""
        return len(self.nodes) <= LONG and all(a.nbytes <= SMALL for a in self.avals)

    def warm(self, live: tuple[int, ...], donated: tuple[int, ...]) -> bool:
        """Compile the program that :meth:`into` runs, and let it run on zeros, which JAX does in Python the first time. Whether it is one."""
        arrays = elsewhere(self._zeros)
        plan = self.plan(arrays, live, donated)
        if self._plans[donated][1] is None:
            return False
        program, gather, _, slots, _ = plan.steps[0]
        program.first((*(slots_of(slots, self.scalars) if slots is not None else ()), *gather(arrays)), _forgotten).wait()
        return program.native is not None

    def _zeros(self) -> list[Any]:
        return [to_device(np.zeros(a.shape, a.dtype.np), a.device) for a in self.avals]

    def run(self, arrays: list[Any], values: Sequence[Value], scalars: list[Any], live: tuple[int, ...]) -> tuple[list[Any], list[tuple[Any, Every]]]:
        """(the outputs, what the guards found). ``values``: those of the arrays, whose list is used up."""
        plan = self.plan(arrays, live, ())
        if not plan.ahead:
            spread(arrays, values)
        run = plan.run(arrays, scalars, live)
        executor.stats.executions += 1
        run.finish()
        return run.results(), run.found()

    def into(
        self, arrays: list[Any], values: Sequence[Value], scalars: list[Any], live: tuple[int, ...], donated: tuple[int, ...], targets: list[Value], of: tuple[int, ...]
    ) -> tuple[list[Any], Callable[[], None] | None]:
        """Iterators that give these values their arrays when they are gone through (``of``: which of the ``live`` outputs each one is), and what must be called afterwards, if anything: then the
        values are pending until it was, or somebody looks. The inputs ``donated`` are gone. The list of arrays, which are those of ``values``, is used up. Not where there are guards."""
        plan = self.plan(arrays, live, donated)
        if not plan.ahead:
            spread(arrays, values)
        executor.stats.executions += 1
        places = self._plans[donated][1]
        if places is not None and plan.steps[0][0].native is not None:
            return plan.into(arrays, scalars, targets, map(places.__getitem__, of), values), partial(_sent, targets) if in_use and not plan.ahead else None
        tr = Trace(self.device)
        tr.host, tr.lock, tr.nodes = False, RLock(), self.nodes
        at = [live[n] for n in of]
        tr.run = plan.run(arrays, scalars, at, targets)
        return [map(_set_array, targets, repeat(None)), map(_set_pos, targets, at), map(_set_trace, targets, repeat(tr))], partial(executor.execute, tr, "replay")

    def taken(self, values: list[Value], scalars: list[Any], live: tuple[int, ...]) -> list[Value]:
        """The outputs ``live``, pending in a trace that nobody records into: it runs where one of them is looked at. The list of values is used up."""
        tr = Trace(self.device)
        tr.host, tr.lock, tr.nodes = False, RLock(), list(self.nodes)
        tr.inputs, tr.scalars = list(values), list(scalars)
        values.clear()
        every = [a for node in self.nodes for a in node[0].outs]
        tr.outputs = [None] * len(every)
        tr.count, tr.input_count, tr.scalar_count = len(every), len(tr.inputs), len(scalars)
        outs = []
        for n in live:
            v = tr.outputs[n] = Value()
            v.aval, v.array, v.trace, v.pos = every[n], None, tr, n
            outs.append(v)
        return outs

    def record(self, values: list[Value], scalars: list[Any], live: tuple[int, ...]) -> list[Value]:
        """Record the nodes once more, on other values; the values of the outputs ``live``."""
        tr = state.trace
        if tr.device is not self.device or any(v.trace is not None and v.trace is not tr for v in values):
            return self._one_by_one(values, scalars, live)
        places: list[int] = []
        for v in values:
            at = v.pos if v.trace is tr else tr.input_pos.get(v)
            if at is None:
                at = add_input(tr, v)
                if at is None or tr is not state.trace:
                    return self._one_by_one(values, scalars, live)
            places.append(at)
        numbers = [add_scalar(tr, x) for x in scalars]
        base = tr.count
        found: dict[int, Value] = {}
        wanted = set(live)
        first = 0
        for node in self.nodes:
            entry = node[0]
            refs = [p + base if p >= 0 else places[-1 - p] if p > SCALAR else numbers[SCALAR - p] for p in node[1:]]
            outs = append(tr, (entry, *refs), entry.outs)
            if outs is None:
                return self._one_by_one(values, scalars, live)
            for i, v in enumerate(outs):
                if first + i in wanted:
                    found[first + i] = v
            first += len(entry.outs)
        return [found[i] for i in live]

    def _one_by_one(self, values: list[Value], scalars: list[Any], live: tuple[int, ...]) -> list[Value]:
        made: list[Value] = []
        for node in self.nodes:
            args = [made[p] if p >= 0 else values[-1 - p] if p > SCALAR else scalars[SCALAR - p] for p in node[1:]]
            made += record_multi(node[0].call, args)
        return [made[i] for i in live]


def _sent(targets: list[Value]) -> None:
    sent([v.array for v in targets[:: 1 + len(targets) // 8]])


def _forgotten(results: Any) -> None:
    """What nobody wants."""


def outside(found: list[tuple[Any, Every]]) -> None:
    """Raise what the guards of a run have found. Waits for it."""
    for array, every in found:
        value, at = np.asarray(array).tolist()
        if at >= 0:
            for size, bounds, _ in every:
                if at < size:
                    raise bounds.error(value, at)
                at -= size
