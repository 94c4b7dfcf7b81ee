"""``torch.distributed.checkpoint.logger``: nothing public, as in torch."""

from __future__ import annotations

__all__: list[str] = []
