"""Dropout in its four kinds: the mask is drawn as torch draws it, one float64 uniform an element."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from jtorch import _dtypes
from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.inplace import assign, check_writable
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, is_contiguous, strides_of
from jtorch._errors import no_kernel
from jtorch._namespace import torch
from jtorch._random import samplers as S

from ._drawing import fresh, internal
from .creation import _dense_like

_ALPHA = 1.7580993408473766  # of selu: minus lambda times alpha, negated


def _check(input: Any, p: float, name: str) -> Any:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
    return aval_of(input)


def _mask(shape: tuple[int, ...], p: float, where: Any, strides: Any) -> Tensor:
    """Which elements stay, a bool tensor of the logical shape."""
    dense = None if strides is None or is_contiguous(shape, strides) else _dense_like(shape, strides)
    keep = 1 - p
    t = fresh(shape, _dtypes.bool_, where, None, lambda g, s, d, st: S.bernoulli(g, s, d, keep, st), ("bernoulli", keep, 0), dense)
    return t


@functools.cache
def _in_type(number: float, dtype: Any) -> float:
    """A number as the noise tensor of that type holds it."""
    with np.errstate(all="ignore"):
        return complex(np.asarray(number).astype(dtype.np)).real


def _dropout(input: Tensor, p: float, train: bool, name: str, alpha: bool = False, feature: bool = False) -> Tensor:
    p = float(p)
    a = _check(input, p, name)
    if p == 0 or not train or 0 in a.shape:
        return input
    if p == 1:
        return input * torch.zeros((), dtype=a.dtype, device=a.device)  # type: ignore[operator,no-any-return]
    if a.dtype.category < 2:
        raise RuntimeError(f"result type Float can't be cast to the desired output type {a.dtype.legacy}")
    if a.dtype.is_complex:
        no_kernel("bernoulli_scalar_cpu_", a.dtype)
    shape = a.shape
    if feature:
        if len(shape) < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        shape = (*shape[:2], *(1 for _ in shape[2:]))
    mask = _mask(shape, p, a.device, None if feature else strides_of(input))
    if not alpha:
        one = _in_type(1.0, a.dtype)
        return internal("masked_scale", input, mask, _in_type(one / _in_type(1 - p, a.dtype), a.dtype))  # type: ignore[no-any-return]
    scale = 1.0 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    shift = _in_type(_ALPHA * scale * p, a.dtype)
    dropped = _in_type(shift + _in_type(-_ALPHA * scale, a.dtype), a.dtype)
    return internal("masked_affine", input, mask, _in_type(scale, a.dtype), shift, dropped)  # type: ignore[no-any-return]


def _declare(name: str, alpha: bool, feature: bool, doc: str) -> None:
    def fn(input: Tensor, p: float, train: bool) -> Tensor:
        return _dropout(input, p, train, name, alpha, feature)

    def inplace(input: Tensor, p: float, train: bool) -> Tensor:
        new = _dropout(input, p, train, name + "_", alpha, feature)
        if new is input:
            return input
        check_writable(input, name="mul_")
        return assign(input, new)

    fn.__name__, inplace.__name__ = name, name + "_"
    fn.__doc__, inplace.__doc__ = doc, f"``{name}`` in place."
    compose("torch", name=name)(fn)
    compose("torch", name=name + "_")(inplace)


_declare("dropout", False, False, "Zeros with probability ``p``, the others scaled by 1/(1-p); ``input`` itself unless ``train``.")
_declare("feature_dropout", False, True, "``dropout`` of whole channels (the second dim).")
_declare("alpha_dropout", True, False, "Dropout that keeps mean and variance of SELU's outputs.")
_declare("feature_alpha_dropout", True, True, "``alpha_dropout`` of whole channels.")


@compose("torch")
def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """(output, mask) of dropout; the mask is bool."""
    p = float(p)
    a = _check(input, p, "native_dropout")
    if train is False or 0 in a.shape:
        return input.clone() if 0 in a.shape else input, torch.ones_like(input, dtype=_dtypes.bool_)  # type: ignore[attr-defined]
    if a.dtype.category < 2:
        raise RuntimeError(f"result type Float can't be cast to the desired output type {a.dtype.legacy}")
    mask = _mask(a.shape, p, a.device, strides_of(input))
    scale = 0.0 if p == 1 else 1.0 / (1.0 - p)
    return internal("native_dropout_apply", input, mask, scale), mask
