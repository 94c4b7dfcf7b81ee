"""``torch.distributed.checkpoint.logging_handlers``: nothing public, as in torch."""

from __future__ import annotations

__all__: list[str] = []
