"""Systems of equations: solve, inverse, determinants, triangular and Cholesky solvers, least squares."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import Says, op

from . import _value_guards
from ._lib import broadcast_shape
from ._linalg_lib import OF_SOLVERS, mH, mT, same_type, scalar_name
from ._order import sort_with_index
from ._pointwise import refuse
from .contraction import check_inexact, check_square


def batch_apart(x: Any) -> int:
    """How many leading dims are batch."""
    return x.ndim - 2


def same_batch(a: Any, b: Any) -> tuple[Any, Any]:
    """Matrices with their batch dims broadcast together; torch looks at the right hand side first."""
    batch = broadcast_shape(b.shape[:-2], a.shape[:-2])
    return jnp.broadcast_to(a, (*batch, *a.shape[-2:])), jnp.broadcast_to(b, (*batch, *b.shape[-2:]))


def check_matrix(x: Any, name: str) -> None:
    """Square, floating, at least float32."""
    check_square(x, name)
    check_inexact(x, name, low=False)


def first_zero(diagonal: Any) -> Any:
    """LAPACK's info: 1 + the place of the first zero, or 0."""
    zero = diagonal == 0
    n = diagonal.shape[-1]
    if n == 0:
        return jnp.zeros(diagonal.shape[:-1], np.int32)
    return jnp.where(zero.any(-1), jnp.argmax(zero, -1) + 1, 0).astype(np.int32)


def _permuted(b: Any, perm: Any) -> Any:
    return jnp.take_along_axis(b, jnp.broadcast_to(perm[..., None], b.shape), -2)


def _unpermuted(b: Any, perm: Any) -> Any:
    return _permuted(b, sort_with_index(perm, perm.ndim - 1)[1])


def lu_solve_raw(lu: Any, perm: Any, b: Any, transpose: bool = False, conjugate: bool = False) -> Any:
    """``A x = b`` (or its transpose) from A's LU and row permutation; batch dims equal."""
    if not transpose:
        x = lax.linalg.triangular_solve(lu, _permuted(b, perm), left_side=True, lower=True, unit_diagonal=True)
        return lax.linalg.triangular_solve(lu, x, left_side=True, lower=False)
    x = lax.linalg.triangular_solve(lu, b, left_side=True, lower=False, transpose_a=True, conjugate_a=conjugate)
    x = lax.linalg.triangular_solve(lu, x, left_side=True, lower=True, transpose_a=True, conjugate_a=conjugate, unit_diagonal=True)
    return _unpermuted(x, perm)


def solve_square(a: Any, b: Any) -> tuple[Any, Any]:
    """(x with a x = b, LAPACK's info); the gradient solves with the same factors again."""
    a, b = same_batch(a, b)
    if a.shape[-1] == 0 or b.size == 0:
        return jnp.zeros(b.shape, b.dtype), jnp.zeros(a.shape[:-2], np.int32)
    lu, _, perm = lax.linalg.lu(lax.stop_gradient(a))
    x = lax.custom_linear_solve(
        lambda v: jnp.matmul(a, v), b, lambda _, v: lu_solve_raw(lu, perm, v), lambda _, v: lu_solve_raw(lu, perm, v, transpose=True)
    )
    return x, first_zero(jnp.diagonal(lu, axis1=-2, axis2=-1))


@op("inv_ex(Tensor A, *, bool check_errors=False) -> (inverse, info)", where="linalg", grad_name="LinalgInvExBackward0", unsaved="A", residuals="save", format="columns", kept="inverse")
def inv_ex(A: Any, check_errors: bool) -> tuple[Any, Any]:  # noqa: N803 - torch's name
    """The inverse of square matrices and, for each, 0 or the place of a zero pivot. ``check_errors`` has no effect under tracing."""
    check_matrix(A, "linalg.inv")
    eye = jnp.broadcast_to(jnp.eye(A.shape[-1], dtype=A.dtype), A.shape)
    return solve_square(A, eye)


