"""Decompositions: Cholesky, LU, QR, SVD, Householder reflections, LDL. Residuals are saved: none of them is worth computing twice."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch._registry import Says, op

from . import _value_guards
from ._lib import broadcast_shape, is_complex, is_inexact
from ._linalg_lib import OF_SOLVERS, gaps, mH, mT, real_of, same_type, scalar_name
from ._pointwise import refuse, refuse_with
from .contraction import check_inexact, check_square
from .linalg_solvers import check_matrix, first_zero, lu_solve_raw, same_batch


def _cholesky(x: Any, upper: bool) -> Any:
    """NaN where the matrix is not positive definite. Only one triangle is read, but the gradient is symmetric, as torch's."""
    if x.size == 0:
        return x
    sym = (x + mH(x)) / 2
    read = lax.stop_gradient(mH(x) if upper else x)
    factor = _after_infinity(lax.linalg.cholesky(read + _nothing_but_slope(sym), symmetrize_input=False))
    return mH(factor) if upper else factor


def _after_infinity(factor: Any) -> Any:
    """LAPACK comes to nan in the rows after an infinite pivot; XLA's loops divide by it."""
    infinite = jnp.isinf(jnp.diagonal(factor, axis1=-2, axis2=-1).real)
    after = (jnp.cumsum(infinite, -1) - infinite) > 0
    return jnp.where(jnp.tril(jnp.broadcast_to(after[..., :, None], factor.shape)), jnp.nan, factor)


@jax.custom_jvp
def _nothing_but_slope(x: Any) -> Any:
    """Zeros with the derivative of ``x``, also where ``x`` is not finite."""
    return jnp.zeros_like(x)


@_nothing_but_slope.defjvp
def _slope_of_nothing(primals: Any, tangents: Any) -> Any:
    return _nothing_but_slope(primals[0]), tangents[0]


@op("cholesky_ex(Tensor input, *, bool upper=False, bool check_errors=False) -> (L, info)", where="linalg",
    grad_name="LinalgCholeskyExBackward0", residuals="save", format="columns", kept="L")  # fmt: skip
def cholesky_ex(input: Any, upper: bool, check_errors: bool) -> tuple[Any, Any]:
    """L with ``A = L L^H`` (or U with ``U^H U``), and for each matrix 0 or the order of the first leading minor that is not positive."""
    check_matrix(input, "linalg.cholesky")
    factor = _cholesky(input, upper)
    return factor, _bad_minor(input, factor, upper)


def _bad_minor(x: Any, factor: Any, upper: bool) -> Any:
    if x.size == 0:
        return jnp.zeros(x.shape[:-2], np.int32)
    failed = jnp.isnan(jnp.diagonal(factor, axis1=-2, axis2=-1).real).any(-1)

    def minors(m: Any) -> Any:
        # Elimination without pivots: the first diagonal that is not positive.
        n = m.shape[-1]
        m = jnp.tril(m) + mH(jnp.tril(m, -1)) if not upper else jnp.triu(m) + mH(jnp.triu(m, 1))

        def step(k: Any, state: Any) -> Any:
            m, info = state
            pivot = m[..., k, k].real
            info = jnp.where((info == 0) & ~(pivot > 0), k.astype(np.int32) + 1, info)
            column = m[..., :, k]
            safe = jnp.where(pivot == 0, jnp.ones((), pivot.dtype), pivot)
            rest = m - column[..., :, None] * jnp.conj(column)[..., None, :] / safe[..., None, None]
            return jnp.where(jnp.isinf(pivot)[..., None, None], jnp.nan, rest), info

        return lax.fori_loop(0, n, step, (m, jnp.zeros(m.shape[:-2], np.int32)))[1]

    x = lax.stop_gradient(x)
    info = lax.cond(failed.any(), minors, lambda m: jnp.zeros(m.shape[:-2], np.int32), x)
    return jnp.where(failed, jnp.maximum(info, 1), 0).astype(np.int32)


# LU ---------------------------------------------------------------------------------------------------------------------------


def _check_pivot(pivot: bool) -> None:
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")


