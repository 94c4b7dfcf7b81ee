"""What the matmul, indexing and linalg families share: products, scaling, expanding with torch's errors, names by shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._dtypes import C_NAMES

from ._lib import dtype_of, matmul_precision, num, on_cpu
from ._pointwise import is_half

Shapes = tuple[tuple[int, ...], ...]


class ShapedName(str):
    """A ``grad_fn`` name that depends on the inputs' shapes: ``by_shapes(shapes)``; as a plain string, the usual one.

    Where torch's function is several operators, ``chain(edges, shapes, step)`` says what ``next_functions`` shows: ``edges`` is where the gradients go, one for each
    input, and ``step(name, edges)`` is the edge of one operator more.
    """

    by_shapes: Callable[[Shapes], str]
    chain: Callable[[Any, Shapes, Callable[[str, Any], Any]], Any] | None

    def __new__(cls, usual: str, by_shapes: Callable[[Shapes], str], chain: Callable[[Any, Shapes, Callable[[str, Any], Any]], Any] | None = None) -> ShapedName:
        self = super().__new__(cls, usual)
        self.by_shapes, self.chain = by_shapes, chain
        return self


class OutputNames(str):
    """A ``grad_fn`` name of an operator that is many of torch's: what is printed with each output, ``by_output(structure, outs)``. ``structure``: the arguments that are no tensors, by name; ``outs``: the results' avals."""

    by_output: Callable[[dict[str, Any], Sequence[Any]], Sequence[str]]

    def __new__(cls, usual: str, by_output: Callable[[dict[str, Any], Sequence[Any]], Sequence[str]]) -> OutputNames:
        self = super().__new__(cls, usual)
        self.by_output = by_output
        return self


def scalar_name(x: Any) -> str:
    """``Float``, ``Long``: the element type as torch's errors name it. The complex ones are ``ComplexFloat``."""
    return dtype_of(x).legacy


def cpp_name(x: Any) -> str:
    """The element type as C++ spells it (``long int``)."""
    return C_NAMES.get(dtype_of(x).name, dtype_of(x).name)


def no_bool(x: Any, kernel: str) -> None:
    """NotImplementedError in torch's words where a kernel has no bool version."""
    if x.dtype == np.bool_:
        raise NotImplementedError(f"\"{kernel}\" not implemented for 'Bool'")


def same_type(a: Any, b: Any, text: str) -> None:
    """RuntimeError unless both have one element type; ``text`` may use {a} and {b}."""
    if a.dtype != b.dtype:
        raise RuntimeError(text.format(a=scalar_name(a), b=scalar_name(b)))


OF_SOLVERS = "Expected b and A to have the same dtype, but found b of type {a} and A of type {b} instead."


def contract(a: Any, b: Any, axes: tuple[Any, Any], batch: tuple[Any, Any] = ((), ()), kind: Any = None) -> Any:
    """``dot_general``: XLA accumulates 16-bit floats in float32 by itself, so the types stay as they are, unless ``kind`` asks for the sums as they were."""
    if a.ndim > 2 and b.ndim == 2 and not batch[0] and axes[0] == (a.ndim - 1,) and all([isinstance(n, int) for n in a.shape]) and math.prod(a.shape) * b.shape[1 - axes[1][0]] >= LARGE_PRODUCT:
        lead, a = a.shape[:-1], rows_as_one(a)
        out = lax.dot_general(a, b, (((a.ndim - 1,), axes[1]), batch), precision=matmul_precision(), preferred_element_type=kind)
        return out.reshape(*lead, out.shape[-1])
    return lax.dot_general(a, b, (axes, batch), precision=matmul_precision(), preferred_element_type=kind)


LARGE_PRODUCT = 1 << 28  # multiplications: from here on flattening pays for itself


