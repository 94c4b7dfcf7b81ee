"""What the operator families share: dims, shapes, dtypes, scalars. Arrays in, arrays out; torch's errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _dtypes
from jtorch._dtypes import dtype as Dtype
from jtorch._ops._float8 import fitted, to_float8


def dim_of(dim: int, ndim: int) -> int:
    """A dim in [0, ndim). IndexError with torch's text; a 0-dim tensor counts as one dim."""
    n = max(ndim, 1)
    if not -n <= dim < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    return dim % n


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that these broadcast to; RuntimeError in torch's words. Dims are counted from the front of the longer of the two that do not fit."""
    out: tuple[int, ...] = tuple(shapes[0]) if shapes else ()
    for shape in shapes[1:]:
        n = max(len(out), len(shape))
        a, b = (1,) * (n - len(out)) + out, (1,) * (n - len(shape)) + tuple(shape)
        for i in reversed(range(n)):
            if a[i] != b[i] and a[i] != 1 and b[i] != 1:
                raise RuntimeError(f"The size of tensor a ({a[i]}) must match the size of tensor b ({b[i]}) at non-singleton dimension {i}")
        out = tuple([y if x == 1 else x for x, y in zip(a, b, strict=True)])
    return out


PLAIN = (bool, int, float, complex, np.generic, np.ndarray)  # numbers that are there while a program is traced


def known_below(n: Any, limit: int) -> bool:
    """Whether a size is a number (and not a symbol of a program for many sizes) below ``limit``."""
    return isinstance(n, int) and n < limit


ROOMY: dict[str, Any] = {}


def roomy(name: str, body: Any, out_of_room: Any) -> Any:
    """``body`` as one call, for which programs for many sizes may have a better way. ``out_of_room(sizes, *arrays)`` is given arrays with anything beyond their true sizes, those sizes (ints, or traced
    integers) for each, and gives the list of results, with as much room, or None where ``body`` is to be taken. ``name`` is one of few: what it stands for is kept."""

    def call(*given: Any) -> Any:
        return body(*given)

    call.__name__ = call.__qualname__ = name
    ROOMY[name] = out_of_room
    return jax.jit(call)


def place_type(*sizes: Any) -> Any:
    """The type of positions in dims of these sizes: half the arithmetic where int32 holds them all."""
    return np.int64 if any(isinstance(n, int) and n >= 2**31 for n in sizes) else np.int32


def size_as(n: Any, kind: Any) -> Any:
    """A size as a number of this type: numpy's, or an array where it is a symbol."""
    return np.asarray(n, kind) if isinstance(n, int) else jnp.asarray(n).astype(kind)


def library(*sizes: Any) -> Any:
    """numpy where all sizes are numbers, so that what is made of them alone is made on the host; else jax.numpy."""
    return np if all([isinstance(n, int) for n in sizes]) else jnp


def positions(n: Any, kind: Any = np.int64) -> Any:
    """0, 1, ... up to a size, on the host where that is a number."""
    return np.arange(n, dtype=kind) if isinstance(n, int) else jnp.arange(n, dtype=kind)


def dims_of(dims: Any, ndim: int) -> tuple[int, ...]:
    """Several dims; None or () means all of them. RuntimeError when one comes twice."""
    if dims is None or (isinstance(dims, tuple) and not dims):
        return tuple(range(ndim))
    out = tuple(dim_of(d, ndim) for d in (dims if isinstance(dims, tuple) else (dims,)))
    for d in out:
        if out.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return out if ndim else ()


def dtype_of(x: Any) -> Dtype:
    """The torch type of an array."""
    return _dtypes.from_np(np.dtype(x.dtype))


