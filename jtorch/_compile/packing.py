"""Replays of steps with many small parameters: these, what the optimizer remembers of them, and their gradients lie end to end between two calls (``_engine/running/packed_steps.py`` says why).

What lies in a pack has a storage of a class of its own (``packed_state.py``), so whoever reads or writes any of it is seen: then the call is replayed as it was recorded, until it has been left
alone for long enough again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import chain, repeat, starmap
from operator import attrgetter, eq, is_, itemgetter
from sys import getrefcount
from typing import Any

import numpy as np

from jtorch import _config
from jtorch._compile.replaying import AGAIN, TENSOR_KEPT, Replay, array_of, new_value, nothing_more
from jtorch._core.state.step_state import Form, GradientState, StepState, step_state
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._engine.recording.trace import are_arrays
from jtorch._engine.running import executor
from jtorch._engine.running.packed_steps import Group, groups_of, packed
from jtorch._engine.running.plan import slots_of
from jtorch._engine.values.log import _say
from jtorch._engine.values.shards import spread
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.unbroken import at_once, collected_again, provided, together, uncollected
from jtorch._engine.values.values import Value

__all__ = ["replayed"]

QUIET = 24  # calls before it is packed
PATIENCE = 256  # the most calls that it must have been left alone for, once somebody has looked
LOOKS = 8  # calls in a row whose gradients were looked at, after which they come as they are
NEVER = 1 << 60

_array, _grad, _storage = map(attrgetter, ("array", "_grad", "_s"))
_set_array: Any = Value.array.__set__  # type: ignore[attr-defined]
_from_iterable = chain.from_iterable
_ALL = slice(None)


def aside(make: Callable[[], None]) -> None:
    """XLA compiles while the calls go on."""
    threading.Thread(target=_tried, args=(make,), daemon=True, name="jtorch-packing").start()


def _tried(make: Callable[[], None]) -> None:
    try:
        make()
    except Exception as error:  # noqa: BLE001 - calls are replayed as they were recorded
        if _config.LOG:
            _say(f"a step is not packed: {error!r}")


def replayed(replay: Replay) -> None:
    """The call was replayed as it was recorded, once more."""
    plan = replay.packing
    if plan is None:
        plan = replay.packing = Packing(replay)
    plan.quiet += 1
    if plan.quiet > plan.needed:
        plan.enter()


class Packing:
    """What is known of how a replay can be packed: how long it must be left alone for that, and the packed one, as soon as it is there."""

    __slots__ = ("replay", "quiet", "needed", "packed", "begun")

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.quiet, self.needed = 0, QUIET
        self.packed: Packed | None = None
        self.begun = False

    def enter(self) -> None:
        """Pack it, if its program is there."""
        packed = self.packed
        if packed is not None:
            if packed.looks > LOOKS:
                self.packed, self.needed = None, NEVER
            elif packed.enter():
                self.replay.packed = packed
            self.quiet = 0
        elif not self.begun:
            self.begun = True
            self.quiet = 0
            self._begin()

    def left(self) -> None:
        """Somebody has looked."""
        packed = self.replay.packed
        self.replay.packed = None
        if packed is not None and packed.home is not None:
            packed.home.leave()
        self.quiet, self.needed = 0, min(2 * self.needed, PATIENCE)

    def _begin(self) -> None:
        if self.replay.can_be_packed():
            aside(self._make)
        else:
            self.needed = NEVER

    def _make(self) -> None:
        r = self.replay
        inputs = {i for i in r.donatable if [s is r.storages[r.sources[i][1]] for s in r.storages].count(True) == 1 and i in r.quick[1]}
        groups = [g for g in groups_of(r.recorded, inputs) if _updated_once(r, g)]
        found = Packed(r, groups, self) if groups else None
        if found is not None and found.recorded.warm(found.outs_live, found.flat_at):
            self.packed = found
        else:
            self.needed = NEVER


def _updated_once(r: Replay, group: Group) -> bool:
    """Whether each write of a group's makes one version, and goes nowhere else."""
    into = dict(zip(r.quick[1], zip(r.quick[2], r.more, strict=True), strict=True))
    return all(into[i][1] == 1 and into[i][0] not in r.shown for kind in group.inputs for i in kind)


class _Gradients:
    """The gradients of a group: where they are, as long as nobody has them. ``kind``: their place in the step's list."""

    __slots__ = ("leaves", "form", "kind", "tensors", "storages", "state")

    def __init__(self, leaves: list[Any], form: Form, kind: int) -> None:
        self.leaves, self.form, self.kind = leaves, form, kind
        self.tensors: list[Tensor] = []
        self.storages: list[Any] = []
        self.state: GradientState | None = None

    def there(self, home: StepState) -> bool:
        """Whether the tensors of the last call are those of the leaves, and nobody else has them or has looked at one."""
        mine, tensors = self.state, self.tensors
        if mine is None or not mine.whole or mine.flats is not home.flats or not all(map(is_, map(_grad, self.leaves), tensors)):
            return False
        if mine.given:
            storages = self.storages
            if not all(map(is_, map(_storage, tensors), storages)) or not nothing_more(tensors):
                return False
            if max(map(getrefcount, tensors)) > TENSOR_KEPT or max(map(getrefcount, storages)) > TENSOR_KEPT:
                return False
            mine.given = False
        return True

    def new(self, home: StepState) -> Any:
        """Tensors for the next ones, and what gives them to the leaves."""
        if self.state is not None and self.state.flats is home.flats:
            self.state.left(self.kind)
        self.state = GradientState(self.form, home)
        self.storages = self.state.storages(self.kind)
        self.tensors = []
        for s in self.storages:
            t = new_tensor(None)
            t._s = s
            self.tensors.append(t)
        return map(setattr, self.leaves, repeat("_grad"), self.tensors)


