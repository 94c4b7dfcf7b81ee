"""What the neural-network families share: which types a kernel takes, half types, reductions of losses."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from ._lib import PLAIN, accumulate_in, dtype_of, is_complex, is_float, quotient, size_as, total

NONE, MEAN, SUM = 0, 1, 2  # torch's numbers for the reductions of a loss


def unsupported(kernel: str, x: Any) -> None:
    """Raise what torch raises when a kernel has no code for an element type."""
    name = {"Bool": "Bool"}.get(dtype_of(x).legacy, dtype_of(x).legacy)
    raise NotImplementedError(f"\"{kernel}\" not implemented for '{name}'")


def floats_only(kernel: str, *xs: Any, complex_too: bool = False, ints_too: bool = False) -> None:
    """Reject element types that torch's kernel of this name does not take."""
    for x in xs:
        if x is None or is_float(x) or (complex_too and is_complex(x)):
            continue
        if ints_too and jnp.issubdtype(x.dtype, jnp.integer):
            continue
        unsupported(kernel, x)


def back(y: Any, like: Any) -> Any:
    """``y`` in the element type of ``like``."""
    return y if y.dtype == like.dtype else lax.convert_element_type(y, like.dtype)


def wide(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A unary function computed in float32 for half types, as torch's kernels do, and rounded once."""

    @wraps(fn)
    def run(input: Any, *rest: Any) -> Any:
        return back(fn(accumulate_in(input), *rest), input)

    return run


def reduced(loss: Any, reduction: int) -> Any:
    """A loss per element, its mean or its sum; half types are summed in float32."""
    if reduction == NONE:
        return loss
    whole = total(accumulate_in(loss), tuple(range(loss.ndim)))
    if reduction == MEAN:
        whole = quotient(whole, size_as(loss.size, whole.dtype))
    return back(whole, loss)


def const(value: float, like: Any) -> Any:
    """A Python number as a numpy scalar in the type of ``like``, so that nothing is promoted."""
    if not isinstance(value, PLAIN):  # a size that is a symbol, or comes from one
        return jnp.asarray(value).astype(like.dtype)
    return np.asarray(value).astype(like.dtype)[()]


def shape_text(shape: Any) -> str:
    """``[2, 3]`` as torch prints sizes in messages."""
    return "[" + ", ".join(str(int(s)) for s in shape) + "]"
