"""``torch.masked``: operators that skip masked elements. Source: https://docs.pytorch.org/docs/stable/masked.html"""

from __future__ import annotations

from typing import Any

from jtorch._api import masked as _masked
from jtorch._api.masked import *  # noqa: F403
from jtorch._errors import not_implemented

__path__: list[str] = []  # torch has a package here; what is below it stands in the table of _private/machinery.py
__all__ = [*_masked.__all__, "MaskedTensor", "as_masked_tensor", "is_masked_tensor", "masked_tensor"]


def _input_mask(input: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
    """The mask in the input's shape, bool. ValueError without one, IndexError where it has more dims."""
    if mask is None:
        raise ValueError("_input_mask requires explicit mask")
    return _masked._spread(input, mask)


class MaskedTensor:
    """A tensor with its mask (a prototype in torch): not implemented; the functions here take ``mask=``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        not_implemented("torch.masked.MaskedTensor", "use the functions of torch.masked with mask=")


def masked_tensor(data: Any, mask: Any, requires_grad: bool = False) -> Any:
    """Not implemented."""
    not_implemented("torch.masked.masked_tensor", "use the functions of torch.masked with mask=")


def as_masked_tensor(data: Any, mask: Any) -> Any:
    """Not implemented."""
    not_implemented("torch.masked.as_masked_tensor", "use the functions of torch.masked with mask=")


def is_masked_tensor(obj: Any, /) -> bool:
    """False: there are no masked tensors here."""
    return isinstance(obj, MaskedTensor)
