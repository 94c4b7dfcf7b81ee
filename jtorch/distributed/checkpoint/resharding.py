"""``torch.distributed.checkpoint.resharding``: nothing public, as in torch."""

from __future__ import annotations

__all__: list[str] = []