def _check_lu(x: Any, name: str) -> None:
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if not is_inexact(x) or x.dtype.itemsize == 2:
        raise NotImplementedError(f"\"lu_cpu\" not implemented for '{scalar_name(x)}'")


def _lu(x: Any) -> tuple[Any, Any, Any]:
    if x.size == 0:
        k = min(x.shape[-2:])
        pivots = jnp.broadcast_to(jnp.arange(k, dtype=np.int32), (*x.shape[:-2], k))
        perm = jnp.broadcast_to(jnp.arange(x.shape[-2], dtype=np.int32), x.shape[:-1])
        return x, pivots, perm
    return lax.linalg.lu(x)  # type: ignore[return-value]


def _unpack(lu: Any) -> tuple[Any, Any]:
    m, n = lu.shape[-2:]
    k = min(m, n)
    lower = jnp.tril(lu[..., :k], -1) + jnp.eye(m, k, dtype=lu.dtype)
    return lower, jnp.triu(lu[..., :k, :])


def _permutation(perm: Any, dtype: Any) -> Any:
    """P with ``A = P L U`` where ``A[perm] = L U``."""
    m = perm.shape[-1]
    return (perm[..., None, :] == lax.broadcasted_iota(perm.dtype, (m, m), 0)).astype(dtype)


@op("lu(Tensor A, bool pivot)", where="internal", grad_name="LinalgLuBackward0", residuals="save", kept="result0 result1 result2")
def lu(A: Any, pivot: bool) -> tuple[Any, Any, Any]:  # noqa: N803 - torch's name
    """``A = P L U``: a permutation, a lower triangle with ones on its diagonal, an upper triangle."""
    _check_lu(A, "linalg.lu")
    _check_pivot(pivot)
    packed, _, perm = _lu(A)
    return (_permutation(perm, A.dtype), *_unpack(packed))


@op("lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False) -> (LU, pivots, info)", where="linalg",
    grad_name="LinalgLuFactorExBackward0", residuals="save", format="columns", kept="LU pivots")  # fmt: skip
def lu_factor_ex(A: Any, pivot: bool, check_errors: bool) -> tuple[Any, Any, Any]:  # noqa: N803
    """L and U in one matrix, LAPACK's pivots (from 1), and 0 or the place of the first zero on U's diagonal."""
    _check_lu(A, "torch.linalg.lu_factor_ex")
    _check_pivot(pivot)
    packed, pivots, _ = _lu(A)
    return packed, pivots.astype(np.int32) + np.int32(1), first_zero(jnp.diagonal(packed, axis1=-2, axis2=-1))


def _perm_of(pivots: Any, m: int) -> Any:
    return lax.linalg.lu_pivots_to_permutation(pivots.astype(np.int32) - np.int32(1), m)


def _check_pivots(pivots: Any, packed: Any, name: str) -> None:
    if scalar_name(pivots) != "Int":
        raise RuntimeError(f"{name}: pivots should be a Tensor of scalar type torch.int32")
    if pivots.shape[-1] != min(packed.shape[-2:]):
        raise RuntimeError(f"{name}: Number of pivots per batch should be same as the dimension of the matrix")


@op("lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, bool adjoint=False)", where="linalg", unsaved="B",
    aliases="internal.lu_solve", grad_name="LinalgLuSolveBackward0", guard=_value_guards.solver_pivots, format="columns", kept="result")  # fmt: skip
