"""``torch.typename``."""

from __future__ import annotations

from typing import Any

from jtorch._namespace import torch


def typename(obj: Any) -> str:
    """The type's name as torch's messages give it: ``torch.FloatTensor`` for tensors, with its module for what is not built in."""
    if isinstance(obj, torch.Tensor):
        return obj.type()
    known = hasattr(obj, "__qualname__")
    name = obj.__qualname__ if known else type(obj).__qualname__
    module = (obj if known else type(obj)).__module__ or ""
    if module == "builtins":
        return name
    if module == "jtorch" or module.startswith("jtorch."):
        module = module[1:]
    return f"{module}.{name}" if module else name


torch.typename = typename
