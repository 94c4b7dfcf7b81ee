"""``fill_uninitialized_memory``: whether ``torch.empty`` fills its memory. Memory is always filled here, so that turning it off changes nothing."""

from __future__ import annotations

fill_uninitialized_memory = True
