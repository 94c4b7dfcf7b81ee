"""Copies, conversions and fills: the operators that the core itself is built from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import Says, op

from ._fitting import fill_value
from ._lib import accumulate_in, broadcast_shape, cast, num, total


@op("accumulate(Tensor input, Tensor other)", where="internal", out=False)
def accumulate(input: Any, other: Any) -> Any:
    return input + other if input.dtype != np.bool_ else input | other


@op("clone(Tensor input, *, memory_format? memory_format=None)", out=False, elementwise=True, format="like")
def clone(input: Any, memory_format: Any = None) -> Any:
    return input


def _drops_imaginary(source: Any, kind: Any) -> Sequence[Says]:
    if not _torch_dtype(source).is_complex or kind.category in (0, 3):
        return ()
    return (Says("Casting complex values to real discards the imaginary part", once=True),)


@op("to_copy(Tensor input, dtype dtype)", where="internal", out=False, elementwise=True, format="like", grad_name="ToCopyBackward0", guard=lambda input, dtype: _drops_imaginary(input, dtype))
def to_copy(input: Any, dtype: Any) -> Any:
    return cast(input, dtype)


@op("fill(Tensor input, Tensor|Scalar value)", inplace=True, expanded="numbers", out=False, elementwise=True, guard=fill_value, fills="f")
def fill(input: Any, value: Any) -> Any:
    if hasattr(value, "ndim") and value.ndim:
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
    return jnp.broadcast_to(_number_cast(value, input), input.shape)


def _number_cast(value: Any, like: Any) -> Any:
    return num(value, like) if not hasattr(value, "dtype") else cast(value, _torch_dtype(like))


def _torch_dtype(x: Any) -> Any:
    from jtorch import _dtypes

    return _dtypes.from_np(np.dtype(x.dtype))


@op("zero(Tensor input)", inplace=True, expanded=True, out=False, where="Tensor", elementwise=True, fills="fiu")
def zero(input: Any) -> Any:
    return jnp.broadcast_to(num(0, input), input.shape)  # float8_e8m0fnu has no zero




@op("settle(Tensor input, Tensor src, int[] dims)", where="internal", out=False)
def settle(input: Any, src: Any, dims: tuple[int, ...]) -> Any:
    """What places of memory hold after ``input``, whose elements along ``dims`` are the same places, was written to be ``src``: of the elements
    that changed, the last one. The result has size 1 in ``dims``."""
    for d in reversed(dims):
        changed = ~((input == src) | ((input != input) & (src != src)))
        n = input.shape[d]
        last = n - 1 - jnp.argmax(jnp.flip(changed, d), d, keepdims=True)
        src = jnp.take_along_axis(src, last, d)
        input = jnp.take(input, np.array([0]), d)
    return src


@op("copy(Tensor input, Tensor src)", where="internal", out=False, grad_name="CopyBackwards", elementwise=True, guard=lambda input, src: _drops_imaginary(src, _torch_dtype(input)))
def copy(input: Any, src: Any) -> Any:
    """``src`` broadcast to the shape of ``input`` and cast to its type."""
    if src.ndim > input.ndim or any(a != b and a != 1 for a, b in zip(src.shape[::-1], input.shape[::-1], strict=False)):
        for i in range(1, max(src.ndim, input.ndim) + 1):
            a = input.shape[-i] if i <= input.ndim else 1
            b = src.shape[-i] if i <= src.ndim else 1
            if a != b and b != 1 and a != 1:
                raise RuntimeError(
                    f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension {max(src.ndim, input.ndim) - i}"
                )
        raise RuntimeError(f"output with shape {list(input.shape)} doesn't match the broadcast shape {list(broadcast_shape(input.shape, src.shape))}")
    return jnp.broadcast_to(cast(src, _torch_dtype(input)), input.shape)




@op("reshape_copy(Tensor input, int[] size)", where="internal", out=False, grad_name="UnsafeViewBackward0")
def reshape_copy(input: Any, size: Any) -> Any:
    """Elements in row-major order in a new shape: what reshape does when no view can."""
    return input.reshape(size)


@op("sum_to_shape(Tensor input, int[] size)", where="internal", out=False, grad_name="SumBackward1")
def sum_to_shape(input: Any, size: Any) -> Any:
    """Sum over the dims that broadcasting ``size`` to the input's shape would add or stretch."""
    lead = input.ndim - len(size)
    if lead < 0 or any(s != 1 and s != d for s, d in zip(size, input.shape[lead:], strict=True)):
        raise RuntimeError(f"size {{{list(size)}}} is not expandable to size {{{list(input.shape)}}}.")
    axes = tuple(range(lead)) + tuple(lead + i for i, s in enumerate(size) if s == 1 and input.shape[lead + i] != 1)
    if not axes and size:
        return input
    if not jnp.issubdtype(input.dtype, jnp.inexact):
        return jnp.sum(input, axes, dtype=np.int64).reshape(size)
    return total(accumulate_in(input), axes).astype(input.dtype).reshape(size)


@op("resize(Tensor input, int[] size)", where="internal", out=False)
def resize(input: Any, size: Any) -> Any:
    """The same memory under another size: elements kept in order, new ones zero."""
    n = int(np.prod(size)) if size else 1
    flat = input.reshape(-1)
    flat = flat[:n] if n <= flat.size else jnp.concatenate([flat, jnp.zeros(n - flat.size, input.dtype)])
    return flat.reshape(size)


@op("reorder(Tensor input, int[] order)", where="internal", out=False)
def reorder(input: Any, order: Any) -> Any:
    return lax.transpose(input, order)