def lu_solve(LU: Any, pivots: Any, B: Any, left: bool, adjoint: bool) -> Any:  # noqa: N803
    """``A X = B``, ``X A = B`` or the same with A's conjugate transpose, from ``lu_factor``'s results."""
    name = "linalg.lu_solve"
    check_square(LU, name)
    _check_pivots(pivots, LU, name)
    if LU.dtype != B.dtype:
        raise RuntimeError(f"{name}: Expected LU and B to have the same dtype, but found LU of type {scalar_name(LU)} and B of type {scalar_name(B)} instead")
    n = LU.shape[-1]
    if B.shape[-2 if left else -1] != n:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {equation} ({n}x{n} and {B.shape[-2]}x{B.shape[-1]})")
    packed, b = same_batch(LU, B)
    perm = jnp.broadcast_to(_perm_of(pivots, n), packed.shape[:-1]) if n else pivots
    if b.size == 0 or packed.size == 0:
        return jnp.zeros(b.shape, b.dtype)
    if left:
        return lu_solve_raw(packed, perm, b, transpose=adjoint, conjugate=adjoint)
    # X A = B is A^T X^T = B^T, and X A^H = B is A X^H = B^H.
    if adjoint:
        return mH(lu_solve_raw(packed, perm, mH(b)))
    return mT(lu_solve_raw(packed, perm, mT(b), transpose=True))


@op("lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data, bool unpack_pivots)", where="internal", guard=_value_guards.unpacked_pivots)
def lu_unpack(LU_data: Any, LU_pivots: Any, unpack_data: bool, unpack_pivots: bool) -> tuple[Any, Any, Any]:  # noqa: N803
    """P, L and U from ``lu_factor``'s results; empty ones for what is not asked for."""
    if unpack_pivots and scalar_name(LU_pivots) != "Int":
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\n"
            "Note: this function is intended to be used with the output produced by torch.linalg.lu_factor"
        )
    empty = jnp.zeros((0,), LU_data.dtype)
    lower, upper = _unpack(LU_data) if unpack_data else (empty, empty)
    p = _permutation(_perm_of(LU_pivots, LU_data.shape[-2]), LU_data.dtype) if unpack_pivots else empty
    return p, lower, upper


# QR and Householder reflections -----------------------------------------------------------------------------------------------


def _qr(x: Any, mode: str) -> tuple[Any, Any]:
    m, n = x.shape[-2:]
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'")
    k = min(m, n)
    rows = m if mode == "complete" else k
    if x.size == 0:
        q = jnp.broadcast_to(jnp.eye(m, rows, dtype=x.dtype), (*x.shape[:-2], m, rows))
        r = jnp.zeros((*x.shape[:-2], rows, n), x.dtype)
    elif m < n:
        # JAX differentiates tall matrices only: the leading square block has the same Q.
        q, left = lax.linalg.qr(x[..., :m], full_matrices=False)
        r = jnp.concatenate([left, mH(q) @ x[..., m:]], -1)
    else:
        q, r = lax.linalg.qr(x, full_matrices=rows > k)
    r = jnp.triu(r)
    return (jnp.zeros((0,), x.dtype) if mode == "r" else q), r


@op("qr(Tensor A, str mode='reduced') -> (Q, R)", where="linalg", grad_name="LinalgQrBackward0", residuals="save", format="columns", kept="Q R")
def qr(A: Any, mode: str) -> tuple[Any, Any]:  # noqa: N803 - torch's name
    """``A = Q R``; mode "reduced", "complete", or "r" with an empty Q. R's diagonal has LAPACK's signs."""
    if A.ndim < 2:
        raise RuntimeError("linalg.qr: The input tensor A must have at least 2 dimensions.")
    check_inexact(A, "linalg.qr", low=False)
    return _qr(A, mode)


_OLD_QR = Says(
    "torch.qr is deprecated in favor of torch.linalg.qr and will be removed in a future PyTorch release.\nThe boolean parameter 'some' has been replaced with a string parameter "
    "'mode'.\nQ, R = torch.qr(A, some)\nshould be replaced with\nQ, R = torch.linalg.qr(A, 'reduced' if some else 'complete')",
    once=True,
)


@op("qr(Tensor input, bool some=True) -> (Q, R)", grad_name="LinalgQrBackward0", residuals="save", format="columns", guard=lambda *_: (_OLD_QR,), kept="Q R")
def torch_qr(input: Any, some: bool) -> tuple[Any, Any]:
    """The older form of ``linalg.qr``."""
    if input.ndim < 2:
        raise RuntimeError(f"qr input should have at least 2 dimensions, but has {input.ndim} dimensions instead")
    return _qr(input, "reduced" if some else "complete")


