"""What the pointwise families share: derivatives written by hand, half types, refusals with torch's words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from jtorch import _dtypes
from jtorch._errors import no_such_type
from jtorch._ops._lib import PLAIN, dtype_of, is_complex, is_float

# Letters for groups of element types in `refuse`.
_GROUPS: dict[str, frozenset[str]] = {
    "b": frozenset({"bool"}),
    "i": frozenset({"uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"}),
    "h": frozenset({"float16", "bfloat16"}),
    "f": frozenset({"float32", "float64"}),
    "c": frozenset({"complex32", "complex64", "complex128"}),
}


def kernel_error(kernel: str, x: Any) -> NoReturn:
    """torch's NotImplementedError for a kernel that lacks the element type of ``x``."""
    raise NotImplementedError(f"\"{kernel}\" not implemented for '{dtype_of(x).legacy}'")


def refuse(kernel: str, x: Any, groups: str) -> None:
    """Raise ``kernel_error`` when the type of ``x`` is in one of the groups: b(ool), i(nt), h(alf), f(loat), c(omplex)."""
    name = dtype_of(x).name
    for g in groups:
        if name in _GROUPS[g]:
            kernel_error(kernel, x)


def refuse_with(message: str, x: Any, groups: str, kind: type[Exception] = RuntimeError) -> None:
    """Raise ``kind(message)`` when the type of ``x`` is in one of the groups."""
    if any(dtype_of(x).name in _GROUPS[g] for g in groups):
        raise kind(message)


def is_half(x: Any) -> bool:
    return is_float(x) and x.dtype.itemsize <= 2


def is_int(x: Any) -> bool:
    """Integers without bool."""
    return jnp.issubdtype(x.dtype, jnp.integer)


def is_bool(x: Any) -> bool:
    return x.dtype == np.bool_


def wide(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Half inputs are computed in float32 and rounded once, as torch's kernels do; other types pass through."""

    @functools.wraps(fn)
    def wrapped(*args: Any) -> Any:
        first = next(a for a in args if hasattr(a, "dtype"))
        if not is_half(first):
            return fn(*args)
        out = fn(*(a.astype(np.float32) if hasattr(a, "dtype") and a.dtype == first.dtype else a for a in args))
        return jax.tree.map(lambda y: y.astype(first.dtype) if y.dtype == np.float32 else y, out)

    return wrapped


def with_slope(forward: Callable[..., Any], *slopes: Callable[..., Any] | None) -> Callable[..., Any]:
    """``forward`` with given partial derivatives: ``slopes[i](ans, *args)`` multiplies the tangent of argument i; None: zero.

    A slope that is a mask selects, and so does the first of two, (mask, factor): where it is False the derivative is 0, whatever comes in (an infinite gradient times 0 is nan).
    """
    f = jax.custom_jvp(forward)

    def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        ans = f(*primals)
        total = None
        for slope, t in zip(slopes, tangents, strict=True):
            if slope is None or isinstance(t, SymbolicZero) or t.dtype == jax.dtypes.float0:
                continue
            part = jnp.broadcast_to(_scaled(t, slope(ans, *primals)), ans.shape).astype(ans.dtype)
            total = part if total is None else total + part
        if total is None:
            total = jnp.zeros(ans.shape, ans.dtype if jnp.issubdtype(ans.dtype, jnp.inexact) else jax.dtypes.float0)
        return ans, total

    # Tangents that are zero by structure cost nothing: their slopes are not even traced.
    f.defjvp(rule, symbolic_zeros=True)
    return f


def _scaled(t: Any, slope: Any) -> Any:
    where, factor = slope if isinstance(slope, tuple) else (slope, None) if slope.dtype == np.bool_ else (None, slope)
    if where is None:
        return t * factor
    # Backward selects first and multiplies then: the factor must be finite where nothing is taken.
    scaled = t if factor is None else t * jnp.where(where, factor, jnp.zeros((), factor.dtype))
    return jnp.where(where, scaled, jnp.zeros((), scaled.dtype))


def one_factor(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A pointwise ``fn`` whose derivatives are worked out first and multiplied once, as in torch's formulas: the summands of the product rule would take
    an infinite gradient from itself."""

    def slope(i: int) -> Callable[..., Any]:
        def by_one(_: Any, *args: Any) -> Any:
            return jax.jvp(lambda x: fn(*args[:i], x, *args[i + 1 :]), (args[i],), (jnp.ones_like(args[i]),))[1]

        return by_one

    return with_slope(fn, *map(slope, range(fn.__code__.co_argcount)))


def flat(forward: Callable[..., Any]) -> Callable[..., Any]:
    """``forward`` with derivative zero everywhere (steps: floor, sign, ...)."""
    return with_slope(forward, *([None] * forward.__code__.co_argcount))


def promote_number(x: Any, number: Any) -> Any:
    """``x`` in the common type of itself and a structural Python number."""
    kind = _dtypes.result_type([(dtype_of(x), _dtypes.DIMENSIONED), (_dtypes.of_python(type(number)), _dtypes.NUMBER)])
    if kind.np is None:
        no_such_type(kind)
    return x if x.dtype == kind.np else x.astype(kind.np)


def constant(value: Any, like: Any) -> Any:
    """A structural Python number in the type of ``like``, as a numpy scalar (a literal in the program)."""
    if not isinstance(value, PLAIN):  # a size that is a symbol, or comes from one
        return jnp.asarray(value).astype(like.dtype)
    return np.asarray(value).astype(like.dtype)[()]


def default_float(x: Any) -> Any:
    """Integers and bools in the default float."""
    return x if is_float(x) or is_complex(x) else x.astype(_dtypes.default.np)


def conj(x: Any) -> Any:
    return jnp.conj(x) if is_complex(x) else x
