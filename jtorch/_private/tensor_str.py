"""``torch._tensor_str``: how tensors are printed."""

from __future__ import annotations

from typing import Any

from jtorch._core.tensor import print_format
from jtorch._core.tensor.print_format import get_printoptions, printoptions, set_printoptions  # noqa: N812
from jtorch._core.tensor.print_format import options as PRINT_OPTS
from jtorch._public import torch

__all__ = ["PRINT_OPTS", "get_printoptions", "printoptions", "set_printoptions"]


def _str(self: Any, *, tensor_contents: Any = None) -> str:
    """``repr(tensor)``."""
    return repr(self) if tensor_contents is None else torch.Tensor.__repr__(self, tensor_contents=tensor_contents)  # type: ignore[no-any-return]


def _str_intern(inp: Any, *, tensor_contents: Any = None) -> str:
    """Likewise."""
    with torch._C.DisableTorchFunctionSubclass():
        return _str(inp, tensor_contents=tensor_contents)


def _tensor_str(self: Any, indent: int) -> str:
    """The elements alone, later lines indented by so many columns."""
    return print_format.format_tensor(self.detach().cpu().numpy(), dtype=self.dtype, prefix=" " * indent).strip().removesuffix(")")


def _add_suffixes(tensor_str: str, suffixes: list[str], indent: int, force_newline: bool) -> str:
    """The elements with what else is to be said."""
    return print_format.add_suffixes(tensor_str, suffixes, indent, force_newline)
