"""Stores: keys that several processes share, for finding each other. Source: https://docs.pytorch.org/docs/stable/distributed.html#distributed-key-value-store"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from ._store_server import Keys, StoreServer
from ._wire import Channel, connect

__all__ = ["DistError", "DistBackendError", "DistNetworkError", "DistStoreError", "FileStore", "HashStore", "PrefixStore", "QueueEmptyError", "Store", "TCPStore", "seconds_of"]

DEFAULT = timedelta(seconds=300)


class DistError(RuntimeError):
    """Something about processes that work together failed."""


class DistBackendError(DistError):
    """A collective failed."""


class DistStoreError(DistError):
    """A store failed, or what was waited for did not come."""


class DistNetworkError(DistError):
    """A connection failed."""


class QueueEmptyError(DistStoreError):
    """There is nothing in a store's queue."""


for _cls in (DistError, DistBackendError, DistStoreError, DistNetworkError, QueueEmptyError):
    _cls.__module__ = "torch.distributed"


def seconds_of(timeout: timedelta | float | None, default: timedelta = DEFAULT) -> float:
    """A timeout in seconds."""
    timeout = default if timeout is None else timeout
    return timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


class Store:
    """What stores have in common. ``timeout`` is how long :meth:`get` and :meth:`wait` wait."""

    _timeout: timedelta = DEFAULT

    @property
    def timeout(self) -> timedelta:
        """How long a key is waited for."""
        return self._timeout

    def set_timeout(self, timeout: timedelta) -> None:
        """How long a key is waited for from now on."""
        self._timeout = timeout

    def _do(self, name: str, *args: Any) -> list[bytes]:
        raise NotImplementedError(name)

    def _missing(self, keys: Sequence[Any], seconds: float) -> Any:
        names = ", ".join(k.decode() if isinstance(k, bytes) else str(k) for k in keys)
        raise DistStoreError(f"wait timeout after {int(seconds * 1000)}ms, keys: /{names}")

    def set(self, key: str, value: Any) -> None:
        """Put a text or bytes under a key."""
        self._do("set", key, _bytes(value))

    def get(self, key: str) -> bytes:
        """What is under the key, once it is there. DistStoreError if it does not come in time."""
        seconds = seconds_of(self._timeout)
        found = self._do("get", key, seconds)
        return found[1] if len(found) > 1 else self._missing([key], seconds)

    def wait(self, keys: Sequence[str], timeout: timedelta | None = None) -> None:
        """Wait until all keys are there. DistStoreError if they do not come in time."""
        seconds = seconds_of(timeout, self._timeout)
        missing = self._do("wait", seconds, *keys)
        if missing:
            self._missing(missing, seconds)

    def add(self, key: str, amount: int) -> int:
        """Add to a counter, which is 0 at first; the sum."""
        return int(self._do("add", key, int(amount))[0])

    def check(self, keys: Sequence[str]) -> bool:
        """Whether all keys are there."""
        return self._do("check", *keys)[0] == b"1"

    def compare_set(self, key: str, expected_value: Any, desired_value: Any) -> bytes:
        """Set the desired value if the expected one is there (an empty one: nothing); what is there then."""
        return self._do("compare_set", key, _bytes(expected_value), _bytes(desired_value))[0]

    def delete_key(self, key: str) -> bool:
        """Whether there was something to delete."""
        return self._do("delete", key)[0] == b"1"

    def num_keys(self) -> int:
        """How many keys there are."""
        return int(self._do("count")[0])

    def list_keys(self) -> list[str]:
        """All keys."""
        return [k.decode() for k in self._do("list")]

    def append(self, key: str, value: Any) -> None:
        """Put bytes behind what is under the key."""
        self._do("append", key, _bytes(value))

    def multi_get(self, keys: Sequence[str]) -> list[bytes]:
        """:meth:`get` of several."""
        return [self.get(k) for k in keys]

    def multi_set(self, keys: Sequence[str], values: Sequence[Any]) -> None:
        """:meth:`set` of several."""
        for k, v in zip(keys, values, strict=True):
            self.set(k, v)

    def queue_push(self, key: str, value: Any) -> None:
        """Put bytes at the end of a queue."""
        self._do("push", key, _bytes(value))

    def queue_pop(self, key: str, block: bool = True) -> bytes:
        """Take the first of a queue, once there is one."""
        seconds = seconds_of(self._timeout) if block else 0.0
        found = self._do("pop", key, seconds)
        if len(found) < 2 and not block:
            raise QueueEmptyError("queue is empty")
        return found[1] if len(found) > 1 else self._missing([key], seconds)

    def queue_len(self, key: str) -> int:
        """How long a queue is."""
        return int(self._do("length", key)[0])

    def has_extended_api(self) -> bool:
        """Whether ``append`` and the ``multi_`` methods are there."""
        return True


class HashStore(Store):
    """A store within this process, for its threads."""

    def __init__(self) -> None:
        self._server = _Local(Keys())

    def _do(self, name: str, *args: Any) -> list[bytes]:
        return self._server.ask(name, *args)