def rows_as_one(a: Any) -> Any:
    """Many matrices as one with all their rows. When one matrix multiplies them, its gradient is a sum over several dims otherwise, for which XLA's cpu compiler writes the transposed cotangent out first: forward and
    backward of a linear layer and a square or a gelu take 0.50 to 0.93 of the time so at 4 x 512 x 256 by 1024, 0.76 to 0.96 at 32 x 128 x 512 by 512, and 1.0 to 1.5 times as long at 8 x 64 x 64 by 64. Not where
    the dims may lie on several devices."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1]) if on_cpu() and jax.device_count() == 1 else a


def plus_product(
    kept: Any, a: Any, b: Any, axes: tuple[Any, Any], batch: tuple[Any, Any] = ((), ()), beta: Any = 1, alpha: Any = 1
) -> Any:
    """``beta * kept + alpha * contract(a, b, axes, batch)``. Half types are rounded once, at the end, as BLAS does it."""

    def plain(kept: Any, a: Any, b: Any) -> Any:
        return scaled(kept, beta) + times(contract(a, b, axes, batch), alpha)

    def rounded_once(kept: Any, a: Any, b: Any) -> Any:
        out = scaled(kept.astype(np.float32), beta) + times(contract(a, b, axes, batch, np.float32), alpha)
        return out.astype(a.dtype)

    if not (is_half(a) and kept.dtype == a.dtype == b.dtype):
        return plain(kept, a, b)
    f = jax.custom_jvp(rounded_once)
    # The derivative is the plain one, so that its products too are of half types, not of float32.
    f.defjvp(lambda primals, tangents: (f(*primals), jax.jvp(plain, primals, tangents)[1]))
    return f(kept, a, b)


def scaled(x: Any, factor: Any) -> Any:
    """``factor * x`` for a runtime scalar; a factor of 0 wipes NaN and infinity, as BLAS does with beta."""
    if isinstance(factor, (bool, int, float, complex)):
        return jnp.zeros_like(x) if factor == 0 else times(x, factor)
    return jnp.where(num(factor, x) == 0, jnp.zeros_like(x), times(x, factor))


def times(x: Any, factor: Any) -> Any:
    """``factor * x`` without the rule for 0. The factor of a half tensor is not rounded to its type."""
    if isinstance(factor, (bool, int, float, complex)) and factor == 1:
        return x
    return (x.astype(np.float32) * num(factor, np.zeros((), np.float32))).astype(x.dtype) if is_half(x) else x * num(factor, x)


def expand_to(x: Any, shape: Sequence[int], what: str = "expand") -> Any:
    """``x.expand(shape)``, with torch's errors."""
    shape = tuple(shape)
    if x.shape == shape:
        return x
    if x.ndim > len(shape):
        raise RuntimeError(
            f"{what}(torch.{scalar_name(x)}Tensor{{{list(x.shape)}}}, size={list(shape)}): the number of sizes provided ({len(shape)}) "
            f"must be greater or equal to the number of dimensions in the tensor ({x.ndim})"
        )
    lead = len(shape) - x.ndim
    for i in reversed(range(x.ndim)):
        if x.shape[i] != 1 and x.shape[i] != shape[lead + i]:
            raise RuntimeError(
                f"The expanded size of the tensor ({shape[lead + i]}) must match the existing size ({x.shape[i]}) at non-singleton "
                f"dimension {lead + i}.  Target sizes: {list(shape)}.  Tensor sizes: {list(x.shape)}"
            )
    return jnp.broadcast_to(x, shape)


def mT(x: Any) -> Any:  # noqa: N802 - torch's own name
    """The last two dims swapped."""
    return jnp.swapaxes(x, -1, -2)


def mH(x: Any) -> Any:  # noqa: N802 - torch's own name
    """The conjugate transpose of the last two dims."""
    return jnp.conj(mT(x)) if jnp.iscomplexobj(x) else mT(x)


def real_of(x: Any) -> Any:
    """The real type of its elements."""
    return np.dtype(jnp.zeros((), x.dtype).real.dtype)


def gaps(x: Any, sums: Any = None) -> Any:
    """``1 / (x_j - x_i)``, 0 on the diagonal and where they are equal; ``sums`` multiplies the difference."""
    gap = x[..., None, :] - x[..., :, None]
    zero = (gap == 0) | jnp.eye(x.shape[-1], dtype=bool)
    if sums is not None:
        # x_j**2 - x_i**2 as a product: a fused multiply-add would leave rounding where the squares are equal.
        gap = gap * sums
    return jnp.where(zero, jnp.zeros((), x.dtype), 1 / jnp.where(zero, jnp.ones((), x.dtype), gap))
