"""Who counts which writes. A storage's ``version`` counts every write to its memory; what autograd asks is whether a tensor's own counter moved.

``x.data`` is the memory of ``x`` with a counter of its own (:class:`Alias`): a write through one is none for the other, and neither counts what numpy writes.
So backward may find a saved tensor's memory other than it was and no write counted: then it reads what the memory holds, as torch does.
"""

from __future__ import annotations

import weakref
from array import array
from bisect import bisect_right
from typing import Any

from jtorch._core.storage.bare_tensor import Storage

__all__ = ["Alias", "Unsettled", "detached", "origin_of", "own_version", "uncounted", "version_of", "was_detached_since", "written_since"]

_value: Any = Storage.value
_version: Any = Storage.version
_LONGEST = 1 << 16
_DETACHED = -1


class Unsettled(int):
    """A version that equals none, itself included: the memory may have been written by somebody who counts nothing (numpy)."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class _Log:
    """The writes to a storage that its own counter does not count: when, and whose counter does."""

    __slots__ = ("at", "by", "uncounted")

    def __init__(self) -> None:
        self.at, self.by = array("q"), array("q")
        self.uncounted = 0

    def add(self, version: int, by: int) -> None:
        self.at.append(version)
        self.by.append(by)
        self.uncounted += 1
        if len(self.at) > _LONGEST:  # a graph that old takes them for writes
            del self.at[: _LONGEST // 2], self.by[: _LONGEST // 2]


_logs: weakref.WeakKeyDictionary[Storage, _Log] = weakref.WeakKeyDictionary()


def _log_of(s: Storage) -> _Log:
    found = _logs.get(s)
    if found is None:
        found = _logs[s] = _Log()
    return found


class Alias(Storage):
    """The memory of another storage, the origin, with a counter of its own. All but that is the origin's."""

    __slots__ = ()

    @staticmethod
    def of(s: Storage, count: int = 0) -> Alias:
        """Another name of a storage's memory, which counts its own writes from ``count`` on."""
        new = Alias()
        _value.__set__(new, origin_of(s))
        _version.__set__(new, count)
        new.extra = None
        return new

    @property
    def value(self) -> Any:
        return _value.__get__(self).value

    @value.setter
    def value(self, v: Any) -> None:
        _value.__get__(self).value = v

    @property
    def version(self) -> int:
        return _value.__get__(self).version  # type: ignore[no-any-return]

    @version.setter
    def version(self, n: int) -> None:
        origin = _value.__get__(self)
        _log_of(origin).add(n, id(self))
        _version.__set__(self, _version.__get__(self) + 1)
        origin.version = n

    strides = property(lambda self: _value.__get__(self).strides)
    host = property(lambda self: _value.__get__(self).host)
    ptr = property(lambda self: _value.__get__(self).ptr)
    extra = property(lambda self: _value.__get__(self).extra, lambda self, x: None)


def origin_of(s: Storage) -> Storage:
    """The storage whose memory this is: it, or the origin of an alias."""
    return _value.__get__(s) if s.__class__ is Alias else s


def uncounted(s: Storage) -> None:
    """The memory was, or may have been, written by somebody who counts nothing."""
    s = origin_of(s)
    n = int(s.version) + 1
    _log_of(s).add(n, 0)
    s.version = n


def detached(s: Storage) -> None:
    """``detach_`` of the tensor that the storage is of: nobody can go back through what was saved of it."""
    s = origin_of(s)
    n = int(s.version) + 1
    _log_of(s).add(n, _DETACHED)
    s.version = n


def was_detached_since(s: Storage, version: int) -> bool:
    """Whether :func:`detached` was said since."""
    log = _logs.get(origin_of(s))
    return log is not None and _DETACHED in log.by[bisect_right(log.at, int(version)) :]


def version_of(s: Storage) -> int:
    """What ``_version`` says: how many writes the tensor's counter has counted."""
    if s.__class__ is Alias:
        return _version.__get__(s)  # type: ignore[no-any-return]
    log = _logs.get(s) if _logs else None
    return int(s.version) - (log.uncounted if log is not None else 0)


def own_version(s: Storage, count: int) -> None:
    """Let the counter of a storage stand at ``count``."""
    if version_of(s) != count:
        _log_of(s).uncounted = int(s.version) - count


def written_since(s: Storage, version: int) -> int:
    """How many writes the counter of this storage (or alias) has counted since its ``version`` was that."""
    origin = origin_of(s)
    now, version = int(origin.version), int(version)
    if now == version:
        return 0
    log = _logs.get(origin)
    if log is None:
        return 0 if s.__class__ is Alias else now - version
    by = log.by[bisect_right(log.at, version) :]
    return by.count(id(s)) if s.__class__ is Alias else now - version - len(by)