def _is_vector(a: Any, b: Any) -> bool:
    return b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])


@op("solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (result, info)", where="linalg",
    grad_name="LinalgSolveExBackward0", residuals="save", format="columns", kept="result")  # fmt: skip
def solve_ex(A: Any, B: Any, left: bool, check_errors: bool) -> tuple[Any, Any]:  # noqa: N803 - torch's names
    """``A X = B`` (or ``X A = B``) for square A; B may hold vectors. With LAPACK's info."""
    check_square(A, "linalg.solve")
    check_inexact(A, "linalg.solve", low=False)
    if A.dtype != B.dtype:
        raise RuntimeError(
            f"linalg.solve: Expected A and B to have the same dtype, but found A of type {scalar_name(A)} and B of type {scalar_name(B)} instead"
        )
    vector = _is_vector(A, B)
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting of the left hand side is not supported for left=False.")
    b = B[..., None] if vector else B
    if b.ndim < 2:
        raise RuntimeError("linalg.solve: The input tensor B must have at least 2 dimensions.")
    n = A.shape[-1]
    if b.shape[-2 if left else -1] != n:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation {equation} ({n}x{n} and {b.shape[-2]}x{b.shape[-1]})"
        )
    if left:
        x, info = solve_square(A, b)
    else:
        x, info = solve_square(mT(A), mT(b))
        x = mT(x)
    return (x[..., 0] if vector else x), info


@op("det(Tensor A)", where="linalg", aliases="internal.det", grad_name="LinalgDetBackward0", kept="A result")
def det(A: Any) -> Any:  # noqa: N803 - torch's name
    """The determinant of square matrices."""
    check_square(A, "linalg.det")
    check_inexact(A, "linalg.det", low=False)
    if A.shape[-1] == 0:
        return jnp.ones(A.shape[:-2], A.dtype)
    return jnp.linalg.det(A)


@op("det(Tensor input)", grad_name="LinalgDetBackward0", out=False, kept="input result")
def torch_det(input: Any) -> Any:
    """As ``linalg.det``."""
    return det.fn(input)


def _slogdet(x: Any, name: str) -> tuple[Any, Any]:
    check_square(x, name)
    check_inexact(x, name, low=False)
    real = jnp.abs(jnp.zeros((), x.dtype)).dtype
    if x.shape[-1] == 0:
        return jnp.ones(x.shape[:-2], x.dtype), jnp.zeros(x.shape[:-2], real)
    sign, size = jnp.linalg.slogdet(x)
    return sign.astype(x.dtype), size


@op("slogdet(Tensor A) -> (sign, logabsdet)", where="linalg", grad_name="LinalgSlogdetBackward0", kept="A sign")
def slogdet(A: Any) -> tuple[Any, Any]:  # noqa: N803 - torch's name
    """The determinant's sign (a unit number if complex) and the logarithm of its size."""
    return _slogdet(A, "linalg.slogdet")


@op("slogdet(Tensor input) -> (sign, logabsdet)", grad_name="LinalgSlogdetBackward0", kept="input sign")
def torch_slogdet(input: Any) -> tuple[Any, Any]:
    """As ``linalg.slogdet``."""
    return _slogdet(input, "linalg.slogdet")


@op("logdet(Tensor input)", grad_name="WhereBackward0", out=False)
def logdet(input: Any) -> Any:
    """log(det): NaN where a real determinant is negative, -inf where it is 0."""
    sign, size = _slogdet(input, "logdet")
    if jnp.iscomplexobj(input):
        return jnp.log(sign) + size
    return jnp.where(sign == -1, jnp.array(np.nan, size.dtype), size)


@op("solve_triangular(Tensor input, Tensor B, *, bool upper, bool left=True, bool unitriangular=False)", where="linalg",
    grad_name="LinalgSolveTriangularBackward0", format="columns")  # fmt: skip