def cast(x: Any, kind: Dtype | None) -> Any:
    """``x`` in another element type, by C's conversion (what ``Tensor.to`` does); None leaves it. Complex to real drops the imaginary part."""
    if kind is None or x.dtype == kind.np:
        return x
    if jnp.iscomplexobj(x) and not kind.is_complex and kind is not _dtypes.bool_:
        x = jnp.real(x)
    if kind is _dtypes.bool_:
        return x != 0
    if jnp.issubdtype(x.dtype, jnp.floating) and kind.category == 1:
        return _truncated(x, kind)
    if kind in _dtypes.FLOAT8:
        return to_float8(x, kind)
    return converted(x, kind.np)


def converted(x: Any, kind: Any) -> Any:
    """``x`` in one of XLA's types (a numpy dtype), which holds its kind of numbers."""
    if x.dtype == np.bool_ and np.dtype(kind).itemsize > 1 and jnp.issubdtype(kind, jnp.inexact):
        # XLA makes a choice of a product with converted bools, and nan * False would be 0; of a product with a choice it does not.
        return lax.select(x, lax.full(x.shape, 1, kind), lax.full(x.shape, 0, kind))
    return lax.convert_element_type(x, kind)


def _truncated(x: Any, kind: Dtype) -> Any:
    """Floats as integers, as the processors that torch's kernels are compiled for have it: of nan and of what a register cannot hold, the register's
    smallest number. Types of up to 16 bits are the low bits of 32. (XLA saturates, and makes 0 of nan.)"""
    if kind.np == np.uint64:  # no register of that kind: 64 signed bits, and as many beyond them
        half = np.asarray(2.0**63, x.dtype if x.dtype.itemsize >= 4 else np.float32)
        high = x >= half
        low = _in_register(jnp.where(high, x - half, x), np.dtype(np.int64))
        return jnp.where(high, low ^ np.int64(np.iinfo(np.int64).min), low).astype(np.uint64)
    register = np.dtype(np.int64 if kind.np.itemsize == 8 or kind.np == np.uint32 else np.int32)
    return lax.convert_element_type(_in_register(x, register), kind.np)


def _in_register(x: Any, register: Any) -> Any:
    """``x`` as signed integers of that width; the smallest one for nan and what is out of range."""
    x = x.astype(np.float32) if x.dtype.itemsize < 4 else x
    limit = np.asarray(2.0 ** (8 * register.itemsize - 1), x.dtype)
    fits = (x < limit) & (x >= -limit) if register.itemsize == 8 or x.dtype == np.float32 else (x < limit) & (x > -limit - 1)
    return jnp.where(fits, lax.convert_element_type(x, register), np.iinfo(register).min)


def num(value: Any, like: Any) -> Any:
    """A runtime scalar (Python number or 0-dim array) as a 0-dim array in the type of ``like``."""
    if isinstance(value, (bool, int, float, complex)):
        return jnp.asarray(fitted(np.asarray(value), dtype_of(like)).astype(like.dtype))
    if like.dtype == bool and is_complex(value):
        return value != 0
    return lax.convert_element_type(value, like.dtype)


def joined(real: Any, imag: Any) -> Any:
    """Complex numbers of two parts; of halves, which XLA has not, what carries them."""
    wide = max(np.dtype(real.dtype), np.dtype(imag.dtype), np.dtype(np.float32), key=lambda kind: kind.itemsize)
    return lax.complex(real.astype(wide), imag.astype(wide))


def is_float(x: Any) -> bool:
    """Real floating point, the 16-bit types included."""
    return jnp.issubdtype(x.dtype, jnp.floating)


def is_complex(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.complexfloating)


def is_inexact(x: Any) -> bool:
    return is_float(x) or is_complex(x)


def to_float(x: Any) -> Any:
    """Integers and bools in the default float, everything else as it is."""
    return x if is_inexact(x) else x.astype(_dtypes.default.np)


def sign_of(x: Any) -> Any:
    """-1, 0 or 1 in the type of ``x``; a nan has sign 0, as torch has it (XLA's is nan)."""
    return jnp.where(x > 0, jnp.ones((), x.dtype), jnp.where(x < 0, -jnp.ones((), x.dtype), jnp.zeros((), x.dtype)))


