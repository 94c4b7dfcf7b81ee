"""``torch.distributed.checkpoint._consolidate_hf_safetensors``, as far as libraries name it."""

from __future__ import annotations

from jtorch.distributed._names import refusing

__all__ = ["consolidate_safetensors_files"]

consolidate_safetensors_files = refusing("consolidate_safetensors_files", "torch.distributed.checkpoint._consolidate_hf_safetensors")
