"""A rendezvous of machines that know their numbers; the first keeps the store."""

from __future__ import annotations

from datetime import timedelta

from jtorch.distributed._stores import PrefixStore, Store, TCPStore

from .api import RendezvousHandler, RendezvousInfo, RendezvousParameters, RendezvousStoreInfo
from .utils import parse_rendezvous_endpoint

__all__ = ["StaticTCPRendezvous", "create_rdzv_handler"]


class StaticTCPRendezvous(RendezvousHandler):
    """Of ``world_size`` machines, this one being number ``rank``, within ``timeout`` seconds."""

    def __init__(self, master_addr: str, master_port: int, rank: int, world_size: int, run_id: str, timeout: int) -> None:
        self.master_addr, self.master_port, self.rank, self.world_size, self.run_id = master_addr, master_port, rank, world_size, run_id
        self.timeout = timedelta(seconds=timeout)
        self._store: Store | None = None

    def get_backend(self) -> str:
        """Its name: static."""
        return "static"

    @property
    def use_agent_store(self) -> bool:
        """Yes."""
        return True

    def next_rendezvous(self) -> RendezvousInfo:
        """Wait for the others."""
        if self._store is None:
            self._store = TCPStore(self.master_addr, self.master_port, self.world_size, self.rank == 0, self.timeout, multi_tenant=True)
        return RendezvousInfo(PrefixStore(self.run_id, self._store), self.rank, self.world_size, RendezvousStoreInfo(self.master_addr, self.master_port))

    def is_closed(self) -> bool:
        """Never."""
        return False

    def set_closed(self) -> None:
        """Nothing to do."""

    def num_nodes_waiting(self) -> int:
        """Nobody comes late."""
        return 0

    def get_run_id(self) -> str:
        """The run's name."""
        return self.run_id

    def shutdown(self) -> bool:
        """Nothing to do."""
        return True


def create_rdzv_handler(params: RendezvousParameters) -> RendezvousHandler:
    """One of ``max_nodes`` machines; the setting ``rank`` is this machine's number. ValueError without it, or without an endpoint and its port."""
    if "rank" not in params.config:
        raise ValueError("rank is absent in RendezvousParameters.Try add --node-rank to the cmd request")
    endpoint = params.endpoint.strip()
    if not endpoint:
        raise ValueError("endpoint is absent in RendezvousParametersTry add --master-port and --master-addr to the cmd request")
    host, port = parse_rendezvous_endpoint(endpoint, -1)
    if port == -1:
        raise ValueError(f"Port is absent in endpoint: {endpoint}. Try launching with --master-port")
    return StaticTCPRendezvous(host, port, params.config["rank"], params.max_nodes, params.run_id, int(params.config.get("timeout", 600)))
