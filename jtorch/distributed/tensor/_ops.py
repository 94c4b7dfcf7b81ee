"""``torch.distributed.tensor._ops``, as far as libraries name it."""

from __future__ import annotations

__all__: list[str] = []
