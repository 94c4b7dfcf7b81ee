"""``torch._tensor``: the module that torch's Tensor class is written in."""

from __future__ import annotations

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._utils import _rebuild_from_type_v2  # noqa: F401
from jtorch.overrides import get_default_nowrap_functions, handle_torch_function, has_torch_function

__all__ = ["Tensor", "get_default_nowrap_functions", "handle_torch_function", "has_torch_function"]


def _rebuild_from_type(func, type, args, dict):  # type: ignore[no-untyped-def]  # noqa: A002 - torch's names
    """A tensor of a subclass, with its attributes: the form of old checkpoints."""
    ret = func(*args)
    if type is Tensor:
        return ret
    ret = ret.as_subclass(type)
    ret.__dict__ = dict
    return ret
