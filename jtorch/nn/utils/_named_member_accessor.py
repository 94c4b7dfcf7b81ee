"""``torch.nn.utils._named_member_accessor``: tensors of a module by dotted names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jtorch._public import torch

__all__ = ["NamedMemberAccessor", "swap_tensor"]

_MISSING = object()


def swap_tensor(module: Any, name: str, tensor: Any, allow_missing: bool = False) -> Any:
    """Put ``tensor`` in the place of a parameter, buffer or attribute, past the module's own checks; gives what was there."""
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"{module} is not an instance of torch.nn.Module")
    if "." in name:
        raise KeyError('tensor name can\'t contain "."')
    if name == "":
        raise KeyError('tensor name can\'t be empty string ""')
    place = module._parameters if name in module._parameters else module._buffers if name in module._buffers else module.__dict__
    before = place.get(name, _MISSING)
    if before is _MISSING and not allow_missing:
        raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
    if tensor is _MISSING:
        place.pop(name, None)
    else:
        place[name] = tensor
    return before


class NamedMemberAccessor:
    """Reads and replaces the tensors of a module by dotted names."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def get_submodule(self, name: str) -> Any:
        """The module of this name."""
        return self.module.get_submodule(name)

    def _at(self, name: str) -> tuple[Any, str]:
        prefix, _, leaf = name.rpartition(".")
        return self.get_submodule(prefix), leaf

    def get_tensor(self, name: str) -> Any:
        """The tensor of this name."""
        owner, leaf = self._at(name)
        return getattr(owner, leaf)

    def set_tensor(self, name: str, value: Any) -> None:
        """Put another in its place."""
        self.swap_tensor(name, value, allow_missing=True)

    def swap_tensor(self, name: str, value: Any, allow_missing: bool = False) -> Any:
        """Put another in its place; gives the one that was there."""
        return swap_tensor(*self._at(name), value, allow_missing)

    def swap_tensors_dict(self, named_tensors: dict[str, Any], allow_missing: bool = False) -> tuple[dict[str, Any], list[str]]:
        """The same of several: (those that were there, names that were not)."""
        before, missing = {}, []
        for name, tensor in named_tensors.items():
            before[name] = self.swap_tensor(name, tensor, allow_missing=True)
            if before[name] is _MISSING:
                missing.append(name)
        if missing and not allow_missing:
            self.swap_tensors_dict(before, allow_missing=True)
            raise RuntimeError(f"Missing key(s): {', '.join(missing)}.")
        return before, missing

    def named_parameters(self, remove_duplicate: bool = True) -> Iterable[Any]:
        """As the module's."""
        return self.module.named_parameters(remove_duplicate=remove_duplicate)
