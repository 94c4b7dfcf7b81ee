"""How processes find each other: by a store that a URL tells. Source: torch.distributed.rendezvous."""

from __future__ import annotations

import numbers
import os
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from ._stores import FileStore, PrefixStore, Store, TCPStore
from .constants import default_pg_timeout

__all__ = ["register_rendezvous_handler", "rendezvous"]

_Found = Iterator[tuple[Store, int, int]]


def _failed(scheme: str, why: str) -> ValueError:
    return ValueError(f"Error initializing torch.distributed using {scheme}:// rendezvous: {why}")


def _from_environment(name: str) -> str:
    found = os.environ.get(name)
    if not found:
        raise _failed("env", f"environment variable {name} expected, but not set")
    return found


def _from_query(scheme: str, query: dict[str, str]) -> tuple[int, int]:
    for name, what in (("rank", "rank"), ("world_size", "world size")):
        if name not in query:
            raise _failed(scheme, f"{what} parameter missing")
    return int(query["rank"]), int(query["world_size"])


def _tcp_store(host: str, port: int, rank: int, size: int, timeout: timedelta) -> Store:
    """The store of a start: the launcher's, or one that rank 0 keeps."""
    if not 0 <= port < 1 << 16:
        raise ValueError(f"port must have value from 0 to 65535 but was {port}.")
    launcher = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store: Store = TCPStore(host, port, size, is_master=rank == 0 and not launcher, timeout=timeout, wait_for_workers=False)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return PrefixStore(f"/worker/attempt_{attempt}", store) if launcher else store


def _env(url: str, timeout: timedelta = default_pg_timeout, **options: Any) -> _Found:
    query = _query(url)
    rank = int(query["rank"] if "rank" in query else _from_environment("RANK"))
    size = int(query["world_size"] if "world_size" in query else _from_environment("WORLD_SIZE"))
    host, port = _from_environment("MASTER_ADDR"), int(_from_environment("MASTER_PORT"))
    yield _tcp_store(host, port, rank, size, timeout), rank, size
    raise RuntimeError("Unable to perform re-rendezvous using env:// method")


def _tcp(url: str, timeout: timedelta = default_pg_timeout, **options: Any) -> _Found:
    parts = urllib.parse.urlparse(url)
    if parts.port is None:
        raise _failed("tcp", "port number missing")
    rank, size = _from_query("tcp", _query(url))
    yield _tcp_store(parts.hostname or "", parts.port, rank, size, timeout), rank, size
    raise RuntimeError("Unable to perform re-rendezvous using tcp:// method")


def _file(url: str, **options: Any) -> _Found:
    path = urllib.parse.urlparse(url).path
    if not path:
        raise _failed("file", "path missing")
    rank, size = _from_query("file", _query(url))
    yield FileStore(path, size), rank, size
    raise RuntimeError("Unable to perform rerendezvous using file:// method")


_handlers: dict[str, Callable[..., _Found]] = {"env": _env, "file": _file, "tcp": _tcp}


def _query(url: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlparse(url).query))


def register_rendezvous_handler(scheme: str, handler: Callable[..., _Found]) -> None:
    """``handler(url, **options)`` gives an iterator of one (store, rank, world size) for URLs of this scheme. RuntimeError for a scheme that has one."""
    if scheme in _handlers:
        raise RuntimeError(f"Rendezvous handler for {scheme}:// already registered")
    _handlers[scheme] = handler


def rendezvous(url: str, rank: int = -1, world_size: int = -1, **kwargs: Any) -> _Found:
    """An iterator of one (store, rank, world size) for ``env://``, ``tcp://host:port``, ``file:///path``, or a URL of a registered scheme. RuntimeError for others, ValueError for what is missing."""
    if not isinstance(url, (str, bytes)):
        raise RuntimeError(f"`url` must be a string. {type(url)}: {url}")
    for name, x in (("rank", rank), ("world_size", world_size)):
        if not isinstance(x, numbers.Integral):
            raise RuntimeError(f"`{name}` must be an integer. {x}")
    parts = urllib.parse.urlparse(url)
    given = {name: str(x) for name, x in (("rank", rank), ("world_size", world_size)) if x != -1}
    if given:
        query = _query(url)
        if "rank" in query or "world_size" in query:
            raise AssertionError(f"The url: {url} has node-specific arguments(rank, world_size) already.")
        url = urllib.parse.urlunparse(parts._replace(query="&".join(f"{k}={v}" for k, v in {**query, **given}.items())))
    if parts.scheme not in _handlers:
        raise RuntimeError(f"No rendezvous handler for {parts.scheme}://")
    return _handlers[parts.scheme](url, **kwargs)