def solve_triangular(input: Any, B: Any, upper: bool, left: bool, unitriangular: bool) -> Any:  # noqa: N803 - torch's name
    """``A X = B`` (or ``X A = B``) for triangular A; only that triangle is read."""
    name = "linalg.solve_triangular"
    check_square(input, name)
    if B.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    if input.dtype != B.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type {scalar_name(input)} and B of type {scalar_name(B)} instead"
        )
    n = input.shape[-1]
    if B.shape[-2 if left else -1] != n:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {equation} ({n}x{n} and {B.shape[-2]}x{B.shape[-1]})")
    return triangular(input, B, upper, left=left, unit=unitriangular)


def triangular(a: Any, b: Any, upper: bool, left: bool = True, unit: bool = False, adjoint: bool = False) -> Any:
    """``lax``'s triangular solve with broadcast batch dims; ``adjoint`` solves with A's conjugate transpose."""
    a, b = same_batch(a, b)
    if b.size == 0 or a.size == 0:
        return jnp.zeros(b.shape, b.dtype)
    return lax.linalg.triangular_solve(a, b, left_side=left, lower=not upper, transpose_a=adjoint, conjugate_a=adjoint, unit_diagonal=unit)


_OLD_SOLVE = Says(
    "torch.triangular_solve is deprecated in favor of torch.linalg.solve_triangularand will be removed in a future PyTorch release.\ntorch.linalg.solve_triangular has its arguments "
    "reversed and does not return a copy of one of the inputs.\nX = torch.triangular_solve(B, A).solution\nshould be replaced with\nX = torch.linalg.solve_triangular(A, B).",
    once=True,
)


@op("triangular_solve(Tensor input, Tensor A, bool upper=True, bool transpose=False, bool unitriangular=False) -> (solution, cloned_coefficient)", format="columns", guard=lambda *_: (_OLD_SOLVE,), kept="input A solution")
def triangular_solve(input: Any, A: Any, upper: bool, transpose: bool, unitriangular: bool) -> tuple[Any, Any]:  # noqa: N803
    """The older form of ``linalg.solve_triangular``; the second result is a copy of A."""
    check_square(A, "triangular_solve")
    same_type(input, A, OF_SOLVERS)
    a, b = same_batch(A, input)
    if a.shape[-1] != b.shape[-2]:
        raise RuntimeError(f"Incompatible matrix sizes for triangular_solve: each A matrix is {a.shape[-1]} by {a.shape[-1]} but each b matrix is {b.shape[-2]} by {b.shape[-1]}")
    if b.size == 0 or a.size == 0:
        return jnp.zeros(b.shape, b.dtype), a
    return lax.linalg.triangular_solve(a, b, left_side=True, lower=not upper, transpose_a=transpose, unit_diagonal=unitriangular), a


def _solve_by_factor(b: Any, factor: Any, upper: bool) -> Any:
    """The solution for the matrix that ``factor`` is the Cholesky factor of.

    Differentiated as torch does it: through the product, so that the gradient of the factor is a whole matrix and not a triangle, in every order of derivatives.
    """
    batch = broadcast_shape(b.shape[:-2], factor.shape[:-2])
    b, factor = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (b, factor))
    product = jnp.matmul(mH(factor), factor) if upper else jnp.matmul(factor, mH(factor))
    triangle = lax.stop_gradient(factor)

    def solve(_: Any, b: Any) -> Any:
        return triangular(triangle, triangular(triangle, b, upper, adjoint=upper), upper, adjoint=not upper)

    def transposed(_: Any, b: Any) -> Any:
        return jnp.conj(solve(_, jnp.conj(b)))

    return lax.custom_linear_solve(partial(jnp.matmul, product), b, solve, transposed)


