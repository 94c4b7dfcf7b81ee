"""What a rendezvous is, and the registry of kinds of them."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from jtorch.distributed._stores import Store
from jtorch.distributed.elastic.utils.distributed import get_free_port

__all__ = [
    "RendezvousClosedError", "RendezvousConnectionError", "RendezvousError", "RendezvousGracefulExitError", "RendezvousHandler", "RendezvousHandlerCreator", "RendezvousHandlerRegistry",
    "RendezvousInfo", "RendezvousParameters", "RendezvousStateError", "RendezvousStoreInfo", "RendezvousTimeoutError", "rendezvous_handler_registry",
]  # fmt: skip


class RendezvousError(Exception):
    """A rendezvous failed."""


class RendezvousClosedError(RendezvousError):
    """It is closed."""


class RendezvousTimeoutError(RendezvousError):
    """It took too long."""


class RendezvousConnectionError(RendezvousError):
    """Its store does not answer."""


class RendezvousStateError(RendezvousError):
    """Its state makes no sense."""


class RendezvousGracefulExitError(RendezvousError):
    """This machine is not needed."""


@dataclass
class RendezvousStoreInfo:
    """Where the processes of a run find their store."""

    MASTER_ADDR_KEY: ClassVar[str] = "MASTER_ADDR"
    MASTER_PORT_KEY: ClassVar[str] = "MASTER_PORT"
    master_addr: str
    master_port: int

    @staticmethod
    def build(rank: int, store: Store, local_addr: str | None, server_port: int | None = None) -> RendezvousStoreInfo:
        """What rank 0 says: its address, and ``server_port`` or a free port."""
        info = RendezvousStoreInfo
        if rank == 0:
            store.set(info.MASTER_ADDR_KEY, (local_addr or socket.getfqdn()).encode())
            store.set(info.MASTER_PORT_KEY, str(server_port or get_free_port()).encode())
        return info(master_addr=store.get(info.MASTER_ADDR_KEY).decode(), master_port=int(store.get(info.MASTER_PORT_KEY).decode()))


class RendezvousInfo:
    """What came of a rendezvous."""

    def __init__(self, store: Store, rank: int, world_size: int, bootstrap_store_info: RendezvousStoreInfo) -> None:
        self._store, self._rank, self._world_size, self._bootstrap_store_info = store, rank, world_size, bootstrap_store_info

    @property
    def store(self) -> Store:
        """The agents' store."""
        return self._store

    @property
    def rank(self) -> int:
        """The number of this machine."""
        return self._rank

    @property
    def world_size(self) -> int:
        """How many machines there are."""
        return self._world_size

    @property
    def bootstrap_store_info(self) -> RendezvousStoreInfo | None:
        """The processes' store."""
        return self._bootstrap_store_info


class RendezvousHandler(ABC):
    """A kind of rendezvous."""

    @abstractmethod
    def get_backend(self) -> str:
        """Its name."""

    @property
    def use_agent_store(self) -> bool:
        """Whether the processes use the agents' store."""
        return False

    @abstractmethod
    def next_rendezvous(self) -> RendezvousInfo:
        """Wait for the others. A RendezvousError where that fails."""

    @abstractmethod
    def is_closed(self) -> bool:
        """Whether nobody may come any more."""

    @abstractmethod
    def set_closed(self) -> None:
        """Nobody may come any more."""

    @abstractmethod
    def num_nodes_waiting(self) -> int:
        """How many came too late."""

    @abstractmethod
    def get_run_id(self) -> str:
        """The run's name."""

    @abstractmethod
    def shutdown(self) -> bool:
        """Let go of all that it holds."""


class RendezvousParameters:
    """What a rendezvous is made from. ValueError for no backend, no machines, or fewer at most than at least."""

    def __init__(self, backend: str, endpoint: str, run_id: str, min_nodes: int, max_nodes: int, local_addr: str | None = None, **kwargs: Any) -> None:
        if not backend:
            raise ValueError("The rendezvous backend name must be a non-empty string.")
        if min_nodes < 1:
            raise ValueError(f"The minimum number of rendezvous nodes ({min_nodes}) must be greater than zero.")
        if max_nodes < min_nodes:
            raise ValueError(f"The maximum number of rendezvous nodes ({max_nodes}) must be greater than or equal to the minimum number of rendezvous nodes ({min_nodes}).")
        self.backend, self.endpoint, self.run_id, self.min_nodes, self.max_nodes = backend, endpoint, run_id, min_nodes, max_nodes
        self.config, self.local_addr = kwargs, local_addr

    def get(self, key: str, default: Any = None) -> Any:
        """A setting of the backend."""
        return self.config.get(key, default)

    def get_as_bool(self, key: str, default: bool | None = None) -> bool | None:
        """A setting as a bool ("yes", "0", ...). ValueError for another."""
        value = self.get(key, default)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and value in (0, 1):
            return bool(value)
        if isinstance(value, str) and value.lower() in ("1", "true", "t", "yes", "y", "0", "false", "f", "no", "n"):
            return value.lower() in ("1", "true", "t", "yes", "y")
        raise ValueError(f"The rendezvous configuration option '{key}' does not represent a valid boolean value.")

    def get_as_int(self, key: str, default: int | None = None) -> int | None:
        """A setting as an int. ValueError for another."""
        value = self.get(key, default)
        try:
            return None if value is None else int(value)
        except ValueError as error:
            raise ValueError(f"The rendezvous configuration option '{key}' does not represent a valid integer value.") from error


RendezvousHandlerCreator = Callable[[RendezvousParameters], RendezvousHandler]


class RendezvousHandlerRegistry:
    """Kinds of rendezvous by name."""

    def __init__(self) -> None:
        self._registry: dict[str, RendezvousHandlerCreator] = {}

    def register(self, backend: str, creator: RendezvousHandlerCreator) -> None:
        """A new kind. ValueError for a name that another has, or none."""
        if not backend:
            raise ValueError("The rendezvous backend name must be a non-empty string.")
        known = self._registry.get(backend)
        if known is not None and known != creator:
            raise ValueError(f"The rendezvous backend '{backend}' cannot be registered with '{creator}' as it is already registered with '{known}'.")
        self._registry[backend] = creator

    def create_handler(self, params: RendezvousParameters) -> RendezvousHandler:
        """One of the kind that the parameters say. ValueError for a kind that there is not, RuntimeError where another was made."""
        if params.backend not in self._registry:
            raise ValueError(f"The rendezvous backend '{params.backend}' is not registered. Did you forget to call `register`?")
        handler = self._registry[params.backend](params)
        if handler.get_backend() != params.backend:
            raise RuntimeError(f"The rendezvous backend '{handler.get_backend()}' does not match the requested backend '{params.backend}'.")
        return handler


rendezvous_handler_registry = RendezvousHandlerRegistry()
