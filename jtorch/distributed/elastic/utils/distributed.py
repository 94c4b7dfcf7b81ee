"""Free ports, and the store in which processes find each other."""

from __future__ import annotations

from datetime import timedelta

from jtorch.distributed._stores import TCPStore

from .api import get_socket_with_port
from .logging import get_logger
from .store import barrier

__all__ = ["create_c10d_store", "get_free_port", "get_socket_with_port"]
_log = get_logger(__name__)


def get_free_port() -> int:
    """A port of localhost that nobody listens on now."""
    with get_socket_with_port() as s:
        return int(s.getsockname()[1])


def create_c10d_store(
    is_server: bool, server_addr: str, server_port: int = -1, world_size: int = 1, timeout: float = 600, wait_for_workers: bool = True, retries: int = 3, use_libuv: bool | None = None
) -> TCPStore:
    """A TCPStore, which ``is_server`` keeps, for ``world_size`` processes; on any free port for one. ValueError without a port for several."""
    if use_libuv is not None:
        _log.warning("argument use_libuv is deprecated and ignored.")
    if server_port == -1 and world_size > 1:
        raise ValueError(f"server_port must be specified when world_size > 1, got server_port={server_port}, world_size={world_size}")
    for attempt in range(1, (retries if server_port == -1 else 1) + 1):
        port = server_port if server_port != -1 else get_free_port()
        try:
            store = TCPStore(server_addr, port, world_size, is_master=is_server, timeout=timedelta(seconds=timeout), wait_for_workers=wait_for_workers)
        except RuntimeError as error:
            if "ddress already in use" not in str(error):
                raise
            if attempt == retries or server_port != -1:
                raise RuntimeError(f"on {server_addr}, port: {port} already in use") from error
            continue
        if wait_for_workers:
            barrier(store, world_size, key_prefix="_tcp_store/num_members", barrier_timeout=timeout)
        return store
    raise RuntimeError(f"on {server_addr}: no port is free")