def _reflectors(a: Any) -> Any:
    """(..., m, k): the Householder vectors below a's diagonal, with their ones."""
    m, k = a.shape[-2:]
    return jnp.tril(a, -1) + jnp.eye(m, k, dtype=a.dtype)


def _apply_reflectors(a: Any, tau: Any, x: Any, adjoint: bool, from_right: bool) -> Any:
    """Q x (or Q^H x, x Q, x Q^H) with ``Q = H_1 ... H_k``, ``H_i = I - tau_i v_i v_i^H``."""
    k = tau.shape[-1]
    if k == 0:
        return x
    v = jnp.moveaxis(_reflectors(a[..., :k]), -1, 0)  # (k, ..., m)
    t = jnp.moveaxis(jnp.conj(tau) if adjoint else tau, -1, 0)
    first_last = adjoint == from_right  # Q x applies H_k first

    def step(x: Any, vt: Any) -> tuple[Any, None]:
        v, t = vt
        if from_right:
            along = jnp.matmul(x, v[..., :, None])
            return x - t[..., None, None] * along * jnp.conj(v)[..., None, :], None
        along = jnp.matmul(jnp.conj(v)[..., None, :], x)
        return x - t[..., None, None] * v[..., :, None] * along, None

    return lax.scan(step, x, (v, t), reverse=first_last)[0]


@op("householder_product(Tensor input, Tensor tau)", where="linalg", aliases="internal.householder_product",
    grad_name="LinalgHouseholderProductBackward0", residuals="save", format="columns", kept="input tau result")  # fmt: skip
