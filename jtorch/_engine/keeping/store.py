"""Bytes by key in a file of the user's cache folder, for this process and those that come after it.

The file is SQLite's, so that several processes may read and write it at once, and half a write is none. What is kept is asked for while a program waits, and written by a thread that nobody
waits for. Whatever is wrong with the file (no room, no rights, another version, damage) makes it empty or useless, never an error.

What comes out of here is loaded as machine code. So the folder must be the user's own and closed to others, and so must each file in it; what is in it has a checksum, against damage alone.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import stat
import sys
import time
from _thread import RLock, allocate_lock, start_new_thread
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from jtorch import _config

__all__ = ["Contents", "clear", "close", "contents", "flush", "folder", "get", "key_of", "put", "put_in", "taken_out"]

try:
    import sqlite3
except ImportError:  # a Python without it
    sqlite3 = None  # type: ignore[assignment]

_ERRORS: tuple[type[Exception], ...] = (OSError,) if sqlite3 is None else (OSError, sqlite3.Error)
NAME = "programs.db"
_VERSION = 2  # of the tables and what is in them
_IDENTITY = 0x6A746F72
_TOUCHED = 3600  # seconds after which a use is written down again: it decides which go first, no more
_PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.0)  # seconds before a locked file is tried again
_ROUND = 0.3  # seconds that the writing thread waits for more
_PATIENCE = 0.5  # that a read waits for another thread's, which may be waiting for this one (a finalizer that runs there)
_DRAIN = 5.0  # seconds that the end of the process may take for what is not written yet


def folder() -> str | None:
    """Where programs are kept; None if nowhere."""
    if _config.CACHE_DIR is not None:
        return None if _config.CACHE_DIR in ("", "0") else _config.CACHE_DIR
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    return os.path.join(base, "jtorch")


def key_of(*parts: str | bytes) -> bytes:
    """A key for what these parts describe."""
    h = hashlib.blake2b(digest_size=20)
    for p in parts:
        b = p.encode() if isinstance(p, str) else p
        h.update(len(b).to_bytes(8, "little"))
        h.update(b)
    return h.digest()


class Contents(NamedTuple):
    """What is kept: the file, how many things, and their bytes."""

    path: str | None
    count: int  # type: ignore[assignment]  # and so the tuple's method is hidden
    size: int


class _Unsafe(OSError):
    """Somebody else could have written it."""


def _closed_to_others(path: str, directory: bool) -> bool:
    """Whether nobody but this user (and root) can have written it. _Unsafe if somebody could; False if it is not there."""
    if not hasattr(os, "geteuid"):
        return os.path.exists(path)
    try:
        s = os.lstat(path)
    except FileNotFoundError:
        return False
    kind = stat.S_ISDIR(s.st_mode) if directory else stat.S_ISREG(s.st_mode) and s.st_nlink == 1
    if not kind or s.st_uid != os.geteuid() or s.st_mode & 0o022:
        raise _Unsafe(path)
    return True


def _reached_by_us_alone(path: str) -> None:
    """_Unsafe if somebody could put another folder in the place of this one."""
    if not hasattr(os, "geteuid"):
        return
    at = os.path.dirname(os.path.realpath(path))
    while True:
        s = os.lstat(at)
        if s.st_mode & 0o002 and not s.st_mode & stat.S_ISVTX:
            raise _Unsafe(at)
        above = os.path.dirname(at)
        if above == at:
            return
        at = above


def _path() -> str:
    """The file, made if need be, with its folder."""
    where = folder()
    if where is None or sqlite3 is None:
        raise _Unsafe("nowhere")
    where = os.path.join(where, "programs")
    os.makedirs(where, mode=0o700, exist_ok=True)
    _closed_to_others(where, True)
    _reached_by_us_alone(where)
    path = os.path.join(where, NAME)
    if not _closed_to_others(path, False):
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))  # SQLite's other files get the same rights
    for more in ("-wal", "-shm", "-journal"):
        _closed_to_others(path + more, False)
    return path


def _connected(path: str) -> Any:
    c = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False, cached_statements=32)
    try:
        c.execute("pragma mmap_size = 0")
        if not _ours(c):
            c.execute("pragma auto_vacuum = incremental")
            c.execute("pragma journal_mode = wal")
            c.execute("begin immediate")
            if not _ours(c):  # nor did another thread or process make it so while this one waited
                if c.execute("select count(*) from sqlite_master").fetchone()[0]:
                    raise sqlite3.DatabaseError("another version")
                c.execute("create table kept (key blob primary key, data blob not null, sum blob not null, size integer not null, used integer not null)")
                c.execute("create index by_use on kept (used, size)")
                c.execute(f"pragma application_id = {_IDENTITY}")
                c.execute(f"pragma user_version = {_VERSION}")
            c.execute("commit")
        c.execute("pragma synchronous = off")  # what a crash of the machine damages is thrown away
        c.execute("select size from kept limit 1").fetchone()
    except BaseException:
        c.close()
        raise
    return c


def _ours(c: Any) -> bool:
    return (c.execute("pragma application_id").fetchone()[0], c.execute("pragma user_version").fetchone()[0]) == (_IDENTITY, _VERSION)


def _open() -> Any:
    """A connection. A file that is not ours, or damaged, is replaced. None if that is of no use."""
    try:
        path = _path()
        for pause in _PAUSES:
            try:
                return _connected(path)
            except sqlite3.OperationalError as error:  # locked, no room, no rights
                if "locked" in str(error) and pause:  # SQLite does not wait where it would change how the file is written
                    time.sleep(pause)
                elif "no such" in str(error):
                    break
                else:
                    return None
            except sqlite3.DatabaseError:
                break
        _remove(path)
        return _connected(_path())
    except _ERRORS:
        return None


def _remove(path: str) -> None:
    for more in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(OSError):
            os.unlink(path + more)


class _Store:
    """This process's view of the file. ``reading`` is None as long as it was not asked, and False if there is none."""

    def __init__(self) -> None:
        self.reading: Any = None
        self.waiting: deque[tuple[bytes, Callable[[], bytes | None]]] = deque()
        self.used: set[bytes] = set()
        self.mine: set[bytes] = set()  # all that this process has read or kept
        self.using = RLock()  # the connection that is read: Python's sqlite3 gives two threads one statement
        self.writing = allocate_lock()
        self.working = False


