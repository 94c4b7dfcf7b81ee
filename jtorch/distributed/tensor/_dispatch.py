"""``torch.distributed.tensor._dispatch``, as far as libraries name it."""

from __future__ import annotations

__all__: list[str] = []
