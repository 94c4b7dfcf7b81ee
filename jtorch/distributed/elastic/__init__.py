"""``torch.distributed.elastic``: torchrun's inside, as far as programs name it."""

from __future__ import annotations

from typing import Any

from jtorch.distributed import _names


def __getattr__(name: str) -> Any:
    module = None if name.startswith("__") else _names.found(f"elastic.{name}")
    if module is None:
        raise AttributeError(f"module 'torch.distributed.elastic' has no attribute '{name}'")
    return module