def householder_product(input: Any, tau: Any) -> Any:
    """The first columns of the product of Householder reflections, as ``geqrf`` leaves them."""
    name = "torch.linalg.householder_product"
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if input.shape[-2] < input.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]")
    if input.shape[-1] < tau.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    if input.ndim - tau.ndim != 1:
        raise RuntimeError(f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal to {tau.ndim} and input.ndim is equal to {input.ndim}")
    if input.shape[:-2] != tau.shape[:-1]:
        raise RuntimeError(f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got {list(tau.shape[:-1])}")
    if input.dtype != tau.dtype:
        raise RuntimeError(f"{name}: tau dtype {scalar_name(tau)} does not match input dtype {scalar_name(input)}")
    eye = jnp.broadcast_to(jnp.eye(*input.shape[-2:], dtype=input.dtype), input.shape)
    return _apply_reflectors(input, tau, eye, False, False) if input.size else input


@op("orgqr(Tensor input, Tensor input2)", grad_name="LinalgHouseholderProductBackward0", residuals="save", format="columns")
def orgqr(input: Any, input2: Any) -> Any:
    """The older name of ``linalg.householder_product``."""
    return householder_product.fn(input, input2)


@op("ormqr(Tensor input, Tensor input2, Tensor input3, bool left=True, bool transpose=False)",
    "ormqr(Tensor input, Tensor tau, Tensor other, bool left=True, bool transpose=False)", residuals="save", format="columns",
    kept="input input2 input3 tau other result")  # fmt: skip
def ormqr(input: Any, input2: Any = None, input3: Any = None, left: bool = True, transpose: bool = False, tau: Any = None, other: Any = None) -> Any:
    """The whole Q of Householder reflections (or its conjugate transpose) times ``other`` from the left or right."""
    tau = input2 if tau is None else tau
    other = input3 if other is None else other
    name = "torch.ormqr"
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if other.ndim < 2:
        raise RuntimeError(f"{name}: other must have at least 2 dimensions.")
    side = -2 if left else -1
    if other.shape[side] < tau.shape[-1]:
        raise RuntimeError(f"{name}: other.shape[{side}] must be greater than or equal to tau.shape[-1]")
    if other.shape[side] != input.shape[-2]:
        raise RuntimeError(f"{name}: other.shape[{side}] must be equal to input.shape[-2]")
    if tau.shape[-1] != min(other.shape[side], input.shape[-1]):
        raise RuntimeError(f"{name}: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])")
    for what, x in (("tau", tau), ("other", other)):
        same_type(input, x, f"{name}: Expected input and {what} to have the same dtype, but input has dtype{{a}} and {what} has dtype {{b}}")
    return _apply_reflectors(input, tau, other, transpose, not left) if other.size else other


def _packed_shapes(x: Any) -> list[Any]:
    return [(x.shape, x.dtype), ((*x.shape[:-2], min(x.shape[-2:])), x.dtype)]


@op("geqrf(Tensor input) -> (a, tau)", shapes=_packed_shapes, format="columns")
def geqrf(input: Any) -> tuple[Any, Any]:
    """LAPACK's own form of QR: R above, Householder vectors below, and their factors. Runs what is pending; no gradient."""
    if input.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    refuse("geqrf_cpu", input, "bih")
    from scipy.linalg import get_lapack_funcs

    (run,) = get_lapack_funcs(("geqrf",), (input,))
    m, n = input.shape[-2:]
    flat = input.reshape(int(np.prod(input.shape[:-2])), m, n)
    out, tau = np.empty_like(flat), np.empty((len(flat), min(m, n)), input.dtype)
    for i, x in enumerate(flat):
        if x.size:
            out[i], tau[i] = run(x)[:2]
    return out.reshape(input.shape), tau.reshape(*input.shape[:-2], min(m, n))


# SVD --------------------------------------------------------------------------------------------------------------------------


@cache
def _svd(full: bool) -> Any:
    @jax.custom_jvp
    def svd(a: Any) -> tuple[Any, Any, Any]:
        return tuple(lax.linalg.svd(a, full_matrices=full))  # type: ignore[return-value]

    # The thin factors' rule; what full matrices have beyond them is arbitrary and has no derivative.
    @svd.defjvp
    def _rule(primals: Any, tangents: Any) -> Any:
        (a,), (da,) = primals, tangents
        u_all, s, vh_all = svd(a)
        m, n = a.shape[-2:]
        k = min(m, n)
        u, vh = u_all[..., :k], vh_all[..., :k, :]
        v = mH(vh)
        dp = mH(u) @ da @ v
        row, column = s[..., None, :].astype(a.dtype), s[..., :, None].astype(a.dtype)
        f = gaps(s, s[..., None, :] + s[..., :, None]).astype(a.dtype)
        safe = jnp.where(row == 0, jnp.ones((), a.dtype), row)
        du = f * (dp * row + column * mH(dp))
        dv = f * (column * dp + mH(dp) * row)
        if is_complex(a):
            # The phase that U and V share is split evenly between them.
            skew = jnp.diagonal(dp, axis1=-2, axis2=-1)
            skew = (skew - jnp.conj(skew)) / (2 * safe[..., 0, :])
            du = du + (skew / 2)[..., None, :] * jnp.eye(k, dtype=a.dtype)
            dv = dv - (skew / 2)[..., None, :] * jnp.eye(k, dtype=a.dtype)
        du, dv = u @ du, v @ dv
        if m > k:
            rest = da @ v
            du = du + (rest - u @ (mH(u) @ rest)) / safe
        if n > k:
            rest = mH(da) @ u
            dv = dv + (rest - v @ (mH(v) @ rest)) / safe
        ds = jnp.diagonal(dp, axis1=-2, axis2=-1).real
        du = jnp.concatenate([du, jnp.zeros((*du.shape[:-1], u_all.shape[-1] - k), a.dtype)], -1)
        dvh = mH(dv)
        dvh = jnp.concatenate([dvh, jnp.zeros((*dvh.shape[:-2], vh_all.shape[-2] - k, n), a.dtype)], -2)
        return (u_all, s, vh_all), (du, ds, dvh)

    return svd


def svd_of(x: Any, full: bool) -> tuple[Any, Any, Any]:
    m, n = x.shape[-2:]
    k = min(m, n)
    if x.size == 0:
        u = jnp.broadcast_to(jnp.eye(m, m if full else k, dtype=x.dtype), (*x.shape[:-2], m, m if full else k))
        vh = jnp.broadcast_to(jnp.eye(n if full else k, n, dtype=x.dtype), (*x.shape[:-2], n if full else k, n))
        return u, jnp.zeros((*x.shape[:-2], k), real_of(x)), vh
    return _svd(full and m != n)(x)  # type: ignore[no-any-return]


def _check_svd(x: Any, name: str, driver: str | None) -> None:
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    check_inexact(x, name, low=False)
    if driver is not None:
        raise RuntimeError(f"{name}: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend.")


@op("svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (U, S, Vh)", where="linalg", grad_name="LinalgSvdBackward0", residuals="save", guard=_value_guards.no_nan, format="columns", kept="U S Vh")
def svd(A: Any, full_matrices: bool, driver: str | None) -> tuple[Any, Any, Any]:  # noqa: N803 - torch's name
    """``A = U diag(S) Vh`` with falling singular values."""
    _check_svd(A, "linalg.svd", driver)
    return svd_of(A, full_matrices)


@op("svdvals(Tensor A, *, str? driver=None)", where="linalg", grad_name="LinalgSvdBackward0", residuals="save", guard=_value_guards.no_nan, kept="result")
def svdvals(A: Any, driver: str | None) -> Any:  # noqa: N803 - torch's name
    """The singular values, falling."""
    _check_svd(A, "linalg.svdvals", driver)
    if A.size == 0:
        return jnp.zeros((*A.shape[:-2], min(A.shape[-2:])), real_of(A))
    return lax.linalg.svd(A, full_matrices=False, compute_uv=False)


@op("svd(Tensor input, bool some=True, bool compute_uv=True) -> (U, S, V)", grad_name="LinalgSvdBackward0", residuals="save", guard=_value_guards.no_nan, kept="U S V")
def torch_svd(input: Any, some: bool, compute_uv: bool) -> tuple[Any, Any, Any]:
    """The older form: V in place of its conjugate transpose; zeros for U and V without ``compute_uv``."""
    _check_svd(input, "linalg.svd", None)
    if not compute_uv:
        m, n = input.shape[-2:]
        batch = input.shape[:-2]
        zeros = (jnp.zeros((*batch, m, m), input.dtype), jnp.zeros((*batch, n, n), input.dtype))
        return zeros[0], svdvals.fn(input, None), zeros[1]
    u, s, vh = svd_of(input, not some)
    return u, s, mH(vh)


# LDL --------------------------------------------------------------------------------------------------------------------------


def _sytrf(x: Any, hermitian: bool) -> Any:
    from scipy.linalg import get_lapack_funcs

    return get_lapack_funcs(("hetrf" if hermitian and np.iscomplexobj(x) else "sytrf",), (x,))[0]


def _ldl_shapes(x: Any, *_: Any) -> list[Any]:
    return [(x.shape, x.dtype), (x.shape[:-1], np.int32), (x.shape[:-2], np.int32)]


@op("ldl_factor_ex(Tensor input, *, bool hermitian=False, bool check_errors=False) -> (LD, pivots, info)", where="linalg", shapes=_ldl_shapes, format="columns",
    grad_name="torch::autograd::NotImplemented")  # fmt: skip
def ldl_factor_ex(input: Any, hermitian: bool, check_errors: bool) -> tuple[Any, Any, Any]:
    """``A = L D L^T`` (``L D L^H``) with Bunch-Kaufman pivots, as LAPACK packs it. Runs what is pending; no gradient."""
    check_square(input, "torch.linalg.ldl_factor_ex")
    refuse_with(f"torch.linalg.ldl_factor_ex: Expected a floating point or complex tensor as input. Got {scalar_name(input)}", input, "bi")
    n = input.shape[-1]
    flat = input.reshape(int(np.prod(input.shape[:-2])), n, n)
    factor, pivots, info = np.empty_like(flat), np.zeros((len(flat), n), np.int32), np.zeros(len(flat), np.int32)
    run = _sytrf(flat, hermitian)
    for i, x in enumerate(flat):
        if n:
            packed, pivot, info[i] = run(x, lower=1)
            factor[i], pivots[i] = np.tril(packed), np.where(pivot >= 0, pivot + (0 if _one_based(run) else 1), pivot)
    return factor.reshape(input.shape), pivots.reshape(input.shape[:-1]), info.reshape(input.shape[:-2])


_ONE_BASED: list[bool] = []


def _one_based(run: Any) -> bool:
    """Whether scipy gives LAPACK's pivots as they are."""
    if not _ONE_BASED:
        _ONE_BASED.append(bool(run(np.eye(1), lower=1)[1][0] == 1))
    return _ONE_BASED[0]


def _unpack_ldl(packed: Any, pivots: Any, hermitian: bool) -> tuple[Any, Any, Any]:
    """(rows' order, L, D) of one matrix on the host: ``A[p][:, p] = L D L^T``."""
    n = len(packed)
    lower, d, perm = np.eye(n, dtype=packed.dtype), np.zeros_like(packed), np.arange(n)
    k = 0
    while k < n:
        if pivots[k] > 0:
            swap, width, at = pivots[k] - 1, 1, k
        else:
            swap, width, at = -pivots[k] - 1, 2, k + 1
        perm[[at, swap]] = perm[[swap, at]]
        lower[[at, swap], :k] = lower[[swap, at], :k]
        d[k, k] = packed[k, k]
        lower[k + 1 :, k] = packed[k + 1 :, k]
        if width == 2:
            d[k + 1, k + 1] = packed[k + 1, k + 1]
            d[k + 1, k] = packed[k + 1, k]
            d[k, k + 1] = np.conj(packed[k + 1, k]) if hermitian else packed[k + 1, k]
            lower[k + 1, k] = 0
            lower[k + 2 :, k + 1] = packed[k + 2 :, k + 1]
        k += width
    return perm, lower, d


def _solved_shape(LD: Any, pivots: Any, B: Any, hermitian: bool) -> list[Any]:  # noqa: N803 - torch's names
    return [((*broadcast_shape(B.shape[:-2], LD.shape[:-2]), *B.shape[-2:]), B.dtype)]


@op("ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False)", where="linalg", shapes=_solved_shape, format="columns", grad_name="torch::autograd::NotImplemented")
def ldl_solve(LD: Any, pivots: Any, B: Any, hermitian: bool) -> Any:  # noqa: N803 - torch's names
    """``A X = B`` from ``ldl_factor``'s results. Runs what is pending; no gradient."""
    check_square(LD, "torch.linalg.ldl_solve")
    if B.ndim < 2:
        raise RuntimeError(f"torch.linalg.ldl_solve: Expected B to have at least 2 dimensions, but it has {B.ndim} dimensions instead")
    if LD.dtype.kind not in "fc":
        raise RuntimeError(f"torch.linalg.ldl_solve: Expected a floating point or complex tensor as input. Got {scalar_name(LD)}")
    if pivots.dtype.kind not in "iu":
        raise RuntimeError(f"torch.linalg.ldl_solve: Expected pivots to be integers. Got {scalar_name(pivots)}")
    same_type(B, LD, OF_SOLVERS)
    if (pivots == 0).any():
        raise RuntimeError("Pivots given to ldl_solve must all satisfy |pivot| >= 1. Did you properly pass the result of ldl_factor?")
    n = LD.shape[-1]
    batch = broadcast_shape(B.shape[:-2], LD.shape[:-2])
    count = int(np.prod(batch))
    packed = np.broadcast_to(LD, (*batch, n, n)).reshape(count, n, n)
    where = np.broadcast_to(pivots, (*batch, n)).reshape(count, n)
    b = np.broadcast_to(B, (*batch, *B.shape[-2:])).reshape(count, *B.shape[-2:])
    out = np.empty(b.shape, B.dtype)
    for i in range(len(b)):
        perm, lower, d = _unpack_ldl(packed[i], where[i], hermitian)
        middle = np.linalg.solve(d, np.linalg.solve(lower, b[i][perm]))
        out[i][perm] = np.linalg.solve(np.conj(lower.T) if hermitian else lower.T, middle)
    return out.reshape(*batch, *B.shape[-2:])
