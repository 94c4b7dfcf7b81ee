"""Few singular vectors or eigenvectors of large matrices: svd_lowrank, pca_lowrank, lobpcg."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._namespace import linalg, torch


def _range_of(A: Tensor, q: int, niter: int, M: Tensor | None) -> Tensor:  # noqa: N803 - torch's names
    """An orthonormal basis that nearly holds the range of ``A - M``, by random projection and power steps (Halko, Martinsson, Tropp 2009)."""
    def times(x: Tensor) -> Tensor:
        return A @ x if M is None else A @ x - M @ x

    def adjoint_times(x: Tensor) -> Tensor:
        return A.mH @ x if M is None else A.mH @ x - M.mH @ x  # type: ignore[attr-defined]

    found = linalg.qr(times(torch.randn(A.shape[-1], q, dtype=A.dtype, device=A.device)))[0]
    for _ in range(niter):
        found = linalg.qr(adjoint_times(found))[0]
        found = linalg.qr(times(found))[0]
    return found  # type: ignore[no-any-return]


@compose("torch")
def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:  # noqa: N803
    """(U, S, V) of an approximation of ``A - M`` of rank q, by a randomised method."""
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    m, n = A.shape[-2:]
    if M is not None:
        M = M.expand(A.shape)  # noqa: N806
    wide = m < n
    if wide:
        A, M = A.mH, None if M is None else M.mH  # type: ignore[attr-defined]  # noqa: N806
    basis = _range_of(A, q, niter, M)
    small = basis.mH @ A  # type: ignore[attr-defined]
    if M is not None:
        small = small - basis.mH @ M  # type: ignore[attr-defined]
    u, s, vh = linalg.svd(small, full_matrices=False)
    u, v = basis @ u, vh.mH
    return (v, s, u) if wide else (u, s, v)


@compose("torch")
def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:  # noqa: N803
    """The q first principal components of the rows of A, as (U, S, V), by a randomised method."""
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if not niter >= 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    if not (A.is_floating_point() or A.is_complex()):
        raise ValueError(f"Expected a floating point tensor, but got {A.dtype}")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)  # type: ignore[no-any-return]


@compose("torch")
def lobpcg(
    A: Tensor, k: int | None = None, B: Tensor | None = None, X: Tensor | None = None, n: int | None = None, iK: Tensor | None = None,  # noqa: N803
    niter: int | None = None, tol: float | None = None, largest: bool | None = None, method: str | None = None, tracker: Any = None,
    ortho_iparams: Any = None, ortho_fparams: Any = None, ortho_bparams: Any = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The k largest (or smallest) eigenvalues of ``A x = lambda B x`` and their vectors, for symmetric A and positive definite B.

    A differentiable dense solution: both matrices are factored whole, so ``X, iK, niter, tol, method`` and the tracker have no effect.
    """
    del iK, niter, tol, method, tracker, ortho_iparams, ortho_fparams, ortho_bparams
    m = A.shape[-1]
    if A.dim() < 2 or A.shape[-2] != m:
        raise RuntimeError(f"lobpcg: A must be square, got {list(A.shape)}")
    count = (1 if X is None else X.shape[-1]) if k is None else k
    if X is not None and n is None:
        n = X.shape[-1]
    if m < 3 * (count if n is None else n):
        raise ValueError(f"LOBPCG algorithm is not applicable when the number of A rows (={m}) is smaller than 3 x the number of requested eigenpairs (={count if n is None else n})")
    sym = (A + A.mT) / 2  # type: ignore[attr-defined]
    if B is None:
        values, vectors = linalg.eigh(sym)
    else:
        lower = linalg.cholesky(B)
        half = linalg.solve_triangular(lower, sym, upper=False)
        inner = linalg.solve_triangular(lower, half.mT, upper=False)
        values, vectors = linalg.eigh((inner + inner.mT) / 2)
        vectors = linalg.solve_triangular(lower.mT, vectors, upper=True)
    if largest is None or largest:
        return values[..., -count:].flip(-1), vectors[..., -count:].flip(-1)
    return values[..., :count], vectors[..., :count]
