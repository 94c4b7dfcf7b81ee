"""Packed state: what an optimizer remembers of its small parameters, kept in one array per kind (``_engine/running/packed_updates.py`` says why).

A storage whose value is packed has a class of its own, as one that numpy shares has: whoever reads or writes it takes it out, and is seen. So a step
that finds its pack whole need not look at a single state. A program that does look (a checkpoint each epoch, a plot of the second moments each step)
has its state packed again after as many quiet steps as it has earned.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice, repeat
from operator import eq, is_
from typing import Any
from weakref import WeakKeyDictionary

from jtorch._engine.recording import forgetting
from jtorch._engine.running.direct_updates import ready, run_packed
from jtorch._engine.running.packed_updates import LEAST, SMALL, PackedUpdate, pack, packable, packed_update
from jtorch._engine.recording.gradient_pieces import ask, piece, together
from jtorch._engine.values.thread_state import State
from jtorch._engine.values.values import Value

from jtorch._core.storage.host_memory import replacing, unchanged
from jtorch._core.storage.bare_tensor import Storage, born_in
from jtorch._engine.values.unbroken import at_once, provided

__all__ = ["Pack", "PackedStorage", "put_into", "storage_in", "take_out", "update_packed"]

MOST = 512  # parameters in one program: its compilation grows with them
_SETTLED = 16  # steps after which the gradients are asked for in one piece too
_PATIENCE = 64  # the longest that a state must have been left alone, in steps
_ORDINARY = {Storage}


class Pack:
    """The states of some parameters. ``flats[k]``: those of kind k, end to end."""

    __slots__ = ("avals", "starts", "flats", "steps", "whole")

    def __init__(self, avals: tuple[Any, ...], starts: list[int], flats: list[Any]) -> None:
        self.avals, self.starts, self.flats = avals, starts, flats
        self.steps = 0  # since it was made
        self.whole = True  # nobody has read or written a state since

    def taken(self, kind: int, i: int) -> Value:
        """The value of a storage in it."""
        v = Value()
        v.aval, v.array, v.trace, v.pos = self.avals[i], piece(self.flats[kind], self.starts[i], self.avals[i]), None, -1
        return v

    def shown(self) -> None:
        """Somebody has been given a gradient that is in it."""


class PackedStorage(Storage):
    """A storage whose value lies in a pack. Its slot holds the pack, the kind and the number of the parameter."""

    __slots__ = ()

    @property
    def value(self) -> Value:
        _leave(self)
        return _value.__get__(self)  # type: ignore[no-any-return]

    @value.setter
    def value(self, v: Value) -> None:
        _leave(self, read=False)
        self.value = v

    @property
    def version(self) -> int:
        place = _value.__get__(self)
        return _version.__get__(self) + (place[0].steps if place.__class__ is tuple else 0)  # type: ignore[no-any-return]

    @version.setter
    def version(self, n: int) -> None:
        _leave(self)
        self.version = n

    def shown(self) -> None:
        place = _value.__get__(self)
        if place.__class__ is tuple:
            place[0].shown()


_value: Any = Storage.value
_version: Any = Storage.version


def _leave(s: Storage, read: bool = True) -> None:
    """Make it an ordinary storage, with its value unless it will be overwritten at once."""
    place = _value.__get__(s)
    if place.__class__ is not tuple:  # another thread is just taking it out, or putting it in
        return
    home: Pack
    home, kind, i = place
    with State.updating:
        if s.__class__ is not PackedStorage:  # another thread was first
            return
        home.whole = False
        v = home.taken(kind, i) if read else None
        at_once(map(_value.__set__, (s,), (v,)), map(_version.__set__, (s,), (_version.__get__(s) + home.steps,)), map(setattr, (s,), ("__class__",), (Storage,)))


class _Group:
    """What is known of the states of some parameters: their pack if they have one, and how long they must be left alone to get one."""

    __slots__ = ("pack", "others", "quiet", "needed")

    def __init__(self) -> None:
        self.pack: Pack | None = None
        self.others: list[Storage] = []  # the packed storages, less the first, which the group hangs on
        self.quiet, self.needed = 0, 0


_groups: WeakKeyDictionary[Storage, _Group] = WeakKeyDictionary()
_chosen: dict[Any, list[list[int]]] = {}
forgetting.remembered.append(_chosen)


def update_packed(u: Any, n: int, storages: list[Any], places: tuple[int, ...], step: Any) -> list[int] | None:
    """Prepare the update ``u`` (see ``optimizer_updates.py``) of those of ``n`` parameters whose state is or can be packed, as part of ``step``. ``storages``: of the parameters, of the
    gradients, and of each kind of state. The parameters that are left; None if nothing was done."""
    width = len(storages) // n
    if width < 3 or places != (0, *range(2, width)):
        return None
    if set(map(type, storages[: 2 * n])) != _ORDINARY:
        _ = [s.value for s in storages[: 2 * n]]  # what numpy has looked at may become ordinary by being read
        if set(map(type, storages[: 2 * n])) != _ORDINARY:
            return None
    avals = tuple([s.value.aval for s in storages[:n]])
    choice = _chosen.get(avals)
    if choice is None:
        choice = _chosen[avals] = _choose(avals)
    if len(choice) == 1 and len(choice[0]) == n:
        return [] if _update(u, avals, storages, step) else None
    done: set[int] = set()
    for rows in choice:
        if _update(u, tuple([avals[i] for i in rows]), [storages[c * n + i] for c in range(width) for i in rows], step):
            done.update(rows)
    return [i for i in range(n) if i not in done] if done else None


def _choose(avals: tuple[Any, ...]) -> list[list[int]]:
    """The small parameters by element type, in portions that are programs. There are none where most of the parameters' bytes are in large ones: there a step
    takes so long that the calls do not matter, and the program would have to be compiled first."""
    if sum(a.nbytes for a in avals) > SMALL * len(avals):
        return []
    by_type: dict[Any, list[int]] = {}
    for i, a in enumerate(avals):
        if packable(a):
            by_type.setdefault((a.dtype, a.device), []).append(i)
    return [rows[i : i + MOST] for rows in by_type.values() for i in range(0, len(rows), MOST) if len(rows) - i >= LEAST]


def _update(u: Any, avals: tuple[Any, ...], storages: list[Any], step: Any) -> bool:
    n = len(avals)
    first, others = storages[2 * n], storages[2 * n + 1 :]
    group = _groups.get(first)
    if group is None:
        group = _groups[first] = _Group()
    update = packed_update(u.call, avals, len(storages) // n - 2, u.classes)
    if update is None:
        return False
    home = group.pack
    if home is not None and not (home.whole and home.avals == avals and len(others) == len(group.others) and all(map(is_, others, group.others))):
        home.whole, group.pack, group.others = False, None, []
        group.quiet, group.needed, home = 0, min(max(1, 2 * group.needed), _PATIENCE), None
    params = [s.value for s in storages[:n]]
    gradients = [s.value for s in storages[n : 2 * n]]
    pieces = together(gradients)
    arrays, grads = ready(params), pieces.flat if pieces is not None else ready(gradients)
    if pieces is None and home is not None and home.steps % _PATIENCE == _SETTLED:
        ask(gradients)
    if arrays is None or grads is None:
        return False
    if home is None:
        group.quiet += 1
        home = _begin(update, avals, [first, *others]) if group.quiet > group.needed else None
        if home is None:
            return False
        group.pack, group.others = home, others
    results: list[Any] = []
    run, shared = run_packed(update, params, arrays, grads, home.flats, u.rest, results)
    step.conditions += [unchanged(storages[:n], params), map(getattr, (home,), ("whole",)), map(eq, map(getattr, (home,), ("steps",)), (home.steps,))]
    step.doings += [
        run, map(setattr, (home,), ("flats",), islice(results, 1, None)), map(setattr, (home,), ("steps",), (home.steps + 1,)),
        *replacing(storages[:n], params, chain.from_iterable(results), shared),
    ]  # fmt: skip
    if pieces is not None:
        step.after.append(pieces.welcome)
    return True


def _begin(update: PackedUpdate, avals: tuple[Any, ...], storages: list[Storage]) -> Pack | None:
    """Pack these states, kind after kind. None if they are not all arrays like their parameters."""
    n = len(avals)
    values = [s.value for s in storages]
    flats = [pack(avals, values[k : k + n]) for k in range(0, len(values), n)]
    if set(map(type, storages)) != _ORDINARY or any(flat is None for flat in flats):
        return None
    return _entered(Pack(avals, update.starts, flats), storages, values)


def _entered(home: Pack, storages: list[Storage], values: list[Value]) -> Pack | None:
    return home if put_into(home, storages, values, [divmod(k, len(home.avals)) for k in range(len(storages))]) else None


def put_into(home: Pack, storages: list[Storage], values: list[Value], places: list[tuple[int, int]]) -> bool:
    """Leave these storages' values, which are in the pack, to it: (kind, number) each. Whether that was done: not if a value is another one by now."""
    at_once(provided(
        unchanged(storages, values), map(_value.__set__, storages, [(home, *place) for place in places]), map(setattr, storages, repeat("__class__"), repeat(PackedStorage)),
    ))  # fmt: skip
    return storages[0].__class__ is PackedStorage


def take_out(storages: Iterable[Storage]) -> None:
    """Make those that are packed ordinary storages."""
    for s in storages:
        if s.__class__ is PackedStorage:
            _leave(s)


def storage_in(home: Pack, kind: int, i: int) -> PackedStorage:
    """A new storage whose value lies in a pack."""
    s = PackedStorage()
    _value.__set__(s, (home, kind, i))
    _version.__set__(s, 0)
    s.ptr, s.strides, s.host, s.extra = 0, None, None, None
    if born_in:
        s.born = born_in[-1]
    return s
