"""What the agents of several machines agree on through a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from jtorch.distributed._stores import DistStoreError

__all__ = ["barrier", "get_all", "store_timeout", "synchronize"]

_SHOWN = 16  # missing ranks that a message names


@contextmanager
def store_timeout(store: Any, timeout: float) -> Iterator[None]:
    """Within, the store waits for so many seconds."""
    before = store.timeout
    store.set_timeout(timedelta(seconds=timeout))
    yield
    store.set_timeout(before)


def get_all(store: Any, rank: int, prefix: str, world_size: int) -> list[bytes]:
    """The values of ``prefix0``, ``prefix1``, ...; rank 0, which keeps the store, waits until all have them."""
    found = store.multi_get([f"{prefix}{i}" for i in range(world_size)])
    key = _arrived(store, world_size, f"{prefix}/finished")
    if rank == 0:
        store.wait([key])
    return found  # type: ignore[no-any-return]


def synchronize(store: Any, data: bytes, rank: int, world_size: int, key_prefix: str, timeout: float = 300) -> list[bytes]:
    """Give ``data`` to all, and get what they gave. A ``key_prefix`` serves once."""
    with store_timeout(store, timeout):
        store.set(f"{key_prefix}{rank}", data)
        return get_all(store, rank, key_prefix, world_size)


def _arrived(store: Any, world_size: int, key_prefix: str) -> str:
    """The key that the last who comes sets."""
    last = key_prefix + "/last_member"
    if store.add(key_prefix + "/num_members", 1) == world_size:
        store.set(last, "<val_ignored>")
    return last


def barrier(
    store: Any, world_size: int, key_prefix: str, barrier_timeout: float = 300, rank: int | None = None, rank_tracing_decoder: Callable[[int], str] | None = None, trace_timeout: float = 10
) -> None:
    """Wait until ``world_size`` processes are here. A ``key_prefix`` serves once. DistStoreError after ``barrier_timeout`` seconds; with a ``rank`` it names who is missing."""
    if rank is None and rank_tracing_decoder is not None:
        raise AssertionError("Tracing requires rank information")
    with store_timeout(store, barrier_timeout):
        key = _arrived(store, world_size, key_prefix)
        try:
            store.wait([key])
        except DistStoreError:
            missing = None if rank is None else _missing(store, world_size, key_prefix, rank, rank_tracing_decoder or str, trace_timeout)
            if missing is None:
                raise
            raise DistStoreError(
                f"Timed out waiting on barrier on rank {rank}, for key prefix: {key_prefix} (world_size={world_size}, missing_ranks=[{', '.join(missing)}], timeout={barrier_timeout})"
            ) from None


def _missing(store: Any, world_size: int, key_prefix: str, rank: int, shown: Callable[[int], str], patience: float) -> Iterable[str] | None:
    store.set(f"{key_prefix}{rank}/TRACE", "<val_ignored>")
    gate = f"{key_prefix}/TRACING_GATE"
    if rank != 0:
        try:
            store.wait([gate])
        except DistStoreError:  # rank 0 may be the one
            return None
        return [f"[<check rank 0 ({shown(0)}) for missing rank info>]"]
    missing: dict[str, None] = {}
    for i in range(1, world_size):
        if len(missing) >= _SHOWN:
            break
        try:
            store.wait([f"{key_prefix}{i}/TRACE"], timedelta(milliseconds=1) if missing else timedelta(seconds=patience))
        except DistStoreError:
            missing[shown(i)] = None
    store.set(gate, "<val_ignored>")
    return missing
