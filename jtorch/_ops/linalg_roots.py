"""Square roots of matrices and polar decompositions, which torch has since 2.14 and 2.15. Residuals are saved, as for the factors they are made of."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jtorch._registry import op

from . import _value_guards
from ._linalg_lib import mH
from .contraction import check_inexact, check_square
from .linalg_factors import svd_of


def _eigh(a: Any) -> tuple[Any, Any]:
    vectors, values = lax.linalg.eigh(a, symmetrize_input=False)
    return jnp.sqrt(jnp.maximum(values, 0)).astype(a.dtype), vectors  # rounding takes eigenvalues of zero below it


@jax.custom_jvp
def _root(a: Any) -> Any:
    roots, vectors = _eigh(a)
    return (vectors * roots[..., None, :]) @ mH(vectors)


@_root.defjvp
def _root_rule(primals: Any, tangents: Any) -> Any:
    """``X dX + dX X = dA`` of the symmetric part, solved where X is diagonal: equal eigenvalues are no exception."""
    (a,), (da,) = primals, tangents
    roots, vectors = _eigh(a)
    inner = mH(vectors) @ ((da + mH(da)) / 2) @ vectors
    return _root(a), vectors @ (inner / (roots[..., None, :] + roots[..., :, None])) @ mH(vectors)


@op("matrix_sqrth(Tensor A)", where="linalg", out=False, grad_name="LinalgMatrixSqrthBackward0", residuals="save")
def matrix_sqrth(A: Any) -> Any:  # noqa: N803 - torch's name
    """The symmetric (Hermitian) positive square root ``X X = A`` of symmetric positive matrices (..., n, n), of which the lower triangle is read.

    The types are float32, float64, complex64 and complex128. Source: https://docs.pytorch.org/docs/main/generated/torch.linalg.matrix_sqrth.html
    """
    check_square(A, "linalg.matrix_sqrth")
    check_inexact(A, "linalg.matrix_sqrth", low=False)
    return _root(A) if A.size else A


@jax.custom_jvp
def _polar(a: Any) -> tuple[Any, Any]:
    u, s, vh = svd_of(a, False)
    return u @ vh, (mH(vh) * s[..., None, :].astype(a.dtype)) @ vh


@_polar.defjvp
def _polar_rule(primals: Any, tangents: Any) -> Any:
    """``dA = dU H + U dH`` with ``U* dU`` skew and dH symmetric: ``U* dA - dA* U = W H + H W`` gives ``W = U* dU`` where H is diagonal."""
    (a,), (da,) = primals, tangents
    left, s, vh = svd_of(a, False)
    s, (u, h) = s.astype(a.dtype), _polar(a)
    inner = mH(left) @ da @ mH(vh)
    w = mH(vh) @ ((inner - mH(inner)) / (s[..., None, :] + s[..., :, None])) @ vh
    outside = da - u @ (mH(u) @ da)  # what is orthogonal to U's columns
    return (u, h), (u @ w + ((outside @ mH(vh)) / s[..., None, :]) @ vh, mH(u) @ da - w @ h)


@op("polar(Tensor A) -> (U, H)", where="linalg", grad_name="LinalgPolarBackward0", residuals="save", guard=_value_guards.no_nan)
def linalg_polar(A: Any) -> tuple[Any, Any]:  # noqa: N803 - torch's name
    """``A = U H`` for matrices (..., m, n) with m >= n: U has orthonormal columns, H is symmetric (Hermitian) and has no negative eigenvalue.

    The types are float32, float64, complex64 and complex128. Raises RuntimeError for wide matrices, LinAlgError where A is not finite.
    Source: https://docs.pytorch.org/docs/main/generated/torch.linalg.polar.html
    """
    if A.ndim < 2:
        raise RuntimeError("linalg.polar: The input tensor A must have at least 2 dimensions.")
    check_inexact(A, "linalg.polar", low=False)
    m, n = A.shape[-2:]
    if m < n:
        raise RuntimeError(f"linalg.polar: input must have at least as many rows as columns, but got {m} by {n} matrices")
    return _polar(A)