class _Local:
    """A store's answers without a connection."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def ask(self, name: str, *args: Any) -> list[bytes]:
        from ._store_server import _ANSWERS

        return [_bytes(x) for x in _ANSWERS[name.encode()](self.keys, *[_bytes(a) for a in args])]


class TCPStore(Store):
    """A store kept by one process, the master, that others reach over the network.

    ``port`` 0 takes any that is free (see :attr:`port`). The constructor waits for all ``world_size`` processes if ``wait_for_workers``.
    """

    def __init__(
        self, host_name: str, port: int = 29500, world_size: int | None = None, is_master: bool = False, timeout: timedelta = DEFAULT, wait_for_workers: bool = True,
        multi_tenant: bool = False, master_listen_fd: int | None = None, use_libuv: bool = True,
    ) -> None:  # fmt: skip
        self._timeout, self.host, self.libuvBackend = timeout, host_name, use_libuv
        self._server = None
        if is_master:
            try:
                self._server = StoreServer(port, master_listen_fd)
                port = self._server.port
            except OSError as error:
                if not multi_tenant:
                    raise DistNetworkError(f"The server socket has failed to listen on any local network address. port: {port}, useIpv6: false, code: {-(error.errno or 0)}, name: EADDRINUSE, message: {error.strerror}") from None
        self.port = port
        self._lock = threading.Lock()
        try:
            self._channel: Channel = connect("127.0.0.1" if self._server else host_name, port, seconds_of(timeout))
        except TimeoutError as error:
            raise DistNetworkError(str(error)) from None
        if wait_for_workers and world_size is not None and world_size > 0:
            self._count_workers(world_size)

    def _count_workers(self, world_size: int) -> None:
        here = self.add("init/", 1)
        if here == world_size:
            self.set("init/all", "1")
        missing = self._do("wait", seconds_of(self._timeout), "init/all")
        if missing:
            raise DistStoreError(f"Timed out after {int(seconds_of(self._timeout)) + 1} seconds waiting for clients. {self.add('init/', 0)}/{world_size} clients joined.")

    def _do(self, name: str, *args: Any) -> list[bytes]:
        with self._lock:
            try:
                self._channel.send(name, *args)
                return self._channel.receive()
            except (OSError, ConnectionError) as error:
                raise DistNetworkError(f"failed to reach the store at ({self.host}, {self.port}): {error}") from None

    def __repr__(self) -> str:
        return f"<torch.distributed.TCPStore object at {hex(id(self))}>"

    def clone(self) -> TCPStore:
        """Another connection to the same store."""
        return TCPStore(self.host, self.port, None, False, self._timeout, False)

    def __del__(self) -> None:
        channel, server = getattr(self, "_channel", None), getattr(self, "_server", None)
        if channel is not None:
            channel.close()
        if server is not None:
            server.close()


class FileStore(Store):
    """A store in a file that all processes reach. Each change is a record at its end."""

    def __init__(self, file_name: str, world_size: int = -1) -> None:
        self.path = file_name
        self._keys = Keys()
        self._server = _Local(self._keys)
        self._at = 0
        self._lock = threading.Lock()

    def _catch_up(self, file: Any) -> None:
        file.seek(self._at)
        data = file.read()
        at = 0
        while at + 16 <= len(data):
            a, b = struct.unpack_from("!QQ", data, at)
            end = at + 16 + a + (b if b != _GONE else 0)
            if end > len(data):
                break
            key = data[at + 16 : at + 16 + a]
            if b == _GONE:
                self._keys.delete(key)
            else:
                self._keys.set(key, data[at + 16 + a : end])
            at = end
        self._at += at

    @contextmanager
    def _open(self) -> Iterator[Any]:
        with self._lock, open(self.path, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                self._catch_up(file)
                yield file
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def _do(self, name: str, *args: Any) -> list[bytes]:
        if name in ("push", "pop", "length"):
            raise NotImplementedError("queue support is not implemented.")
        waits = {"get": 1, "wait": 0}.get(name)
        until = time.monotonic() + (float(args[waits]) if waits is not None else 0.0)
        while waits is not None:
            keys = [_bytes(k) for k in (args[:1] if name == "get" else args[1:])]
            with self._open():
                there = all(k in self._keys.data for k in keys)
            if there or time.monotonic() > until:
                now = [*args]
                now[waits] = 0
                return self._server.ask(name, *now)
            time.sleep(0.01)
        with self._open() as file:
            before = dict(self._keys.data)
            answer = self._server.ask(name, *args)
            after = self._keys.data
            records = [struct.pack("!QQ", len(k), len(v)) + k + v for k, v in after.items() if before.get(k) != v]
            records += [struct.pack("!QQ", len(k), _GONE) + k for k in before if k not in after]
            if records:
                file.seek(0, os.SEEK_END)
                file.write(b"".join(records))
                file.flush()
                self._at = file.tell()
        return answer


_GONE = (1 << 64) - 1


class PrefixStore(Store):
    """A store whose keys all begin with ``prefix/`` in another."""

    def __init__(self, prefix: str, store: Store) -> None:
        self.prefix, self._store = prefix, store

    @property
    def underlying_store(self) -> Store:
        """The store behind it."""
        return self._store

    @property
    def timeout(self) -> timedelta:
        """That of the store behind it."""
        return self._store.timeout

    def set_timeout(self, timeout: timedelta) -> None:
        """For the store behind it."""
        self._store.set_timeout(timeout)

    @property
    def _timeout(self) -> timedelta:  # type: ignore[override]
        return self._store.timeout

    def _do(self, name: str, *args: Any) -> list[bytes]:
        if name == "wait":
            return self._store._do(name, args[0], *[f"{self.prefix}/{k}" for k in args[1:]])
        if name == "check":
            return self._store._do(name, *[f"{self.prefix}/{k}" for k in args])
        if name in ("count", "list"):
            return self._store._do(name)
        return self._store._do(name, f"{self.prefix}/{args[0]}", *args[1:])
