"""This process's place among the others: how it finds them, and how it leaves."""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import sys

from jtorch._engine.running import processes
from jtorch._engine.values.values import jax_devices

from ._agreement import Account, Member
from ._stores import DistBackendError, PrefixStore, Store

__all__ = ["World", "enter", "exit_world", "world"]

_PATIENCE = 15.0  # seconds that a rank 0 that failed waits for the others to see it


class World:
    """Rank and size, the line to rank 0, and in rank 0 the account of what all want to do."""

    def __init__(self, rank: int, size: int, member: Member | None, account: Account | None) -> None:
        self.rank, self.size, self.member, self.account = rank, size, member, account
        self.counts: dict[str, int] = {}  # collectives begun, by group

    def next_of(self, group: str) -> int:
        """The number of the group's next collective."""
        count = self.counts[group] = self.counts.get(group, -1) + 1
        return count


_world: World | None = None


def world() -> World | None:
    """The world that this process is in."""
    return _world


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("", 0))
        return int(s.getsockname()[1])


def _addresses(told: str | None) -> list[str]:
    """Where others may reach this process: first as they were told, then by name; a machine's own last."""
    found = [told] if told else []
    try:
        found.append(socket.gethostbyname(socket.gethostname()))
    except OSError:
        pass
    return list(dict.fromkeys([*found, "127.0.0.1"]))


def enter(store: Store, rank: int, size: int, host: str | None, timeout: float) -> World:
    """Join the others through ``store``; the programs of all are one from then on. A world of one process needs nothing."""
    global _world
    if size == 1:
        _world = World(0, 1, None, None)
        return _world
    mine = PrefixStore("jtorch", store)
    account = None
    if rank == 0:
        account = Account(size, secrets.token_hex(16).encode())
        mine.multi_set(["hosts", "port", "token"], [",".join(_addresses(host)), account.port, account.token])
    hosts = ["127.0.0.1"] if rank == 0 else mine.get("hosts").decode().split(",")
    token = mine.get("token")
    member = Member(hosts, int(mine.get("port")), token, rank, timeout)
    _world = World(rank, size, member, account)
    known = processes.joined()
    names = _all(member, "joined", size, known[2].encode() if known is not None and known[:2] == (rank, size) else b"-", timeout)
    if len(set(names)) > 1 or names[0] == b"-":  # JAX's processes are not these already
        if rank:
            processes.leave()
        _all(member, "left", size, b"", timeout)
        processes.leave()
        port = _all(member, "port", size, str(_free_port()).encode(), timeout)[0].decode()
        processes.join(f"{member.host}:{port}", size, rank, token.decode(), _own_accelerator(), timeout)
        _all(member, "here", size, b"", timeout)
    return _world


def _all(member: Member, key: str, size: int, payload: bytes, timeout: float) -> list[bytes]:
    """What all give."""
    ranks = ",".join(map(str, range(size)))
    return member.wait(member.ask(lambda payloads: payloads, "all", key, ranks, f"init_process_group(world_size={size})", payload), timeout)  # type: ignore[no-any-return]


def _own_accelerator() -> tuple[int, int] | None:
    """Which of a machine's GPUs is this process's own, where each of so many processes of the machine has one."""
    local, count = os.environ.get("LOCAL_RANK"), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if local is None or count < 2 or len(jax_devices("cuda")) < count:
        return None
    return int(local), count


def exit_world(how: str = "has left the group (destroy_process_group)") -> None:
    """Leave. What the others still want to do with this process raises there; rank 0 keeps the account until the last has left."""
    global _world
    w, _world = _world, None
    if w is None or w.member is None:
        return
    w.member.leave(how)
    if w.account is not None:
        _accounts.append(w.account)
    else:
        _members.append(w.member)


_accounts: list[Account] = []  # of worlds that rank 0 has left
_members: list[Member] = []


def _at_exit() -> None:
    failed = getattr(sys, "last_value", None) is not None or getattr(sys, "last_exc", None) is not None
    exit_world("ended after an error" if failed else "has ended")
    if not _accounts:
        processes.leave()
    for account in _accounts:  # JAX ends every process whose coordinator, process 0, is no more
        account.wait_for_others(0, _PATIENCE if failed else None)
    if _accounts:
        processes.leave()
    for member in _members:
        member.close()


atexit.register(_at_exit)


def refuse_gone(w: World, ranks: tuple[int, ...]) -> None:
    """DistBackendError if one of these processes is no more."""
    gone = [f"rank {r} {w.member.gone[r]}" for r in ranks if w.member is not None and r in w.member.gone]
    if gone:
        raise DistBackendError("; ".join(gone))
