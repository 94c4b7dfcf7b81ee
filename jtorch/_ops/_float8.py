"""The 8-bit floats: torch converts to and from them and moves them about, but computes with them almost nowhere."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _dtypes
from jtorch._registry import Op

__all__ = ["FLOAT8", "fitted", "refuse_float8", "to_float8"]

FLOAT8 = frozenset(np.dtype(k.np) for k in _dtypes.FLOAT8)

# What takes 8-bit floats besides views and what is internal.
_TAKE = frozenset("""
    abs addbmm addmm all any cat clone column_stack conj_physical constant_pad_nd diag_embed diagflat diagonal_scatter dstack embedding eq fill fliplr flipud
    float_power hstack index_put index_select isfinite isinf isnan isreal kron masked_select matmul mm ne nonzero_static outer positive repeat roll rot90 select_scatter slice_scatter
    stack svd tile vstack where zero
""".split())
_KERNELS = {
    "add": "add_stub", "sub": "add_stub", "rsub": "add_stub", "mul": "mul_cpu_reduced_float", "isclose": "mul_cpu_reduced_float", "pow": "pow",
    "bitwise_left_shift": "lshift_cpu", "bitwise_right_shift": "rshift_cpu", "masked_fill": "masked_fill", "tril": "tril", "triu": "triu",
    "clamp": "clamp_scalar_cpu", "gather": "gather_expanded_index", "scatter": "scatter_gather_tensor_cpu", "sort": "sorting_kernel_method_name",
    "max": "max_all", "min": "min_all", "count_nonzero": "nonzero_count_cpu",
    "argwhere": "nonzero_count_cpu",
}
_INSIDE = {"nonzero": "nonzero_count_cpu", "unique": "unique", "unique_consecutive": "unique", "unique_dim": "unique_dim"}  # refused though internal


def refuse_float8(op: Op, arrays: Any) -> None:
    """torch's NotImplementedError for an operator whose kernels leave these types out."""
    kind = next((d for a in arrays if (d := getattr(a, "dtype", None)) in FLOAT8), None)
    inside = op.where == ("internal",)
    if kind is None or op.view or (op.name not in _INSIDE if inside else op.name in _TAKE):
        return
    raise NotImplementedError(f"\"{(_INSIDE if inside else _KERNELS).get(op.name, op.name + '_cpu')}\" not implemented for '{_dtypes.from_np(np.dtype(kind)).legacy}'")


def fitted(x: Any, kind: _dtypes.dtype) -> Any:
    """The numbers that an array is converted from: float8_e4m3fn has no infinities and ends at its largest number; float8_e8m0fnu keeps the exponent of
    the magnitude, and the smallest one for zero."""
    xp: Any = np if isinstance(x, np.ndarray) else jnp
    if kind not in (_dtypes.float8_e4m3fn, _dtypes.float8_e8m0fnu):
        return x
    x = x.astype(np.float32)
    if kind is _dtypes.float8_e4m3fn:
        return xp.clip(x, np.float32(-448), np.float32(448))
    return xp.where(x == 0, np.float32(2.0**-127), xp.abs(x))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def to_float8(x: Any, kind: _dtypes.dtype) -> Any:
    """Conversion; gradients pass where it saturates too."""
    return lax.convert_element_type(fitted(x, kind), kind.np)


@to_float8.defjvp
def _to_float8_rule(kind: _dtypes.dtype, primals: Any, tangents: Any) -> Any:
    return to_float8(primals[0], kind), lax.convert_element_type(tangents[0], kind.np)
