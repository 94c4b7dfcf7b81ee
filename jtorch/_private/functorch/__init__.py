"""``torch._functorch``: the inside of torch.func, which is JAX's here."""

from __future__ import annotations

from . import config as config

__all__ = ["config"]