class Packed(Replay):
    """A replay whose groups are in a :class:`StepState`: ``home``."""

    def __init__(self, plain: Replay, groups: list[Group], packing: Packing) -> None:
        self.__dict__.update(plain.__dict__)
        self.plain, self.packing, self.packed, self.asked = plain, packing, None, None
        self.kept, self.orders, self.looks = None, {}, 0
        self.home: StepState | None = None
        taken = {i for g in groups for kind in g.inputs for i in kind}
        self.rows = [((g.avals, g.starts), [[plain.storages[plain.sources[i][1]] for i in kind] for kind in g.inputs]) for g in groups]
        inside = {id(s) for _, kinds in self.rows for kind in kinds for s in kind}
        self.width = sum(len(kinds) for _, kinds in self.rows)
        self._counts(plain, inside)
        # gradients that leave end to end
        position = {p: n for n, p in enumerate(plain.live)}
        leaf = {n: (t, strides) for t, n, _, strides in plain.grads if n is not None}
        many = [n for _, n, _, _ in plain.grads]
        self.gradients: list[_Gradients] = []
        self.new_gradients: list[_Gradients] = []  # those that are no longer where the last call has left them
        away: set[int] = {position[p] for g in groups for kind in g.outputs for p in kind}
        leaving: list[bool] = []
        for g in groups:
            ns = [position.get(p) for p in g.gradients[0]]
            leaving.append(all(n in leaf and leaf[n][1] is None and many.count(n) == 1 and n not in plain.shown for n in ns) and len(set(ns)) == len(ns) and not self._written(plain, ns))
            if leaving[-1]:
                self.gradients.append(_Gradients([leaf[n][0] for n in ns], (g.avals, g.starts), self.width + len(self.gradients)))  # type: ignore[index]
                away.update(ns)  # type: ignore[arg-type]
        self.grads = [x for x in plain.grads if x[1] not in away]
        packed_leaves = {id(t) for g in self.gradients for t in g.leaves}
        self.some_grad = [t for t in plain.some_grad if id(t) not in packed_leaves]
        self.had_grad = [id(t) in packed_leaves for t in plain.some_grad].count(True) > 0
        self.names = [n for n in range(len(plain.live)) if n not in away]
        self.recorded, left, outs = packed(plain.recorded, groups, [plain.live[n] for n in self.names], leaving)
        self.outs_live = (*outs[len(self.names) :], *outs[: len(self.names)])  # in the list of the step: kinds, gradients, what else there is
        # what is left of the inputs
        number = {i: j for j, i in enumerate(left)}
        rest = [n for n, s in enumerate(plain.storages) if id(s) not in inside]
        moved = {n: j for j, n in enumerate(rest)}
        self.storages, self.avals = [plain.storages[n] for n in rest], [plain.avals[n] for n in rest]
        sources = [plain.sources[i] for i in left]
        self.sources = [("fixed", moved[n]) if kind == "fixed" else (kind, n) for kind, n in sources]
        fixed = [n if kind == "fixed" else 0 for kind, n in self.sources]
        nothing, one = not self.storages, len(fixed) == 1
        self.gather = (lambda values: [None] * len(fixed)) if nothing else (lambda values: (values[fixed[0]],)) if one else itemgetter(*fixed) if fixed else (lambda values: ())
        self.others = [(i, kind, n) for i, (kind, n) in enumerate(self.sources) if kind != "fixed"]
        self.draws = [(None if at is None else number[at], redraw, a) for at, redraw, a in plain.draws]
        self.checks = [(number[at], bounds) for at, bounds in plain.checks]
        # What is overwritten beside the groups is little: it gets other memory.
        keep = [(n, s, more) for n, s, more, i in zip(plain.quick[2], plain.quick[0], plain.more, plain.quick[1], strict=True) if i not in taken]
        self.slow, self.donatable = [*plain.slow, *keep], ()
        self.alone = not (self.slow or self.grad_writes or self.arg_writes or self.counts or self.grads or self.effects)  # the list is all that a call changes
        self.flat_at = tuple(range(len(left), len(self.recorded.avals)))
        self.in_order = tuple(range(len(self.outs_live)))
        self.every_scalar = ((float, tuple(range(len(plain.scalars)))),)

    def _counts(self, plain: Replay, inside: set[int]) -> None:
        """Which counts lie in the list too: those whose storages are nothing else. Their numbers are found there."""
        used = {id(plain.storages[n]) for kind, n in plain.sources if kind == "fixed"} | {id(s) for _, s, _ in plain.writes}
        every = [id(s) for storages, _, _ in plain.counts for s in storages]
        mine = [c for c in plain.counts if all(id(s) not in used and every.count(id(s)) == 1 for s in c[0]) and c[2].shape == ()]
        self.counts = [c for c in plain.counts if c not in mine]
        self.counted = [(storages, a) for storages, _, a in mine]
        self.next_counts = [(n, a.dtype.np.type) for _, n, a in mine]
        inside.update(id(s) for storages, _, _ in mine for s in storages)
        kinds = {id(c[0]): j - len(mine) - 1 for j, c in enumerate(mine)}
        self.slots_in = [(None, kinds[id(held)]) if key is None and id(held) in kinds else (held, key) for held, key in plain.slots]
        self.slots = [x for x in plain.slots if id(x[0]) not in kinds]

    @staticmethod
    def _written(plain: Replay, ns: Any) -> bool:
        used = {n for n, _, _ in chain(plain.writes, plain.grad_writes, plain.arg_writes)}
        return not used.isdisjoint(ns)

    def enter(self) -> bool:
        """Lay everything end to end. Whether that was done."""
        home = step_state(self.rows, self.counted)
        if home is None:
            return False
        self.home = home
        return True

    def there(self) -> bool:
        """Whether everything is where it was left. If not, somebody has looked."""
        if self.home.whole and self.looks <= LOOKS and not state.several:  # type: ignore[union-attr]
            return True
        self.packing.left()
        return False

    def ready(self, args: list[Any]) -> list[Value] | None:
        home: StepState = self.home  # type: ignore[assignment]
        self.new_gradients = [g for g in self.gradients if not g.there(home)]
        if self.had_grad:
            for g in self.new_gradients:
                if not all([t._grad is not None for t in g.leaves]):
                    return None
        return Replay.ready(self, args)

    def numbers(self) -> list[Any] | None:
        store = self.home.flats  # type: ignore[union-attr]
        return self._computed([store[key] if held is None else held[key] if key is not None else float(held[0].value.array) for held, key in self.slots_in])

    def _whole(self, args: list[Any], values: list[Value], given: list[Value], scalars: list[Any], numbers: list[Any]) -> Any:
        """Run the program, and put away what it gives: all of it or nothing."""
        plan, places = self.recorded._plans[self.flat_at]
        arrays = list(map(_array, given))
        if not are_arrays(arrays):
            arrays = list(map(array_of, given))
            if not plan.ahead:
                spread(arrays, given)
        home: StepState = self.home  # type: ignore[assignment]
        store, tr = home.flats, state.trace
        before, width = store[-1], self.width
        doings: list[Any] = []
        for g in self.new_gradients:
            self.looks += g.state is not None and g.state.flats is store
            doings.append(g.new(home))
        if not doings:
            self.looks = 0
        program, gather, _, slots, _ = plan.steps[0]
        arrays += store[:width]
        inputs = gather(arrays)
        if slots is not None:
            inputs = (np.array(scalars, slots[0][0]), *inputs) if slots == self.every_scalar else (*slots_of(slots, scalars), *inputs)
        found = starmap(program.native, (inputs,))
        if places != self.in_order:
            found = map(itemgetter(*places), found) if len(places) > 1 else found
        counts = [float(kind(numbers[n])) for n, kind in self.next_counts]
        after = chain(_from_iterable(found), counts, (before + 1,))
        names, first = self.names, width + len(self.gradients)
        del arrays, inputs, found
        executor.stats.executions += 1
        if self.alone and not doings:
            with state.updating:
                if state.several:
                    self.packing.left()
                    return AGAIN
                collects = uncollected()
                try:
                    if state.trace is not tr or tr.count or not home.whole or store[-1] != before:
                        return AGAIN
                    store[:] = after  # nothing is called since it was asked whether all is as it was, so nothing has come in between
                finally:
                    if collects:
                        collected_again()
            outs = dict(zip(names, store[first : first + len(names)], strict=True))
            del store[first : first + len(names)]
            return self.result(self, args, outs, numbers, {}, None)
        targets = [new_value(self.live_avals[n], None) for n in names]
        more, result = self._put_away(args, dict(zip(names, targets, strict=True)), self.slow, None, numbers, None)
        as_it_was = (
            map(is_, map(getattr, (state,), ("trace",)), (tr,)), map(eq, map(getattr, (tr,), ("count",)), (0,)),
            map(getattr, (home,), ("whole",)), map(eq, map(store.__getitem__, (-1,)), (before,)),
        )  # fmt: skip
        done: list[bool] = []
        with state.updating:
            if state.several:
                self.packing.left()
                return AGAIN
            at_once(provided(
                map(all, (together(as_it_was),)), map(store.__setitem__, (_ALL,), (after,)), map(_set_array, targets, map(store.__getitem__, range(first, first + len(names)))),
                map(store.__delitem__, (slice(first, first + len(names)),)), *doings, *more, map(done.append, (True,)),
            ))  # fmt: skip
        return result if done else AGAIN
