"""``torch.masked``: operators that skip masked elements. Source: https://docs.pytorch.org/docs/stable/masked.html"""

from __future__ import annotations

from typing import Any

from jtorch._api import masked as _masked
from jtorch._api.masked import *  # noqa: F403
from jtorch._errors import not_implemented
from jtorch._public import torch

__path__: list[str] = []  # torch has a package here; what is below it stands in the table of _private/machinery.py
__all__ = [*_masked.__all__, "MaskedTensor", "as_masked_tensor", "is_masked_tensor", "masked_tensor"]


def _input_mask(input: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
    """The mask in the input's shape, bool. ValueError without one, IndexError where it has more dims."""
    if mask is None:
        raise ValueError("_input_mask requires explicit mask")
    return _masked._spread(input, mask)


_REDUCTIONS = frozenset(("sum", "prod", "amax", "amin", "argmax", "argmin", "mean", "median", "norm", "var", "std", "logsumexp"))
_NORMALISATIONS = frozenset(("softmax", "log_softmax", "softmin", "normalize", "cumsum", "cumprod"))


def _output_mask(op: Any, input: Any, *args: Any, **kwargs: Any) -> Any:
    """Which results of a function of here come from any element at all: bool. ValueError for what is none."""
    if not callable(op):
        raise ValueError(f"_output_mask expected masked operation (got {type(op).__name__} object)")
    if op.__name__ in _NORMALISATIONS:
        return _input_mask(input, *args, **kwargs)
    if op.__name__ not in _REDUCTIONS:
        raise ValueError(f"_output_mask expected masked operation (got callable {op.__module__}.{op.__name__})")
    if op.__name__ == "norm":
        args = args[1:]
    dims = _canonical_dim(args[0] if args else kwargs.get("dim"), input.dim())
    mask = _input_mask(input, *args, **kwargs)
    return mask.any(dim=dims, keepdim=bool(kwargs.get("keepdim", False))) if dims else mask


def _canonical_dim(dim: Any, ndim: int) -> tuple[int, ...]:
    """Distinct dims in order, None for all. IndexError and RuntimeError as for the functions here."""
    return _masked._dims(dim, ndim)


def _where(mask: Any, input: Any, fill_value: Any) -> Any:
    """The input where the mask is True, else the number."""
    return torch.where(mask, input, fill_value)


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
