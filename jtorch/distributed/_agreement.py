"""Agreement on what happens next.

Processes of a group come to the same collective at different times, and nothing forces them to come to the same one. XLA runs the collectives of a process one after the other,
so two processes that send off two of them in different orders would wait for each other for ever; and shapes that differ would do what the transport does with them.
So each process first says what it is about to do. Once all that take part have said so, and have said the same, each is told to go, everybody in the same order; a thread
sends the program off. If they differ, if one is gone or does not come, all are told that instead.

Rank 0 keeps the account. A message is a few hundred bytes on a socket, and also carries what is for the host alone (sizes, pickled objects).
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ._stores import DistBackendError
from ._wire import Channel, Server, connect

__all__ = ["Account", "Asked", "Member"]

_ANY = -1


class _Waiting:
    """Somebody who has asked: who, under which number, what, with which bytes."""

    __slots__ = ("rank", "number", "what", "payload")

    def __init__(self, rank: int, number: int, what: str, payload: bytes) -> None:
        self.rank, self.number, self.what, self.payload = rank, number, what, payload


class Account:
    """What every process has asked for and is still waiting for. It lives in rank 0."""

    def __init__(self, size: int, token: bytes) -> None:
        self.size, self.token = size, token
        self._lock = threading.Lock()
        self._members: dict[int, Channel] = {}
        self._gone: dict[int, str] = {}  # ranks that are no more, and how they went
        self._open: dict[str, tuple[tuple[int, ...], list[_Waiting]]] = {}  # by key: who takes part, and who has come
        self._sends: dict[tuple[int, str], list[_Waiting]] = {}  # by (receiver, tag), in order
        self._receives: dict[tuple[int, str], list[tuple[int, _Waiting]]] = {}  # by (receiver, tag): from whom
        self._ended: set[int] = set()
        self._left = threading.Condition(self._lock)
        self._server = Server(self._serve)
        self.port, self.close = self._server.port, self._server.close

    def _serve(self, channel: Channel) -> None:
        hello = channel.receive()
        if len(hello) != 2 or hello[0] != self.token:
            return
        rank = int(hello[1])
        with self._lock:
            self._members[rank] = channel
            channel.send("welcome")
            for gone, how in self._gone.items():
                channel.send("gone", gone, how)
        try:
            while True:  # until the process is no more; it may have left before
                name, *args = channel.receive()
                with self._lock:
                    if name == b"bye":
                        self._lose(rank, args[0].decode())
                    else:
                        _REQUESTS[name](self, rank, *args)
        except (OSError, ConnectionError):
            pass
        finally:
            with self._lock:
                if rank not in self._gone:
                    self._lose(rank, "died (its connection was lost)")
                self._ended.add(rank)
                self._left.notify_all()

    def _tell(self, rank: int, *fields: Any) -> None:
        channel = self._members.get(rank)
        if channel is not None:
            try:
                channel.send(*fields)
            except OSError:
                pass  # its own thread sees it

    def _lose(self, rank: int, how: str) -> None:
        self._members.pop(rank, None)
        self._gone[rank] = how
        why = self._why([rank])
        for key, (ranks, come) in list(self._open.items()):
            if rank in ranks:
                del self._open[key]
                for w in come:
                    self._tell(w.rank, "bad", w.number, f"{w.what}: {why}")
        for (to, _), waiting in list(self._receives.items()):
            for source, w in [x for x in waiting if rank in (x[0], to) or (x[0] == _ANY and len(self._gone) == self.size - 1)]:
                waiting.remove((source, w))
                self._tell(w.rank, "bad", w.number, f"{w.what}: {why}")
        for (to, _), sends in list(self._sends.items()):
            for s in [x for x in sends if rank in (x.rank, to)]:
                sends.remove(s)
                self._tell(s.rank, "bad", s.number, f"{s.what}: {why}")
        for other in self._members:
            self._tell(other, "gone", rank, how)

    def _why(self, ranks: Sequence[int]) -> str:
        return "; ".join(f"rank {r} {self._gone[r]}" for r in ranks)

    def _together(self, rank: int, number: bytes, key: bytes, ranks: bytes, what: bytes, payload: bytes) -> None:
        """``rank`` has come to ``key``, in which all ``ranks`` take part."""
        name = key.decode()
        w = _Waiting(rank, int(number), what.decode(), payload)
        who = tuple(map(int, ranks.split(b",")))
        gone = [r for r in who if r in self._gone]
        if gone:
            self._tell(rank, "bad", w.number, f"{w.what}: {self._why(gone)}")
            return
        _, come = self._open.setdefault(name, (who, []))
        come.append(w)
        if len(come) < len(who):
            return
        del self._open[name]
        come.sort(key=lambda x: who.index(x.rank))
        if all(x.what == w.what for x in come):
            payloads = [x.payload for x in come] if any(x.payload for x in come) else []
            for x in come:
                self._tell(x.rank, "go", x.number, *payloads)
            return
        said: dict[str, list[int]] = {}
        for x in come:
            said.setdefault(x.what, []).append(x.rank)
        why = "the ranks do not agree: " + "; ".join(f"{_ranks(rs)} called {what}" for what, rs in said.items())
        for x in come:
            self._tell(x.rank, "bad", x.number, why)

    def _send(self, rank: int, number: bytes, to: bytes, tag: bytes, what: bytes) -> None:
        w, receiver = _Waiting(rank, int(number), what.decode(), b""), int(to)
        if receiver in self._gone:
            self._tell(rank, "bad", w.number, f"send: {self._why([receiver])}")
            return
        self._sends.setdefault((receiver, tag.decode()), []).append(w)
        self._match(receiver, tag.decode())

    def _receive(self, rank: int, number: bytes, source: bytes, tag: bytes, what: bytes) -> None:
        w, sender = _Waiting(rank, int(number), what.decode(), b""), int(source)
        self._receives.setdefault((rank, tag.decode()), []).append((sender, w))
        self._match(rank, tag.decode())
        if sender in self._gone and (sender, w) in self._receives.get((rank, tag.decode()), ()):
            self._receives[rank, tag.decode()].remove((sender, w))
            self._tell(rank, "bad", w.number, f"recv: {self._why([sender])}")

    def _match(self, receiver: int, tag: str) -> None:
        sends, receives = self._sends.get((receiver, tag), []), self._receives.get((receiver, tag), [])
        for source, r in list(receives):
            s = next((s for s in sends if source in (_ANY, s.rank)), None)
            if s is None:
                continue
            sends.remove(s)
            receives.remove((source, r))
            if s.what != r.what:
                why = f"rank {s.rank} sends {s.what} and rank {r.rank} receives {r.what}"
                self._tell(s.rank, "bad", s.number, why)
                self._tell(r.rank, "bad", r.number, why)
            else:
                self._tell(s.rank, "go", s.number, str(r.rank))
                self._tell(r.rank, "go", r.number, str(s.rank))

    def _late(self, rank: int, number: bytes, seconds: bytes) -> None:
        """``rank`` has waited as long as it would."""
        mine = int(number)
        for key, (ranks, come) in list(self._open.items()):
            if any(w.rank == rank and w.number == mine for w in come):
                missing = [r for r in ranks if r not in [w.rank for w in come]]
                del self._open[key]
                for w in come:
                    self._tell(w.rank, "bad", w.number, f"{w.what} timed out after {seconds.decode()} s: {_ranks(missing)} did not call it")
        stores: tuple[dict[Any, Any], ...] = (self._sends, self._receives)
        for store in stores:
            for waiting in store.values():
                for x in list(waiting):
                    w = x if isinstance(x, _Waiting) else x[1]
                    if w.rank == rank and w.number == mine:
                        waiting.remove(x)
                        other = "" if isinstance(x, _Waiting) or x[0] == _ANY else f" from rank {x[0]}"
                        self._tell(rank, "bad", mine, f"{'send' if isinstance(x, _Waiting) else 'recv'}{other} timed out after {seconds.decode()} s")

    def wait_for_others(self, rank: int, seconds: float | None) -> None:
        """Until the processes of all but ``rank`` have ended."""
        with self._lock:
            self._left.wait_for(lambda: all(r in self._ended for r in range(self.size) if r != rank), seconds)


_REQUESTS: dict[bytes, Callable[..., None]] = {b"all": Account._together, b"send": Account._send, b"receive": Account._receive, b"late": Account._late}


def _ranks(ranks: Sequence[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else "ranks " + ", ".join(map(str, ranks))


class Asked:
    """Something that was asked for. ``launch(payloads)`` is called once it may go; what it gives is the ``result``."""

    __slots__ = ("number", "launch", "result", "error", "done")

    def __init__(self, number: int, launch: Callable[[list[bytes]], Any]) -> None:
        self.number, self.launch = number, launch
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Event()


class Member:
    """This process's end: asks, and sends off in the order in which it is told to."""

    def __init__(self, hosts: Sequence[str], port: int, token: bytes, rank: int, timeout: float) -> None:
        self.rank = rank
        self.gone: dict[int, str] = {}
        self._numbers = itertools.count()
        self._asked: dict[int, Asked] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._news = threading.Condition()
        self._channel = self._connect(hosts, port, token, timeout)
        threading.Thread(target=self._listen, name="jtorch-collectives", daemon=True).start()

    def _connect(self, hosts: Sequence[str], port: int, token: bytes, timeout: float) -> Channel:
        until = time.monotonic() + timeout
        while True:
            for host in hosts:
                try:
                    channel = connect(host, port, min(2.0, timeout))
                    channel.send(token, self.rank)
                    if channel.receive() == [b"welcome"]:
                        self.host = host
                        return channel
                except (OSError, ConnectionError):
                    continue
            if time.monotonic() > until:
                raise DistBackendError(f"rank {self.rank} could not reach rank 0 at {', '.join(hosts)} port {port}")

    def _listen(self) -> None:
        try:
            while True:
                name, *args = self._channel.receive()
                if name == b"gone":
                    with self._news:
                        self.gone[int(args[0])] = args[1].decode()
                        self._news.notify_all()
                    continue
                asked = self._asked.pop(int(args[0]), None)
                if asked is None:
                    continue
                try:
                    if name == b"bad":
                        raise DistBackendError(args[1].decode())
                    asked.result = asked.launch(args[1:])
                except BaseException as error:
                    asked.error = error
                asked.done.set()
        except (OSError, ConnectionError):
            pass
        with self._lock:
            if not self._closing:
                self.gone.setdefault(0, "died (its connection was lost)")
                import sys

                if self.rank:
                    print(f"jtorch: rank {self.rank}: rank 0 died (its connection was lost)", file=sys.stderr, flush=True)
            left, self._asked = list(self._asked.values()), _Closed()
        with self._news:
            self._news.notify_all()
        for asked in left:
            asked.error = DistBackendError(f"rank 0 {self.gone.get(0, 'has left')}")
            asked.done.set()

    def ask(self, launch: Callable[[list[bytes]], Any], name: str, *fields: Any) -> Asked:
        """Ask for something. DistBackendError if rank 0 is gone."""
        asked = Asked(next(self._numbers), launch)
        with self._lock:
            self._asked[asked.number] = asked
            try:
                self._channel.send(name, asked.number, *fields)
            except OSError:
                raise DistBackendError(f"rank 0 {self.gone.get(0, 'died (its connection was lost)')}") from None
        return asked

    def wait(self, asked: Asked, seconds: float) -> Any:
        """What came of it."""
        if not asked.done.wait(seconds):
            try:
                self._channel.send("late", asked.number, f"{seconds:g}")
            except OSError:
                pass
            if not asked.done.wait(30.0):
                raise DistBackendError(f"timed out after {seconds:g} s")
        if asked.error is not None:
            raise asked.error
        return asked.result

    def who_is_gone(self, ranks: Sequence[int], seconds: float = 5.0) -> str:
        """Which of these are no more, waiting a little for the news."""
        with self._news:
            self._news.wait_for(lambda: any(r in self.gone for r in ranks), seconds)
            return "; ".join(f"rank {r} {self.gone[r]}" for r in ranks if r in self.gone)

    def leave(self, how: str) -> None:
        """Say goodbye."""
        with self._lock:
            self._closing = True
            try:
                self._channel.send("bye", how)
            except OSError:
                pass

    def close(self) -> None:
        """End the connection."""
        self._closing = True
        self._channel.close()


class _Closed(dict[int, Asked]):
    """Nothing can be asked for any more."""

    def __setitem__(self, number: int, asked: Asked) -> None:
        raise DistBackendError("rank 0 is gone")
