"""Eigenvalues and eigenvectors. Residuals are saved: none of this is worth computing twice."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import op

from . import _value_guards
from ._linalg_lib import gaps, mH, real_of, scalar_name
from .contraction import check_inexact, check_square


def _check_uplo(uplo: str) -> None:
    if uplo.upper()[:1] not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {uplo}")


def _eigh(x: Any, uplo: str) -> tuple[Any, Any]:
    if x.size == 0:
        return jnp.zeros(x.shape[:-1], real_of(x)), x
    return _eigh_of(uplo.upper()[0] == "L")(x)  # type: ignore[no-any-return]


@cache
def _eigh_of(lower: bool) -> Any:
    @jax.custom_jvp
    def eigh(x: Any) -> tuple[Any, Any]:
        # The upper triangle is the lower one of the conjugate transpose.
        vectors, values = lax.linalg.eigh(x if lower else mH(x), symmetrize_input=False)
        return values, vectors

    # One triangle is read, but the gradient is that of the symmetric part, as torch's.
    @eigh.defjvp
    def _rule(primals: Any, tangents: Any) -> Any:
        (x,), (dx,) = primals, tangents
        w, v = eigh(x)
        inner = mH(v) @ ((dx + mH(dx)) / 2) @ v
        return (w, v), (jnp.diagonal(inner, axis1=-2, axis2=-1).real, v @ (gaps(w).astype(inner.dtype) * inner))

    return eigh


@op("eigh(Tensor input, str UPLO='L') -> (eigenvalues, eigenvectors)", "eigh(Tensor A, str UPLO='L') -> (eigenvalues, eigenvectors)",
    where="linalg", grad_name="LinalgEighBackward0", residuals="save", format="columns", kept="eigenvalues eigenvectors")  # fmt: skip
def eigh(input: Any = None, UPLO: str = "L", A: Any = None) -> tuple[Any, Any]:  # noqa: N803 - torch's names
    """Rising eigenvalues and unit eigenvectors (columns) of symmetric or Hermitian matrices, of which one triangle is read."""
    x = A if input is None else input
    check_square(x, "linalg.eigh")
    _check_uplo(UPLO)
    check_inexact(x, "linalg.eigh", low=False)
    return _eigh(x, UPLO)


@op("eigvalsh(Tensor input, str UPLO='L')", "eigvalsh(Tensor A, str UPLO='L')", where="linalg", grad_name="LinalgEighBackward0", residuals="save", kept="result")
def eigvalsh(input: Any = None, UPLO: str = "L", A: Any = None) -> Any:  # noqa: N803 - torch's names
    """The eigenvalues of ``eigh``."""
    x = A if input is None else input
    check_square(x, "linalg.eigvalsh")
    _check_uplo(UPLO)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise NotImplementedError(f"\"linalg_eigh_cpu\" not implemented for '{scalar_name(x)}'")
    return _eigh(x, UPLO)[0]


@jax.custom_jvp
def _eig(a: Any) -> tuple[Any, Any]:
    values, vectors = lax.linalg.eig(a, compute_left_eigenvectors=False, compute_right_eigenvectors=True)
    return values, vectors


@_eig.defjvp
def _eig_rule(primals: Any, tangents: Any) -> Any:
    (a,), (da,) = primals, tangents
    w, v = _eig(a)
    inner = jnp.linalg.solve(v, da.astype(v.dtype) @ v)
    dw = jnp.diagonal(inner, axis1=-2, axis2=-1)
    mix = gaps(w) * inner
    dv = v @ mix
    # Columns keep unit length.
    along = jnp.sum(jnp.conj(v) * dv, -2, keepdims=True).real
    return (w, v), (dw, dv - v * along.astype(v.dtype))


def _check_eig(x: Any, name: str) -> Any:
    check_square(x, name)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise RuntimeError(f"Unknown Complex ScalarType for {scalar_name(x)}")
    return x


@op("eig(Tensor input) -> (eigenvalues, eigenvectors)", "eig(Tensor A) -> (eigenvalues, eigenvectors)", where="linalg",
    grad_name="LinalgEigBackward0", residuals="save", guard=_value_guards.finite, format="columns", kept="eigenvalues eigenvectors")  # fmt: skip
def eig(input: Any = None, A: Any = None) -> tuple[Any, Any]:  # noqa: N803 - torch's name
    """Complex eigenvalues and unit eigenvectors (columns) of square matrices."""
    x = _check_eig(A if input is None else input, "linalg.eig")
    complex_type = (jnp.zeros((), x.dtype) + np.complex64(0)).dtype
    if x.size == 0:
        return jnp.zeros(x.shape[:-1], complex_type), jnp.zeros(x.shape, complex_type)
    return _eig(x)


@op("eigvals(Tensor input)", "eigvals(Tensor A)", where="linalg", grad_name="LinalgEigBackward0", residuals="save", guard=_value_guards.finite, kept="result")
def eigvals(input: Any = None, A: Any = None) -> Any:  # noqa: N803 - torch's name
    """The eigenvalues of ``eig``."""
    return eig.fn(A if input is None else input)[0]
