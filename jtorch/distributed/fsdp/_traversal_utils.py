"""``torch.distributed.fsdp._traversal_utils``, as far as libraries name it."""

from __future__ import annotations

from typing import Any

__all__: list[str] = []


def _get_fsdp_states(module: Any) -> list[Any]:
    """What is kept of the sharded modules in a tree."""
    return [m._fsdp_sharded for m in module.modules() if m.__dict__.get("_fsdp_sharded") is not None]
