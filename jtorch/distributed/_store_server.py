"""The process that keeps a :class:`TCPStore`'s keys."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ._wire import Channel, Server

__all__ = ["Keys", "StoreServer"]


class Keys:
    """Keys and values with everything that stores do; ``wait_for`` blocks the calling thread."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.queues: dict[bytes, deque[bytes]] = {}
        self.changed = threading.Condition()

    def set(self, key: bytes, value: bytes) -> None:
        """Put ``value`` under ``key``."""
        with self.changed:
            self.data[key] = value
            self.changed.notify_all()

    def wait_for(self, keys: list[bytes], seconds: float) -> list[bytes]:
        """The keys that are not there after so many seconds at the most."""
        with self.changed:
            self.changed.wait_for(lambda: all(k in self.data for k in keys), seconds)
            return [k for k in keys if k not in self.data]

    def add(self, key: bytes, amount: int) -> int:
        """Add to a number in decimal digits, 0 at first; the sum."""
        with self.changed:
            total = int(self.data.get(key, b"0")) + amount
            self.data[key] = str(total).encode()
            self.changed.notify_all()
            return total

    def compare_set(self, key: bytes, expected: bytes, wanted: bytes) -> bytes:
        """Set ``wanted`` if ``expected`` is there (or nothing is, and nothing is expected); what then is there (``expected`` where nothing is)."""
        with self.changed:
            there = self.data.get(key)
            if there == expected or (there is None and not expected):
                self.data[key] = wanted
                self.changed.notify_all()
                return wanted
            return expected if there is None else there

    def append(self, key: bytes, value: bytes) -> None:
        """Put ``value`` behind what is there."""
        with self.changed:
            self.data[key] = self.data.get(key, b"") + value
            self.changed.notify_all()

    def delete(self, key: bytes) -> bool:
        """Whether it was there."""
        with self.changed:
            return self.data.pop(key, None) is not None

    def push(self, key: bytes, value: bytes) -> None:
        """Behind the others in a queue."""
        with self.changed:
            self.queues.setdefault(key, deque()).append(value)
            self.changed.notify_all()

    def pop(self, key: bytes, seconds: float) -> bytes | None:
        """The first of a queue; None if none comes."""
        with self.changed:
            self.changed.wait_for(lambda: bool(self.queues.get(key)), seconds)
            return self.queues[key].popleft() if self.queues.get(key) else None

    def length(self, key: bytes) -> int:
        """How long a queue is."""
        with self.changed:
            return len(self.queues.get(key, ()))


def _number(field: bytes) -> float:
    return float(field)


class StoreServer:
    """Answers requests for keys: ``(name, argument, ...)``."""

    def __init__(self, port: int, listen_fd: int | None = None) -> None:
        self.keys = Keys()
        self.server = Server(self._serve, port, listen_fd)
        self.port = self.server.port
        self.close = self.server.close

    def _serve(self, channel: Channel) -> None:
        while True:
            name, *args = channel.receive()
            channel.send(*_ANSWERS[name](self.keys, *args))


def _get(keys: Keys, key: bytes, seconds: bytes) -> Any:
    return (b"",) if keys.wait_for([key], _number(seconds)) else (b"1", keys.data.get(key, b""))


def _wait(keys: Keys, seconds: bytes, *names: bytes) -> Any:
    return tuple(keys.wait_for(list(names), _number(seconds)))


def _set(keys: Keys, *pairs: bytes) -> Any:
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        keys.set(key, value)
    return ()


def _check(keys: Keys, *names: bytes) -> Any:
    return (str(int(all(n in keys.data for n in names))),)


def _append(keys: Keys, key: bytes, value: bytes) -> Any:
    keys.append(key, value)
    return ()


def _push(keys: Keys, key: bytes, value: bytes) -> Any:
    keys.push(key, value)
    return ()


def _pop(keys: Keys, key: bytes, seconds: bytes) -> Any:
    found = keys.pop(key, _number(seconds))
    return (b"",) if found is None else (b"1", found)


_ANSWERS: dict[bytes, Callable[..., Any]] = {
    b"get": _get, b"wait": _wait, b"set": _set, b"check": _check, b"append": _append, b"push": _push, b"pop": _pop,
    b"add": lambda keys, key, amount: (keys.add(key, int(amount)),),
    b"compare_set": lambda keys, *args: (keys.compare_set(*args),),
    b"delete": lambda keys, key: (int(keys.delete(key)),),
    b"count": lambda keys: (len(keys.data),),
    b"list": lambda keys: tuple(keys.data),
    b"length": lambda keys, key: (keys.length(key),),
    b"now": lambda keys: (time.time(),),
}  # fmt: skip
