"""Nothing public: ``DistributedDataParallel(mixed_precision=...)``, which these serve in torch, is refused."""

from __future__ import annotations

__all__: list[str] = []