@op("cholesky_solve(Tensor input, Tensor input2, bool upper=False)", format="columns", kept="input input2 result")
def cholesky_solve(input: Any, input2: Any, upper: bool) -> Any:
    """``A X = input`` from A's Cholesky factor."""
    L = input2  # noqa: N806
    if input.ndim < 2:
        raise RuntimeError(f"b should have at least 2 dimensions, but has {input.ndim} dimensions instead")
    if L.ndim < 2:
        raise RuntimeError(f"u should have at least 2 dimensions, but has {L.ndim} dimensions instead")
    if L.shape[-1] != L.shape[-2]:
        raise RuntimeError(f"cholesky_solve: A must be batches of square matrices, but they are {L.shape[-2]} by {L.shape[-1]} matrices")
    if L.shape[-1] != input.shape[-2]:
        raise RuntimeError(
            f"Incompatible matrix sizes for cholesky_solve: each A matrix is {L.shape[-1]} by {L.shape[-1]} but each b matrix is {input.shape[-2]} by {input.shape[-1]}"
        )
    same_type(input, L, OF_SOLVERS)
    return _solve_by_factor(input, L, upper)


@op("cholesky_inverse(Tensor input, bool upper=False)", aliases="internal.cholesky_inverse", guard=_value_guards.diagonal, format="columns", kept="input result")
def cholesky_inverse(input: Any, upper: bool) -> Any:
    """The inverse of a matrix from its Cholesky factor."""
    check_square(input, "cholesky_inverse")
    refuse("cholesky_inverse_out_cpu", input, "bih")
    eye = jnp.broadcast_to(jnp.eye(input.shape[-1], dtype=input.dtype), input.shape)
    return triangular(input, triangular(input, eye, upper, adjoint=upper), upper, adjoint=not upper)


def rank_tolerance(x: Any, largest: Any, rcond: float | None) -> Any:
    """Singular values up to here count as zero."""
    eps = jnp.finfo(x.dtype).eps if rcond is None else rcond
    scale = max(x.shape[-2:]) if rcond is None else 1
    return (largest * np.asarray(eps * scale).astype(largest.dtype))[..., None]


@jax.custom_jvp
def _pinv_from(a: Any, inverse: Any) -> Any:
    """``inverse``, differentiated as the pseudo-inverse of ``a``."""
    return inverse


@_pinv_from.defjvp
def _pinv_rule(primals: Any, tangents: Any) -> Any:
    a, da = primals[0], tangents[0]
    p = _pinv_from(*primals)
    hp, ha = mH(p), mH(da)
    first = p @ da @ p
    second = p @ hp @ (ha - (ha @ a) @ p)
    third = (ha - p @ (a @ ha)) @ hp @ p
    return p, second + third - first


def pinv_of(a: Any, s_kept: Any, u: Any, s: Any, vh: Any) -> Any:
    """The pseudo-inverse from an SVD, keeping the marked singular values."""
    inverse = jnp.where(s_kept, 1 / jnp.where(s_kept, s, jnp.ones((), s.dtype)), jnp.zeros((), s.dtype))
    p = (mH(vh) * inverse[..., None, :].astype(a.dtype)) @ mH(u)
    return _pinv_from(a, lax.stop_gradient(p))


@op("pinv(Tensor A, Tensor atol, Tensor rtol, bool hermitian)", where="internal", grad_name="LinalgPinvBackward0", residuals="save",
    guard=_value_guards.no_nan_unless_hermitian, kept="A result")  # fmt: skip