_store = _Store()
_abandoned: list[Any] = []  # connections that are not closed: a parent's (closing them in a child would take the parent's locks away), and what another thread reads


def _reader() -> Any:
    found = _store.reading
    if found is None:
        found = _store.reading = _open() or False
    return found


def get(key: bytes) -> bytes | None:
    """What is kept under the key."""
    using = _store.using
    if not using.acquire(timeout=_PATIENCE):
        return None
    try:
        c = _reader()
        if not c:
            return None
        row = c.execute("select data, sum from kept where key = ?", (key,)).fetchone()
    except sqlite3.OperationalError:
        return None
    except sqlite3.Error:
        _damaged()
        return None
    finally:
        using.release()
    if row is None or row[1] != _sum(key, row[0]):
        return None
    _store.used.add(key)
    _store.mine.add(key)
    return row[0]  # type: ignore[no-any-return]


def _sum(key: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16, key=key).digest()


def _damaged() -> None:
    """Begin anew."""
    close()
    _store.reading = False
    with contextlib.suppress(OSError):
        _remove(_path())
    _store.reading = None


def close() -> None:
    """Close the file, until it is asked for again."""
    store = _store
    c, store.reading = store.reading, None
    if not c:
        return
    if store.using.acquire(timeout=_PATIENCE):
        try:
            c.close()
        finally:
            store.using.release()
    else:  # it is being read
        _abandoned.append(c)


def put(key: bytes, make: Callable[[], bytes | None]) -> None:
    """Keep what ``make`` returns (None: nothing). It is called later, in another thread."""
    if _store.reading is False or folder() is None:
        return
    _store.waiting.append((key, make))
    _store.mine.add(key)
    if not _store.working:
        _store.working = True
        try:
            start_new_thread(_work, ())
        except RuntimeError:  # at the end of the process
            _store.working = False


def _work() -> None:
    try:
        while _store.waiting:
            time.sleep(_ROUND)
            _write()
    finally:
        _store.working = False


