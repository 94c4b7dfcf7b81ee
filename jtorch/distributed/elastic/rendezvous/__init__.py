"""How the machines of a run find each other. "static" is there: each machine is told its number. Others may be registered."""

from __future__ import annotations

from .api import (
    RendezvousClosedError, RendezvousConnectionError, RendezvousError, RendezvousGracefulExitError, RendezvousHandler, RendezvousHandlerCreator, RendezvousHandlerRegistry, RendezvousInfo,
    RendezvousParameters, RendezvousStateError, RendezvousStoreInfo, RendezvousTimeoutError, rendezvous_handler_registry,
)  # fmt: skip
from .registry import register_default_handlers

__all__ = [
    "RendezvousClosedError", "RendezvousConnectionError", "RendezvousError", "RendezvousGracefulExitError", "RendezvousHandler", "RendezvousHandlerCreator", "RendezvousHandlerRegistry",
    "RendezvousInfo", "RendezvousParameters", "RendezvousStateError", "RendezvousStoreInfo", "RendezvousTimeoutError", "rendezvous_handler_registry",
]  # fmt: skip

register_default_handlers()
