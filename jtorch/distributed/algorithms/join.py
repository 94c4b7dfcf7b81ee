"""``torch.distributed.algorithms.join``: loops of different lengths in different processes."""

from __future__ import annotations

from jtorch.distributed._join import Join, Joinable, JoinHook

__all__ = ["Join", "JoinHook", "Joinable"]
