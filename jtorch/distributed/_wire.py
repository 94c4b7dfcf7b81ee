"""Messages between the processes of a group: lists of byte strings over a socket, for what is agreed on and stored. (Tensors go by XLA's collectives.)"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Channel", "Server", "connect"]

_MOST = 1 << 40  # bytes in a field
# The kernel asks the other machine whether it is there, and answers for a process that is busy or stopped: one that is gone is known after 25 seconds.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


class Channel:
    """One end of a connection. Sending is whole from any thread; one thread receives."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        self._lock = threading.Lock()
        self._in = sock.makefile("rb")

    def send(self, *fields: bytes | str | int) -> None:
        """One message. OSError if the other end is gone."""
        parts = [f if isinstance(f, bytes) else str(f).encode() for f in fields]
        head = struct.pack(f"!I{len(parts)}Q", len(parts), *map(len, parts))
        with self._lock:
            self.sock.sendall(b"".join((head, *parts)))

    def receive(self) -> list[bytes]:
        """The next message. ConnectionError if the other end is gone."""
        (count,) = struct.unpack("!I", self._read(4))
        sizes = struct.unpack(f"!{count}Q", self._read(8 * count))
        if count > 1 << 20 or sum(sizes) > _MOST:
            raise ConnectionError("not a message")
        return [self._read(n) for n in sizes]

    def _read(self, n: int) -> bytes:
        try:
            data = self._in.read(n)
        except (OSError, ValueError) as error:
            raise ConnectionError(str(error)) from None
        if len(data) < n:
            raise ConnectionError("closed")
        return data

    def close(self) -> None:
        """End the connection, for a thread that is receiving too."""
        for end in (lambda: self.sock.shutdown(socket.SHUT_RDWR), self.sock.close):
            try:
                end()
            except OSError:
                pass


def connect(host: str, port: int, timeout: float) -> Channel:
    """A connection, as soon as somebody listens. TimeoutError after ``timeout`` seconds."""
    until = time.monotonic() + timeout
    while True:
        try:
            sock = socket.create_connection((host, port), timeout=max(0.1, min(10.0, until - time.monotonic())))
            sock.settimeout(None)
            return Channel(sock)
        except OSError as error:
            if time.monotonic() > until:
                raise TimeoutError(f"The client socket has timed out after {int(timeout * 1000)}ms while trying to connect to ({host}, {port}): {error}") from None
            time.sleep(0.05)


class Server:
    """Listens on ``port`` (0: any) and gives each connection to ``serve(channel)`` in a thread of its own."""

    def __init__(self, serve: Callable[[Channel], Any], port: int = 0, listen_fd: int | None = None) -> None:
        if listen_fd is not None:
            self._sock = socket.socket(fileno=listen_fd)
        elif socket.has_dualstack_ipv6():
            self._sock = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        else:
            self._sock = socket.create_server(("", port), backlog=1024)
        self.port: int = self._sock.getsockname()[1]
        self._serve = serve
        self._channels: set[Channel] = set()
        threading.Thread(target=self._accept, name="jtorch-store", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(Channel(sock),), name="jtorch-store", daemon=True).start()

    def _one(self, channel: Channel) -> None:
        self._channels.add(channel)
        try:
            self._serve(channel)
        except (OSError, ConnectionError):
            pass
        finally:
            self._channels.discard(channel)
            channel.close()

    def close(self) -> None:
        """Listen no more, and end every connection."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)  # or the thread would go on waiting
        except OSError:
            pass
        self._sock.close()
        for channel in list(self._channels):
            channel.close()
