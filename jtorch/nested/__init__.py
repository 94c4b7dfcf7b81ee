"""``torch.nested``: tensors of unequal rows as one. They are not carried: programs are compiled for the sizes that they meet."""

from __future__ import annotations

from typing import Any

from jtorch._errors import not_implemented

__all__ = ["as_nested_tensor", "masked_select", "narrow", "nested_tensor", "nested_tensor_from_jagged", "to_padded_tensor"]

_INSTEAD = "use torch.nn.utils.rnn.pad_sequence and a mask"


def nested_tensor(tensor_list: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Any:
    """Rows of these tensors' values."""
    not_implemented("torch.nested.nested_tensor", _INSTEAD)


def as_nested_tensor(ts: Any, dtype: Any = None, device: Any = None, layout: Any = None) -> Any:
    """Rows that keep their history."""
    not_implemented("torch.nested.as_nested_tensor", _INSTEAD)


def nested_tensor_from_jagged(values: Any, offsets: Any = None, lengths: Any = None, jagged_dim: Any = None, min_seqlen: Any = None, max_seqlen: Any = None) -> Any:
    """Rows that lie end to end in ``values``."""
    not_implemented("torch.nested.nested_tensor_from_jagged", _INSTEAD)


def narrow(tensor: Any, dim: int, start: Any, length: Any, layout: Any = None) -> Any:
    """Rows cut out of a tensor."""
    not_implemented("torch.nested.narrow", _INSTEAD)


def masked_select(tensor: Any, mask: Any) -> Any:
    """Rows where a mask says so."""
    not_implemented("torch.nested.masked_select", "use torch.masked_select")


def to_padded_tensor(input: Any, padding: float, output_size: Any = None, out: Any = None) -> Any:
    """A dense tensor with the rows filled up. Of a tensor that is dense, torch's error."""
    raise NotImplementedError("Could not run 'aten::to_padded_tensor' with arguments from the 'CPU' backend: it takes nested tensors, which jtorch does not carry")