def accumulate_in(x: Any) -> Any:
    """Half types in float32, where sums and products of many are taken."""
    return x.astype(np.float32) if is_float(x) and x.dtype.itemsize <= 2 else x


def on_cpu(*arrays: Any) -> bool:
    """Whether programs are compiled for the cpu, where ways that are fast there may be taken; with ``arrays``, only if their sizes are numbers: sizes that are symbols have one program for all."""
    return jax.default_backend() == "cpu" and all(isinstance(s, int) for a in arrays for s in a.shape)


def apart(y: Any) -> Any:
    """``y`` as a value that backward does not read, where torch keeps the input: programs write such a result in place."""
    return y * jnp.ones((), y.dtype) if is_float(y) else y  # XLA leaves the product out


def quotient(a: Any, b: Any, inside: bool = False) -> Any:
    """``a / b``, rounded as a division is. ``inside`` a larger expression XLA may find that ``b`` is broadcast.

    XLA makes a division by what is constant or broadcast a multiplication by its reciprocal, which is off by one unit in the last place for every third
    quotient. torch divides on the cpu (and multiplies on a GPU). In float64 XLA's way is off by less than two float32 quotients can differ, so it rounds right.
    """
    if a.dtype == np.float32 and b.dtype == np.float32 and on_cpu():
        constant = not isinstance(b, jax.core.Tracer)
        if constant or inside or b.shape != jnp.broadcast_shapes(a.shape, b.shape):
            return (a.astype(np.float64) / b.astype(np.float64)).astype(np.float32)
    return jnp.divide(a, b)


def total(x: Any, axes: tuple[int, ...], keepdims: bool = False) -> Any:
    """The sum over axes; few numbers that lie side by side are added in torch's order.

    torch adds 5 to 7 neighbours in four running sums, the rest going to the first (from 8 on its order depends on the width of the cpu's vectors).
    """
    lead = x.ndim - len(axes)
    n = 1
    for i in axes:
        n *= x.shape[i]
    if isinstance(n, int) and 5 <= n <= 7 and not (isinstance(x.size, int) and x.size > 1024) and is_inexact(x) and sorted(axes) == list(range(lead, x.ndim)):
        flat = x.reshape((*x.shape[:lead], n))
        parts = [lax.index_in_dim(flat, i, lead, keepdims=False) for i in range(n)]
        out = parts[0]
        for i in (*range(4, n), 1, 2, 3):
            out = out + parts[i]
        return out.reshape((*x.shape[:lead], *[1] * len(axes))) if keepdims else out
    found = column_sums(x, axes)
    if found is not None:
        return found.reshape((*[1] * len(axes), *found.shape)) if keepdims else found
    if x.dtype == np.complex64 and on_cpu(x):  # XLA adds many floats in a tree, and complex numbers one after the other
        return lax.complex(jnp.sum(x.real, axes, keepdims=keepdims), jnp.sum(x.imag, axes, keepdims=keepdims))
    return jnp.sum(x, axes, keepdims=keepdims)


_WIDE = 1 << 13


def column_sums(x: Any, axes: tuple[int, ...]) -> Any:
    """The sum over the first axes as a product with ones, where XLA's own is slow on the cpu: rows of many columns (256 of 50,000: 146 ms, and 3 so). Else None."""
    n = len(axes)
    if x.dtype not in (np.float32, np.float64) or not n or tuple(axes) != tuple(range(n)) or not on_cpu(x):
        return None
    rows, columns = math.prod(x.shape[:n]), math.prod(x.shape[n:])
    if rows < 2 or columns < _WIDE:
        return None
    return lax.dot(jnp.ones((rows,), x.dtype), x.reshape(rows, columns), precision=lax.Precision.HIGHEST).reshape(x.shape[n:])


def matmul_precision() -> Any:
    """The ``precision`` for dots and convolutions: None, so that JAX's ``default_matmul_precision`` (which the device set-up and
    ``set_float32_matmul_precision`` write, and which is part of every compilation's key) decides."""
    return None
