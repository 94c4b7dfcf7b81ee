"""Replays of steps with many small parameters: these, what the optimizer remembers of them, and their gradients lie end to end between two calls (``_engine/running/packed_steps.py`` says why).

What lies in a pack has a storage of a class of its own (``packed_state.py``), so whoever reads or writes any of it is seen: then the call is replayed as it was recorded, until it has been left
alone for long enough again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import chain, repeat
from operator import attrgetter, eq, is_, itemgetter
from sys import getrefcount
from typing import Any

from jtorch import _config
from jtorch._compile.replaying import AGAIN, TENSOR_KEPT, Replay, array_of, new_value, nothing_more
from jtorch._core.state.packed_state import Pack, end_to_end, storage_in
from jtorch._core.storage.bare_tensor import Storage, Tensor, new_tensor
from jtorch._engine.recording.trace import are_arrays
from jtorch._engine.running.packed_steps import Group, groups_of, packed
from jtorch._engine.values.log import _say
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.unbroken import at_once, provided, together
from jtorch._engine.values.values import Value

__all__ = ["replayed"]

QUIET = 24  # calls before it is packed
PATIENCE = 256  # the most calls that it must have been left alone for, once somebody has looked
LOOKS = 8  # calls in a row whose gradients were looked at, after which they come as they are
NEVER = 1 << 60

_array, _grad, _storage = map(attrgetter, ("array", "_grad", "_s"))
_get_array: Any = Value.array.__get__  # type: ignore[attr-defined]


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
        self.replay.packed = None
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
    """The gradients of a group: where they are, as long as nobody has them."""

    __slots__ = ("leaves", "avals", "starts", "tensors", "storages", "home")

    def __init__(self, leaves: list[Any], avals: tuple[Any, ...], starts: list[int]) -> None:
        self.leaves, self.avals, self.starts = leaves, avals, starts
        self.tensors: list[Tensor] = []
        self.storages: list[Any] = []
        self.home: Pack | None = None

    def there(self) -> bool:
        """Whether the tensors of the last call are those of the leaves, and nobody else has them or has looked at one."""
        home, tensors, storages = self.home, self.tensors, self.storages
        if home is None or not home.whole or not all(map(is_, map(_grad, self.leaves), tensors)) or not all(map(is_, map(_storage, tensors), storages)):
            return False
        return max(map(getrefcount, tensors)) <= TENSOR_KEPT and max(map(getrefcount, storages)) <= TENSOR_KEPT and nothing_more(tensors)

    def new(self) -> Any:
        """Tensors for the next ones, in a pack of their own, and what gives them to the leaves."""
        self.home = Pack(self.avals, self.starts, [None])
        self.storages = [storage_in(self.home, i) for i in range(len(self.avals))]
        self.tensors = []
        for s in self.storages:
            t = new_tensor(None)
            t._s = s
            self.tensors.append(t)
        return map(setattr, self.leaves, repeat("_grad"), self.tensors)


class Packed(Replay):
    """A replay whose groups are in packs."""

    def __init__(self, plain: Replay, groups: list[Group], packing: Packing) -> None:
        self.__dict__.update(plain.__dict__)
        self.plain, self.packing, self.packed, self.asked = plain, packing, None, None
        self.kept, self.orders, self.looks = None, {}, 0
        taken = {i for g in groups for kind in g.inputs for i in kind}
        storages = [plain.storages[plain.sources[i][1]] for g in groups for kind in g.inputs for i in kind]
        inside = set(map(id, storages))
        self.members: list[list[Storage]] = []
        at = 0
        for g in groups:
            n = len(g.avals) * len(g.inputs)
            self.members.append(storages[at : at + n])
            at += n
        self.forms = [(g.avals, g.starts) for g in groups]
        self.homes: list[Pack] = []
        # gradients that leave end to end
        position = {p: n for n, p in enumerate(plain.live)}
        leaf = {n: (t, strides) for t, n, _, strides in plain.grads if n is not None}
        many = [n for _, n, _, _ in plain.grads]
        self.gradients: list[_Gradients | None] = []
        away: set[int] = {position[p] for g in groups for kind in g.outputs for p in kind}
        for g in groups:
            ns = [position.get(p) for p in g.gradients[0]]
            whole = all(n in leaf and leaf[n][1] is None and many.count(n) == 1 and n not in plain.shown for n in ns) and len(set(ns)) == len(ns) and not self._written(plain, ns)
            self.gradients.append(_Gradients([leaf[n][0] for n in ns], g.avals, g.starts) if whole else None)
            if whole:
                away.update(ns)  # type: ignore[arg-type]
        self.grads = [x for x in plain.grads if x[1] not in away]
        self.names = [n for n in range(len(plain.live)) if n not in away]
        self.recorded, left, self.outs_live = packed(plain.recorded, groups, [plain.live[n] for n in self.names], [g is not None for g in self.gradients])
        self.place = {n: i for i, n in enumerate(self.names)}
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
        self.flat_at = tuple(range(len(left), len(self.recorded.avals)))
        self.flat_avals = [self.recorded.avals[i] for i in self.flat_at]
        self.flat_avals += [self.flat_avals[sum(len(f.inputs) for f in groups[:k])] for k, g in enumerate(self.gradients) if g is not None]
        self.flat_of = tuple(range(len(self.names), len(self.outs_live)))

    @staticmethod
    def _written(plain: Replay, ns: Any) -> bool:
        used = {n for n, _, _ in chain(plain.writes, plain.grad_writes, plain.arg_writes)}
        return not used.isdisjoint(ns)

    def enter(self) -> bool:
        """Lay everything end to end. Whether that was done."""
        homes: list[Pack] = []
        for storages, (avals, starts) in zip(self.members, self.forms, strict=True):
            home = end_to_end(avals, starts, storages)
            if home is None:
                for other in homes:
                    other.whole = False
                return False
            homes.append(home)
        self.homes = homes
        return True

    def there(self) -> bool:
        """Whether everything is where it was left. If not, somebody has looked."""
        if all([home.whole for home in self.homes]) and self.looks <= LOOKS and not state.several:
            return True
        self.packing.left()
        return False

    def _whole(self, args: list[Any], values: list[Value], given: list[Value], scalars: list[Any], numbers: list[Any]) -> Any:
        """Run the program, and put away what it gives: all of it or nothing."""
        arrays = list(map(_array, given))
        if not are_arrays(arrays):
            arrays = list(map(array_of, given))
        kept = self._same_gradients()
        order = self.orders.get(kept is None)
        if order is None:
            first = () if kept is None else kept[1]
            names = (*first, *[n for n in self.names if n not in first])
            order = self.orders[kept is None] = (names, [self.live_avals[n] for n in names[len(first) :]], (*[self.place[n] for n in names], *self.flat_of))
        names, avals, of = order
        targets = [*(() if kept is None else kept[0]), *[new_value(a, None) for a in avals]]
        outs = dict(zip(names, targets, strict=True))
        flats = [new_value(a, None) for a in self.flat_avals]
        tr, n = state.trace, 0
        conditions = [map(is_, map(getattr, (state,), ("trace",)), (tr,)), map(eq, map(getattr, (tr,), ("count",)), (0,))]
        doings: list[Any] = []
        for home in self.homes:
            k = len(home.flats)
            conditions += [map(getattr, (home,), ("whole",)), map(eq, map(getattr, (home,), ("steps",)), (home.steps,))]
            doings += [map(home.flats.__setitem__, range(k), map(_get_array, flats[n : n + k])), map(setattr, (home,), ("steps",), (home.steps + 1,))]
            arrays += home.flats
            n += k
        for g in self.gradients:
            if g is not None:
                if not g.there():
                    self.looks += g.home is not None
                    doings.append(g.new())
                else:
                    self.looks = 0
                doings.append(map(g.home.flats.__setitem__, (0,), map(_get_array, (flats[n],))))  # type: ignore[union-attr]
                n += 1
        more, result = self._put_away(args, outs, self.slow, kept, numbers, None)
        with state.updating:
            if state.several:
                self.packing.left()
                return AGAIN
            run, rest = self.recorded.into(arrays, scalars, self.outs_live, self.flat_at, targets + flats, of)
            done: list[bool] = []
            at_once(provided(map(all, (together(conditions),)), *run, *doings, *more, map(done.append, (True,))))
        return result if done else AGAIN
