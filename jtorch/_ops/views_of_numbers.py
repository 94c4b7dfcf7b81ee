"""Views of the same memory as other numbers: parts of complex numbers, conjugates, other types."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _dtypes
from jtorch._dtypes import dtype as Dtype
from jtorch._registry import op

from ._lib import joined
from .views import Layout, put


def _real_strides(shape: Any, strides: Any, offset: int) -> Layout:
    return shape, tuple(2 * s for s in strides), 2 * offset


def _imag_strides(shape: Any, strides: Any, offset: int) -> Layout:
    return shape, tuple(2 * s for s in strides), 2 * offset + 1


@op("real_part(Tensor input)", view=True, strides=_real_strides, view_type=Dtype.to_real, view_flips=lambda f: f & 2, where="internal", out=False, grad_name="SelectBackward0")
def real_part(input: Any) -> Any:
    return lax.real(input)


put("real_part")(lambda whole, part: joined(part, lax.imag(whole)))


@op("imag_part(Tensor input)", view=True, strides=_imag_strides, view_type=Dtype.to_real, view_flips=lambda f: f & 2 ^ (f & 1) << 1, where="internal", out=False, grad_name="SelectBackward0")
def imag_part(input: Any) -> Any:
    return lax.imag(input)


put("imag_part")(lambda whole, part: joined(lax.real(whole), part))


def _same_strides(shape: Any, strides: Any, offset: int) -> Layout:
    return shape, strides, offset


# The same memory read as its conjugate or with the other sign: what lies there does not change.


@op("conj_view(Tensor input)", view=True, strides=_same_strides, view_flips=lambda f: f ^ 1, where="internal", out=False, grad_name="ConjBackward0")
def conj_view(input: Any) -> Any:
    return lax.conj(input)


put("conj_view")(lambda whole, part: lax.conj(part))


@op("neg_view(Tensor input)", view=True, strides=_same_strides, view_flips=lambda f: f ^ 2, where="internal", out=False, grad_name="NegViewBackward0")
def neg_view(input: Any) -> Any:
    return lax.neg(input)


put("neg_view")(lambda whole, part: lax.neg(part))


def _numbers_of(kind: Dtype) -> Dtype:
    if not kind.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return kind.to_real()


def _not_conjugated(flips: int) -> int:
    if flips & 1:
        raise RuntimeError(
            "view_as_real doesn't work on unresolved conjugated tensors.  To resolve the conjugate tensor so you can view it as real, use self.resolve_conj(); "
            "however, be warned that the resulting tensor will NOT alias the original."
        )
    return flips


@op("view_as_real(Tensor input)", where="torch", view=True, out=False, view_type=_numbers_of, view_flips=_not_conjugated,
    strides=lambda sh, st, o: ((*sh, 2), (*(2 * s for s in st), 1), 2 * o))  # fmt: skip
def view_as_real(input: Any) -> Any:
    return jnp.stack([lax.real(input), lax.imag(input)], -1)


put("view_as_real")(lambda whole, part: joined(part[..., 0], part[..., 1]))


def _complex_strides(shape: Any, strides: Any, offset: int) -> Layout:
    if not shape:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 for s in strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    return shape[:-1], tuple(s // 2 for s in strides[:-1]), offset // 2


def _complex_of(kind: Dtype) -> Dtype:
    if kind not in (_dtypes.float16, _dtypes.float32, _dtypes.float64):
        raise RuntimeError(f"view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: {kind.legacy}")
    return kind.to_complex()


@op("view_as_complex(Tensor input)", where="torch", view=True, out=False, strides=_complex_strides, view_type=_complex_of)
def view_as_complex(input: Any) -> Any:
    return joined(input[..., 0], input[..., 1])


put("view_as_complex")(lambda whole, part: jnp.stack([lax.real(part), lax.imag(part)], -1).astype(whole.dtype))


def bits_strides(shape: Any, strides: Any, offset: int, dtype: Any, old: Any) -> Layout:
    """Layout of the same memory as elements of another type. RuntimeError in torch's words if there is none."""
    new, itemsize = dtype.itemsize, old.itemsize
    if new == itemsize:
        return shape, strides, offset
    what = f"to view {old.legacy} as {dtype.legacy} (different element sizes)"
    if not shape:
        raise RuntimeError(f"self.dim() cannot be 0 {what}")
    if strides[-1] != 1:
        raise RuntimeError(f"self.stride(-1) must be 1 {what}, but got {strides[-1]}")
    if new < itemsize:
        k = itemsize // new
        return (*shape[:-1], shape[-1] * k), (*(s * k for s in strides[:-1]), 1), offset * k
    k = new // itemsize
    if shape[-1] % k:
        raise RuntimeError(f"self.size(-1) must be divisible by {k} {what}, but got {shape[-1]}")
    if offset % k:
        raise RuntimeError(f"self.storage_offset() must be divisible by {k} {what}, but got {offset}")
    for d, s in enumerate(strides[:-1]):
        if s % k:
            raise RuntimeError(f"self.stride({d}) must be divisible by {k} {what}, but got {s}")
    return (*shape[:-1], shape[-1] // k), (*(s // k for s in strides[:-1]), 1), offset // k


def _bitcast(x: Any, kind: np.dtype) -> Any:
    if x.dtype == kind:
        return x
    if x.dtype == np.bool_ or kind == np.bool_:
        mid = x.astype(np.uint8) if x.dtype == np.bool_ else x
        return (lax.bitcast_convert_type(mid, np.uint8) != 0) if kind == np.bool_ else _bitcast(mid, kind)
    if x.dtype.kind == "c":
        return _bitcast(_interleaved(x), kind)
    if kind.kind == "c":
        half = np.dtype(np.float32 if kind.itemsize == 8 else np.float64)
        x = _bitcast(x, half)
        return lax.complex(x[..., 0::2], x[..., 1::2])
    old, new = x.dtype.itemsize, kind.itemsize
    if new < old:
        y = lax.bitcast_convert_type(x, kind)
        return y.reshape(*x.shape[:-1], -1)
    if new > old:
        k = new // old
        return lax.bitcast_convert_type(x.reshape(*x.shape[:-1], x.shape[-1] // k, k), kind)
    return lax.bitcast_convert_type(x, kind)


def _read_as(x: Any, old: Dtype, new: Dtype) -> Any:
    """Elements of one type as those of another with the same bits."""
    if old is new:
        return x
    if old is _dtypes.complex32:
        return _bitcast(_interleaved(x).astype(np.float16), new.np)
    if new is _dtypes.complex32:
        x = _bitcast(x, np.dtype(np.float16))
        return joined(x[..., 0::2], x[..., 1::2])
    return _bitcast(x, new.np)


def _interleaved(x: Any) -> Any:
    parts = jnp.stack([lax.real(x), lax.imag(x)], -1)
    return parts.reshape(*x.shape[:-1], -1) if x.ndim else parts


def _not_flipped(flips: int) -> int:
    if flips:
        what = "conjugate view tensors" if flips & 1 else "tensors with negative bit set"
        raise RuntimeError(f"torch.Tensor.view is not supported for {what} when converting to a different dtype.")
    return flips


@op("view_dtype(Tensor input, dtype dtype, dtype old)", view=True, strides=bits_strides, where="internal", out=False, grad_name="ViewBackward0",
    view_type=lambda kind, dtype, old: dtype, view_flips=_not_flipped)  # fmt: skip
def view_dtype(input: Any, dtype: Any, old: Any) -> Any:
    return _read_as(input, old, dtype)


put("view_dtype")(lambda whole, part, dtype, old: _read_as(part, dtype, old))