def _write(until: float | None = None) -> None:
    """Write what waits."""
    store = _store
    with store.writing:
        rows = []
        while store.waiting and (until is None or time.monotonic() < until):
            try:
                key, make = store.waiting.popleft()
                data = make()
            except Exception:  # noqa: BLE001, S112 - what cannot be kept is not
                continue
            if data is not None and len(data) <= _config.CACHE_BYTES // 4:
                rows.append((key, data, _sum(key, data), len(data), int(time.time())))
        used, store.used = store.used, set()
        if not rows and not used:
            return
        c, damaged = _open(), False
        if c is None:
            return
        try:
            c.execute("begin immediate")
            c.executemany("insert or replace into kept values (?, ?, ?, ?, ?)", rows)
            now = int(time.time())
            c.executemany("update kept set used = ? where key = ? and used < ?", [(now, key, now - _TOUCHED) for key in used])
            if rows:
                _bound(c)
            c.execute("commit")
            if rows:
                c.execute("pragma incremental_vacuum(256)").fetchall()
        except sqlite3.Error as error:
            damaged = not isinstance(error, sqlite3.OperationalError)  # and no lack of room or rights
            with contextlib.suppress(sqlite3.Error):
                c.execute("rollback")
        finally:
            c.close()
        if damaged:  # the next file is a new one; who reads this one goes on with it
            with contextlib.suppress(OSError):
                _remove(_path())


def _bound(c: Any) -> None:
    """Let the least recently used go, beyond the limit."""
    total = c.execute("select sum(size + 100) from kept").fetchone()[0] or 0
    if total <= _config.CACHE_BYTES:
        return
    for rowid, size in c.execute("select rowid, size from kept order by used").fetchall():
        c.execute("delete from kept where rowid = ?", (rowid,))
        total -= size + 100
        if total <= _config.CACHE_BYTES * 3 // 4:
            return


def flush() -> None:
    """Write now what waits to be written."""
    _write(time.monotonic() + _DRAIN)


_HEAD = b"jtorch programs 1\n"


def taken_out() -> tuple[bytes, list[bytes]]:
    """All that this process has read or kept, as bytes for :func:`put_in`, and its keys."""
    flush()
    found = [(key, data) for key in sorted(_store.mine) if (data := get(key)) is not None]
    rows = [key + _sum(key, data) + len(data).to_bytes(8, "little") + data for key, data in found]
    return _HEAD + b"".join(rows), [key for key, _ in found]


def put_in(taken: bytes) -> list[bytes]:
    """Keep what another process has taken out; its keys. ValueError if that is not what it was. (It is machine code: who loads it trusts who made it.)"""
    if not taken.startswith(_HEAD):
        raise ValueError("these are no programs that jtorch has kept")
    rows, at = [], len(_HEAD)
    while at < len(taken):
        key, checksum, size = taken[at : at + 20], taken[at + 20 : at + 36], int.from_bytes(taken[at + 36 : at + 44], "little")
        data, at = taken[at + 44 : at + 44 + size], at + 44 + size
        if _sum(key, data) != checksum:
            raise ValueError("the bytes are damaged")
        rows.append((key, data))
    for key, data in rows:
        put(key, lambda data=data: data)  # type: ignore[misc]
    flush()
    return [key for key, _ in rows]


def contents() -> Contents:
    """What is kept by now."""
    c = _open()
    if c is None:
        return Contents(None, 0, 0)
    count = size = 0
    with _closing(c):
        count, size = c.execute("select count(*), coalesce(sum(size), 0) from kept").fetchone()
    return Contents(_path(), count, size)


def clear() -> None:
    """Keep nothing of what is kept."""
    _store.waiting.clear()
    c = _open()
    if c is None:
        return
    with _closing(c):
        c.execute("delete from kept")
        c.execute("vacuum")


@contextlib.contextmanager
def _closing(c: Any) -> Iterator[None]:
    try:
        with contextlib.suppress(sqlite3.Error):
            yield
    finally:
        c.close()


@atexit.register
def _at_exit(owner: int = os.getpid()) -> None:
    if os.getpid() == owner:
        flush()
        close()
        _store.reading = False


def _in_child() -> None:
    global _store
    _abandoned.append(_store)
    _store = _Store()
    _store.reading = False  # a forked child compiles nothing


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
