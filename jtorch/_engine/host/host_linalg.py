"""JAX's decompositions, transforms and special functions on numpy arrays: LAPACK, BLAS, FFT and Cephes through scipy, which JAX needs in any case. See ``host_rules.py``.

What LAPACK cannot do (a matrix that is not positive definite, one that does not converge) is nan, as XLA leaves it: the operators word torch's errors from that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jtorch._engine.host.host_rules import RULES, rule, wide

__all__: list[str] = []


def _by_matrix(fn: Callable[..., tuple[Any, ...]], *stacks: Any) -> list[np.ndarray]:
    """``fn`` of each matrix in stacks of equal batch shape, its results stacked again."""
    batch = stacks[0].shape[:-2]
    if not batch:
        return [np.asarray(x) for x in fn(*stacks)]
    flat = [np.reshape(s, (-1, *s.shape[len(batch) :])) for s in stacks]
    if 0 in batch:
        made = [[np.asarray(x)[None][:0] for x in fn(*[np.ones(s.shape[1:], s.dtype) for s in flat])]]
        return [x.reshape(*batch, *x.shape[1:]) for x in made[0]]
    every = [fn(*each) for each in zip(*flat, strict=True)]
    return [np.stack([np.asarray(x) for x in column]).reshape(*batch, *np.shape(column[0])) for column in zip(*every, strict=True)]


def _lapack(names: tuple[str, ...], *like: Any) -> Any:
    from scipy.linalg import get_lapack_funcs

    return get_lapack_funcs(names, like)


def _nan_like(shape: Any, dtype: Any) -> np.ndarray:
    return np.full(shape, np.nan, dtype)


@rule("cholesky")
def _cholesky(a: Any, **params: Any) -> Any:
    def one(m: Any) -> tuple[Any, ...]:
        if not m.size:
            return (m,)
        (potrf,) = _lapack(("potrf",), m)
        found, info = potrf(m, lower=True, clean=True)
        return (found if info == 0 else _nan_like(m.shape, m.dtype),)

    return _by_matrix(one, wide(a))[0]


@rule("lu")
def _lu(a: Any, **params: Any) -> Any:
    def one(m: Any) -> tuple[Any, ...]:
        if not m.size:
            return m, np.zeros(min(m.shape), np.int32), np.arange(m.shape[0], dtype=np.int32)
        (getrf,) = _lapack(("getrf",), m)
        found, pivots, _ = getrf(m)
        return found, pivots.astype(np.int32), _permutation(pivots, m.shape[0])

    return _by_matrix(one, wide(a))


def _permutation(pivots: Any, size: int) -> np.ndarray:
    order = np.arange(size, dtype=np.int32)
    for i, p in enumerate(pivots):
        order[[i, p]] = order[[p, i]]
    return order


@rule("lu_pivots_to_permutation")
def _lu_pivots_to_permutation(pivots: Any, *, permutation_size: int, **params: Any) -> Any:
    flat = np.reshape(pivots, (math.prod(pivots.shape[:-1]), pivots.shape[-1]))
    made = [_permutation(p, permutation_size) for p in flat]
    return np.reshape(np.array(made, np.int32), (*pivots.shape[:-1], permutation_size))


@rule("qr")
def _qr(a: Any, *, full_matrices: bool, pivoting: bool = False, **params: Any) -> Any:
    from scipy.linalg import qr

    def one(m: Any) -> tuple[Any, ...]:
        rows, columns = m.shape
        k = min(rows, columns)
        if not m.size:
            found = np.eye(rows, rows if full_matrices else k, dtype=m.dtype), np.zeros((rows if full_matrices else k, columns), m.dtype)
            return (*found, np.arange(columns)) if pivoting else found
        return qr(m, mode="full" if full_matrices else "economic", pivoting=pivoting, check_finite=False)  # type: ignore[no-any-return]

    return _by_matrix(one, wide(a))


@rule("householder_product")
def _householder_product(a: Any, taus: Any, **params: Any) -> Any:
    def one(m: Any, t: Any) -> tuple[Any, ...]:
        if not m.size:
            return (m,)
        (gqr,) = _lapack(("ungqr" if m.dtype.kind == "c" else "orgqr",), m)
        return (gqr(m, t[0])[0],)

    return _by_matrix(one, wide(a), wide(taus)[..., None, :])[0]


@rule("ormqr")
def _ormqr(a: Any, taus: Any, c: Any, *, left: bool = True, transpose: bool = False, **params: Any) -> Any:
    rows = a.shape[-2]
    square = np.zeros((*a.shape[:-1], rows), a.dtype)
    square[..., : a.shape[-1]] = a
    more = np.zeros((*taus.shape[:-1], rows), taus.dtype)
    more[..., : taus.shape[-1]] = taus
    q = _householder_product(square, more)
    q = np.conj(np.swapaxes(q, -1, -2)) if transpose else q
    return q @ c if left else c @ q


@rule("triangular_solve")
def _triangular_solve(a: Any, b: Any, *, left_side: bool, lower: bool, transpose_a: bool, conjugate_a: bool, unit_diagonal: bool, **params: Any) -> Any:
    from scipy.linalg import get_blas_funcs

    def one(m: Any, x: Any) -> tuple[Any, ...]:
        if not x.size:
            return (x,)
        (trsm,) = get_blas_funcs(("trsm",), (m, x))
        m = np.conj(m) if conjugate_a and not transpose_a else m
        return (trsm(1.0, m, x, side=not left_side, lower=lower, trans_a=2 if transpose_a and conjugate_a else int(transpose_a), diag=unit_diagonal),)

    return _by_matrix(one, wide(a), wide(b))[0]


@rule("svd")
def _svd(a: Any, *, full_matrices: bool, compute_uv: bool, **params: Any) -> Any:
    def one(m: Any) -> tuple[Any, ...]:
        try:
            if not compute_uv:
                return (np.linalg.svd(m, compute_uv=False),)
            u, s, vh = np.linalg.svd(m, full_matrices=full_matrices)
            return s, u, vh
        except np.linalg.LinAlgError:
            rows, columns = m.shape
            k = min(rows, columns)
            s = _nan_like(k, m.real.dtype)
            parts = (rows, rows if full_matrices else k), (columns if full_matrices else k, columns)
            return (s, *(_nan_like(shape, m.dtype) for shape in parts)) if compute_uv else (s,)

    return _by_matrix(one, wide(a))


@rule("eigh")
def _eigh(a: Any, *, lower: bool, **params: Any) -> Any:
    def one(m: Any) -> tuple[Any, ...]:
        try:
            values, vectors = np.linalg.eigh(m, "L" if lower else "U")
        except np.linalg.LinAlgError:
            return _nan_like(m.shape, m.dtype), _nan_like(m.shape[0], m.real.dtype)
        return vectors, values

    return _by_matrix(one, wide(a))


@rule("eig")
def _eig(a: Any, *, compute_left_eigenvectors: bool, compute_right_eigenvectors: bool, **params: Any) -> Any:
    from scipy.linalg import eig

    def one(m: Any) -> tuple[Any, ...]:
        kind = np.result_type(m.dtype, np.complex64)
        if not m.size:
            return (np.zeros(0, kind), *[np.zeros((0, 0), kind)] * (compute_left_eigenvectors + compute_right_eigenvectors))
        found = eig(m, left=compute_left_eigenvectors, right=compute_right_eigenvectors, check_finite=False)
        found = found if isinstance(found, tuple) else (found,)
        return tuple(np.asarray(x).astype(kind) for x in found)

    return _by_matrix(one, wide(a))


@rule("schur")
def _schur(a: Any, *, compute_schur_vectors: bool, **params: Any) -> Any:
    from scipy.linalg import schur

    def one(m: Any) -> tuple[Any, ...]:
        t, z = schur(m, output="complex" if m.dtype.kind == "c" else "real", check_finite=False) if m.size else (m, m)
        return (t, z) if compute_schur_vectors else (t,)

    return _by_matrix(one, wide(a))


@rule("tridiagonal_solve")
def _tridiagonal_solve(lower: Any, diagonal: Any, upper: Any, b: Any, **params: Any) -> Any:
    from scipy.linalg import solve_banded

    def one(rows: Any, x: Any) -> tuple[Any, ...]:
        low, mid, up = rows
        band = np.stack([np.roll(up, 1), mid, np.roll(low, -1)])
        band[0, 0] = band[2, -1] = 0
        return (solve_banded((1, 1), band, x, check_finite=False),)

    return _by_matrix(one, np.stack([lower, diagonal, upper], -2), b)[0]


@rule("symmetric_product")
def _symmetric_product(a: Any, c: Any, *, alpha: Any = 1.0, beta: Any = 0.0, **params: Any) -> Any:
    return alpha * (a @ np.swapaxes(a, -1, -2)) + beta * c


@rule("fft")
def _fft(x: Any, *, fft_type: Any, fft_lengths: Any, **params: Any) -> Any:
    from scipy import fft

    axes = tuple(range(-len(fft_lengths), 0))
    kind = str(getattr(fft_type, "name", fft_type))
    if kind == "IRFFT":
        return fft.irfftn(x, fft_lengths, axes)
    return {"FFT": fft.fftn, "IFFT": fft.ifftn, "RFFT": fft.rfftn}[kind](x, axes=axes)


def _special(name: str, order: tuple[int, ...] | None = None) -> Callable[..., Any]:
    """A function of scipy.special on arrays, in no less than float32."""

    def run(*args: Any, **params: Any) -> Any:
        from scipy import special

        given = [wide(np.asarray(a)) for a in args]
        return getattr(special, name)(*given)

    return run


# Names of the primitives, and scipy's.
for _ours, _theirs in (
    ("bessel_i0e", "i0e"), ("bessel_i1e", "i1e"), ("digamma", "psi"), ("erf", "erf"), ("erfc", "erfc"), ("erf_inv", "erfinv"), ("igamma", "gammainc"),
    ("igammac", "gammaincc"), ("lgamma", "gammaln"), ("regularized_incomplete_beta", "betainc"), ("zeta", "zeta"),
):  # fmt: skip
    RULES[_ours] = _special(_theirs)


@rule("polygamma")
def _polygamma(m: Any, x: Any, **params: Any) -> Any:
    from scipy import special

    return special.polygamma(np.asarray(m).astype(np.int64), wide(np.asarray(x)))


@rule("igamma_grad_a")
def _igamma_grad_a(a: Any, x: Any, **params: Any) -> Any:
    """By differences in float64, whose error is far below float32's digits."""
    from scipy import special

    a, x = np.asarray(a, np.float64), np.asarray(x, np.float64)
    h = 1e-5 * np.maximum(np.abs(a), 1e-3)
    return (special.gammainc(a + h, x) - special.gammainc(a - h, x)) / (2 * h)
