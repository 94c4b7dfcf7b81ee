"""The kinds of rendezvous that there are."""

from __future__ import annotations

from typing import Any

from jtorch._errors import not_implemented

from .api import RendezvousHandler, RendezvousParameters, rendezvous_handler_registry

__all__ = ["get_rendezvous_handler"]


def _static(params: RendezvousParameters) -> RendezvousHandler:
    from .static_tcp_rendezvous import create_rdzv_handler

    return create_rdzv_handler(params)


def _not_there(params: RendezvousParameters) -> Any:
    not_implemented("torch.distributed.elastic.rendezvous of machines that come and go", "the static one is there: give each machine its number")


def register_default_handlers() -> None:
    """The names that torch knows."""
    rendezvous_handler_registry.register("static", _static)
    for name in ("etcd", "etcd-v2", "c10d"):
        rendezvous_handler_registry.register(name, _not_there)


def get_rendezvous_handler(params: RendezvousParameters) -> RendezvousHandler:
    """A handler of the kind that the parameters say."""
    return rendezvous_handler_registry.create_handler(params)