def pinv(A: Any, atol: Any, rtol: Any, hermitian: bool) -> Any:  # noqa: N803 - torch's name
    """The pseudo-inverse; singular values up to ``max(atol, rtol * largest)`` count as zero."""
    if A.size == 0:
        return jnp.zeros((*A.shape[:-2], A.shape[-1], A.shape[-2]), A.dtype)
    fixed = lax.stop_gradient(A)
    if hermitian:
        vectors, values = lax.linalg.eigh(fixed, symmetrize_input=False)
        size = jnp.abs(values)
        kept = size > jnp.maximum(atol[..., None], rtol[..., None] * size.max(-1, keepdims=True))
        inverse = jnp.where(kept, 1 / jnp.where(kept, values, jnp.ones((), values.dtype)), jnp.zeros((), values.dtype))
        return _pinv_from(A, (vectors * inverse[..., None, :].astype(A.dtype)) @ mH(vectors))
    u, s, vh = lax.linalg.svd(fixed, full_matrices=False)
    kept = s > jnp.maximum(atol[..., None], rtol[..., None] * s[..., :1])
    return pinv_of(A, kept, u, s, vh)


@op("lstsq(Tensor A, Tensor B, float? rcond, str driver) -> (solution, residuals, rank, singular_values)", where="internal",
    grad_name="LinalgLstsqBackward0", residuals="save", guard=_value_guards.solvable, kept="solution")  # fmt: skip
def lstsq(A: Any, B: Any, rcond: float | None, driver: str) -> tuple[Any, Any, Any, Any]:  # noqa: N803 - torch's names
    """Least squares by SVD (of minimal norm where A has not full rank), whatever driver is asked for; only the extra results follow it."""
    name = "torch.linalg.lstsq"
    if A.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if B.ndim < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    check_inexact(A, name)
    if A.dtype != B.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but got input's dtype {scalar_name(A)} and other's dtype {scalar_name(B)}"
        )
    vector = B.ndim == A.ndim - 1 and B.shape == A.shape[:-1]
    b = B[..., None] if vector else B
    if b.ndim < 2 or b.shape[-2] != A.shape[-2]:
        where = "-1" if vector else "-2"
        raise RuntimeError(f"{name}: input.size(-2) should match other.size({where})")
    a, b = same_batch(A, b)
    m, n = a.shape[-2:]
    real = jnp.abs(jnp.zeros((), a.dtype)).dtype
    batch = a.shape[:-2]
    if a.size == 0 or b.size == 0:
        x = jnp.zeros((*batch, n, b.shape[-1]), a.dtype)
        rank, s = jnp.zeros(batch, np.int64), jnp.zeros((*batch, min(m, n)), real)
    else:
        u, s, vh = lax.linalg.svd(lax.stop_gradient(a), full_matrices=False)
        kept = s > rank_tolerance(a, s[..., 0], rcond)
        x = pinv_of(a, kept, u, s, vh) @ b
        rank = kept.sum(-1, dtype=np.int64)
    residual = jnp.sum(jnp.square(jnp.abs(b - a @ x)), -2).astype(real) if m > n and driver != "gelsy" else jnp.zeros((0,), real)
    if driver == "gels":
        rank = jnp.zeros((0,), np.int64)
    values = s if driver in ("gelsd", "gelss") else jnp.zeros((0,), real)
    return (x[..., 0] if vector else x), residual, rank, lax.stop_gradient(values)


@op("vecdot(Tensor x, Tensor y, *, int dim=-1)", where="linalg", grad_name="SumBackward1")
def vecdot(x: Any, y: Any, dim: int) -> Any:
    """``sum(conj(x) * y)`` over ``dim``, the others broadcast."""
    check_inexact(x, "linalg.vecdot")
    if x.dtype != y.dtype:
        raise RuntimeError(
            f"linalg.vecdot: Expected x and y to have the same dtype, but found x of type {scalar_name(x)} and y of type {scalar_name(y)} instead"
        )
    shape = broadcast_shape(x.shape, y.shape)
    n = len(shape)
    if not -max(n, 1) <= dim < max(n, 1):
        raise IndexError(f"Dimension out of range (expected to be in range of [{-max(n, 1)}, {max(n, 1) - 1}], but got {dim})")
    x = jnp.conj(x) if jnp.iscomplexobj(x) else x
    return jnp.sum(x * y, dim, dtype=x.dtype) if n else x * y
