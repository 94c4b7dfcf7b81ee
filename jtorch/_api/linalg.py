"""torch.linalg's functions that check their result, and norms, ranks and pseudo-inverses made of the decompositions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.host_memory import force, numpy_of
from jtorch._core.storage.view_steps import read
from jtorch._core.tensor.derived_functions import function_for, write_out
from jtorch._core.tensor.return_types import return_type
from jtorch._engine.values.lanes import unknown
from jtorch._errors import LinAlgError, warn_once
from jtorch._namespace import linalg, torch

_pinv = function_for("internal.pinv")
_lstsq = function_for("internal.lstsq")


linalg.LinAlgError = LinAlgError


def result_of(name: str, result: Any, out: Any) -> Any:
    """The result, written to ``out`` if that is given."""
    return result if out is None else write_out(name, result, out)


def check_info(info: Tensor, name: str, text: Callable[[int], str], error: type[RuntimeError] = LinAlgError) -> None:
    """Raise for the first matrix whose info is not 0. This looks at the values, as torch does; inside jax's transformations nothing is known."""
    v = read(info.detach())
    if v.aval.device.type == "meta" or unknown(force(v)):
        return
    found = numpy_of(v)
    if not found.any():
        return
    flat = found.reshape(-1)
    at = int((flat != 0).argmax())
    batch = f"(Batch element {at}): " if found.ndim else ""
    raise error(f"{name}: {batch}{text(int(flat[at]))}")


def _singular(info: int) -> str:
    return f"The diagonal element {info} is zero, the inversion could not be completed because the input matrix is singular."


def _no_solution(_: int) -> str:
    return "The solver failed because the input matrix is singular."


def _not_definite(info: int) -> str:
    return (
        "The factorization could not be completed because the input is not positive-definite "
        f"(the leading minor of order {info} is not positive-definite)."
    )


@compose("linalg")
def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: N803 - torch's name
    """The inverse of square matrices; LinAlgError if one is singular."""
    result, info = linalg.inv_ex(A)
    check_info(info, "linalg.inv", _singular)
    return result_of("inv", result, out)  # type: ignore[no-any-return]


@compose("torch Tensor")
def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """As ``linalg.inv``."""
    return inv(input, out=out)  # type: ignore[no-any-return]


@compose("linalg")
def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """X with ``A X = B`` (``X A = B`` if not ``left``); LinAlgError if a matrix is singular."""
    result, info = linalg.solve_ex(A, B, left=left)
    check_info(info, "torch.linalg.solve", _no_solution)
    return result_of("solve", result, out)  # type: ignore[no-any-return]


@compose("linalg")
def tensorinv(input: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of a tensor as a linear map from its last dims to its first ``ind``."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    first, last = input.shape[:ind], input.shape[ind:]
    m, n = math.prod(first), math.prod(last)
    if m != n:
        raise RuntimeError(f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got {n} != {m}")
    result, info = linalg.inv_ex(input.reshape(n, n))
    check_info(info, "inv", _singular)
    return result_of("tensorinv", result.reshape(*last, *first), out)  # type: ignore[no-any-return]


@compose("linalg")
def tensorsolve(input: Tensor, other: Tensor, dims: Any = None, *, out: Tensor | None = None) -> Tensor:
    """X with ``tensordot(input, X, X.ndim) == other``."""
    if dims is not None:
        input = input.movedim(list(dims), list(range(-len(dims), 0)))
    last = input.shape[other.dim() :]
    m, n = other.numel(), math.prod(last)
    if m != n:
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), but got {n} != {m}"
        )
    return result_of("tensorsolve", solve(input.reshape(n, n), other.flatten()).reshape(last), out)  # type: ignore[no-any-return]


_power = function_for("internal.matrix_power")


@compose("torch Tensor linalg")
def matrix_power(input: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """The n-th power of square matrices by repeated squaring; a negative n inverts first."""
    return result_of("matrix_power", _power(input, n) if n >= 0 else _power(inv(input), -n), out)  # type: ignore[no-any-return]


@compose("linalg")
def cholesky(input: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """L with ``A = L L^H``, or U with ``A = U^H U``; LinAlgError if a matrix is not positive definite."""
    result, info = linalg.cholesky_ex(input, upper=upper)
    check_info(info, "linalg.cholesky", _not_definite)
    return result_of("cholesky", result, out)  # type: ignore[no-any-return]


@compose("torch Tensor", name="cholesky")
def torch_cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """As ``linalg.cholesky``."""
    warn_once(
        "torch.cholesky is deprecated in favor of torch.linalg.cholesky and will be removed in a future PyTorch release.\nL = torch.cholesky(A)\nshould be replaced with\n"
        "L = torch.linalg.cholesky(A)\nand\nU = torch.cholesky(A, upper=True)\nshould be replaced with\nU = torch.linalg.cholesky(A).mH\n"
        "This transform will produce equivalent results for all valid (symmetric positive definite) inputs."
    )
    result, info = linalg.cholesky_ex(input, upper=upper)
    check_info(info, "cholesky", _not_definite)
    return result_of("cholesky", result, out)  # type: ignore[no-any-return]


@compose("linalg")
def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:  # noqa: N803
    """L and U packed in one matrix, and the pivots; RuntimeError if U has a zero on its diagonal."""
    packed, pivots, info = linalg.lu_factor_ex(A, pivot=pivot)
    check_info(info, "torch.linalg.lu_factor", _zero_pivot, RuntimeError)
    return result_of("lu_factor", return_type("linalg_lu_factor")(packed, pivots), out)


def _zero_pivot(info: int) -> str:
    return (
        f"U[{info},{info}] is zero and using it on lu_solve would result in a division by zero. If you still want to perform the "
        "factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
    )


# ``check_errors``: an operator cannot look at its own results.
_inv_ex, _solve_ex, _cholesky_ex, _lu_factor_ex = (function_for(f"linalg.{n}_ex") for n in ("inv", "solve", "cholesky", "lu_factor"))


@compose("linalg", name="inv_ex")
def checked_inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:  # noqa: N803
    """The inverse of square matrices and, for each, 0 or the place of a zero pivot."""
    found = _inv_ex(A, out=out)
    if check_errors:
        check_info(found[1], "linalg.inv_ex", _singular)
    return found


@compose("linalg", name="solve_ex")
def checked_solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None) -> Any:  # noqa: N803
    """``A X = B`` (or ``X A = B``) for square A; B may hold vectors. With LAPACK's info."""
    found = _solve_ex(A, B, left=left, out=out)
    if check_errors:
        check_info(found[1], "torch.linalg.solve_ex", _no_solution)
    return found


@compose("linalg", name="cholesky_ex")
def checked_cholesky_ex(input: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None) -> Any:
    """L with ``A = L L^H`` (or U with ``U^H U``), and for each matrix 0 or the order of the first leading minor that is not positive."""
    found = _cholesky_ex(input, upper=upper, out=out)
    if check_errors:
        check_info(found[1], "linalg.cholesky_ex", _not_definite)
    return found


@compose("linalg", name="lu_factor_ex")
def checked_lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None) -> Any:  # noqa: N803
    """L and U in one matrix, LAPACK's pivots (from 1), and 0 or the place of the first zero on U's diagonal."""
    found = _lu_factor_ex(A, pivot=pivot, out=out)
    if check_errors:
        check_info(found[2], "torch.linalg.lu_factor_ex", _zero_pivot, RuntimeError)
    return found


_lu = function_for("internal.lu")
_lu_unpack = function_for("internal.lu_unpack")


@compose("linalg", name="lu")
def linalg_lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:  # noqa: N803
    """``A = P L U``: a permutation (which has no gradient), a lower triangle with ones on its diagonal, an upper triangle."""
    p, lower, upper = _lu(A, pivot)
    return result_of("lu", return_type("linalg_lu")(p.detach(), lower, upper), out)


@compose("torch")
def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True, *, out: Any = None) -> Any:  # noqa: N803
    """P, L and U from ``lu_factor``'s results; empty ones for what is not asked for."""
    p, lower, upper = _lu_unpack(LU_data, LU_pivots, unpack_data, unpack_pivots)
    return result_of("lu_unpack", return_type("lu_unpack")(p.detach(), lower, upper), out)


@compose("torch", in_python=True)
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:  # noqa: N803
    """The older form of ``linalg.lu_factor``."""
    warn_once(
        "torch.lu is deprecated in favor of torch.linalg.lu_factor / torch.linalg.lu_factor_ex and will be removed in a future PyTorch release.\n"
        "LU, pivots = torch.lu(A, compute_pivots)\nshould be replaced with\nLU, pivots = torch.linalg.lu_factor(A, compute_pivots)\nand\n"
        "LU, pivots, info = torch.lu(A, compute_pivots, get_infos=True)\nshould be replaced with\nLU, pivots, info = torch.linalg.lu_factor_ex(A, compute_pivots)"
    )
    packed, pivots, info = linalg.lu_factor_ex(A, pivot=pivot)
    found = (packed, pivots, info) if get_infos else (packed, pivots)
    if out is not None or not get_infos:
        return result_of("lu", found, out)
    return return_type("_lu_with_info", ("LU", "pivots", "info"))(*found)


@compose("Tensor", name="lu")
def lu_method(self: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """See :func:`torch.lu`."""
    return tuple(lu(self, pivot, get_infos))


@compose("torch Tensor", name="lu_solve")
def torch_lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """The older form of ``linalg.lu_solve``."""
    warn_once(
        "torch.lu_solve is deprecated in favor of torch.linalg.lu_solveand will be removed in a future PyTorch release.\nNote that torch.linalg.lu_solve has its arguments reversed.\n"
        "X = torch.lu_solve(B, LU, pivots)\nshould be replaced with\nX = torch.linalg.lu_solve(LU, pivots, B)"
    )
    return result_of("lu_solve", linalg.lu_solve(LU_data, LU_pivots, b), out)  # type: ignore[no-any-return]


@compose("linalg")
def ldl_factor(A: Tensor, *, hermitian: bool = False, out: Any = None) -> Any:  # noqa: N803
    """``A = L D L^T`` of a symmetric (Hermitian) matrix, packed, and its pivots."""
    packed, pivots, info = linalg.ldl_factor_ex(A, hermitian=hermitian)
    check_info(info, "torch.linalg.ldl_factor", _zero_ldl, RuntimeError)
    return result_of("ldl_factor", return_type("linalg_ldl_factor")(packed, pivots), out)


def _zero_ldl(info: int) -> str:
    return f"The diagonal element {info} is zero, using it on ldl_solve would result in a division by zero."


# Norms ------------------------------------------------------------------------------------------------------------------------


def _as_dims(dim: Any, name: str = "linalg.matrix_norm") -> tuple[int, int]:
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {' '.join(map(str, dims))}")
    return dims  # type: ignore[return-value]


@compose("linalg")
def matrix_norm(A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """The norm of matrices: "fro", "nuc", 1, -1, 2, -2, inf or -inf."""
    name = "linalg.matrix_norm"
    if A.dim() < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    dims = _as_dims(dim)
    n = A.dim()
    for d in dims:
        if not -n <= d < n:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
    row, column = dims[0] % n, dims[1] % n
    if row == column:
        raise RuntimeError(f"{name}: dims must be different. Got ({dims[0]}, {dims[1]})")
    if not (A.is_floating_point() or A.is_complex()):
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {A.dtype.legacy}")
    if isinstance(ord, str):
        if ord not in ("fro", "nuc"):
            raise RuntimeError(f"{name}: Order {ord} not supported.")
    elif abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if ord == "fro":
        return result_of("matrix_norm", linalg.vector_norm(A, 2, (row, column), keepdim, dtype=dtype), out)  # type: ignore[no-any-return]
    if dtype is not None:
        A = A.to(dtype)
    if ord in ("nuc", 2, -2):
        moved = A.movedim((row, column), (-2, -1))
        s = linalg.svdvals(moved)
        if ord == "nuc":
            result = s.sum(-1, keepdim=keepdim)
        else:
            result = _extreme(s, -1, keepdim, ord)
        if keepdim:
            result = result.unsqueeze(-1).movedim((-2, -1), (row, column)) if row < column else result.unsqueeze(-1).movedim((-1, -2), (column, row))
        return result_of("matrix_norm", result, out)  # type: ignore[no-any-return]
    summed, reduced = (column, row) if abs(ord) == math.inf else (row, column)
    sums = linalg.vector_norm(A, 1.0, (summed,), keepdim)
    if not keepdim and summed < reduced:
        reduced -= 1
    return result_of("matrix_norm", _extreme(sums, reduced, keepdim, ord), out)  # type: ignore[no-any-return]


def _extreme(x: Tensor, dim: int, keepdim: bool, ord: float) -> Tensor:
    """The largest along a dim (0 where there is none), or for a negative order the smallest."""
    if ord < 0:
        return torch.amin(x, dim, keepdim)  # type: ignore[no-any-return]
    return torch.amax(x, dim, keepdim) if x.size(dim) else x.sum(dim, keepdim)  # type: ignore[no-any-return]


@compose("linalg", name="norm")
def linalg_norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """A vector norm over one dim (or, without ``ord``, over all), a matrix norm over two."""
    dims = None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if dims is not None and ord is not None and len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got [{', '.join(map(str, dims))}]")
    if dims is None and ord is not None and A.dim() not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.dim()}D.")
    if isinstance(ord, str):
        result = matrix_norm(A, ord, dims if dims is not None else (-2, -1), keepdim, dtype=dtype)
    elif ord is not None and ((dims is not None and len(dims) == 2) or (dims is None and A.dim() == 2)):
        result = matrix_norm(A, ord, dims if dims is not None else (0, 1), keepdim, dtype=dtype)
    else:
        result = linalg.vector_norm(A, 2 if ord is None else ord, dims, keepdim, dtype=dtype)
    return result_of("norm", result, out)  # type: ignore[no-any-return]


@compose("linalg")
def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """The condition number: the ratio of singular values (p None, 2, -2), or ``norm(A, p) * norm(inv(A), p)``."""
    if A.dim() < 2:
        raise RuntimeError("linalg.cond: The input tensor A must have at least 2 dimensions.")
    if p is None or p in (2, -2):
        s = linalg.svdvals(A)
        if s.size(-1) == 0:
            return result_of("cond", torch.zeros(A.shape[:-2], dtype=s.dtype, device=A.device), out)  # type: ignore[no-any-return]
        first, last = s.narrow(-1, 0, 1), s.narrow(-1, s.size(-1) - 1, 1)
        ratio = last / first if p == -2 else first / last
        return result_of("cond", ratio.squeeze(-1), out)  # type: ignore[no-any-return]
    allowed = ("fro", "nuc") if isinstance(p, str) else (1, -1, math.inf, -math.inf)
    if p not in allowed:
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if A.size(-1) != A.size(-2):
        raise RuntimeError(f"linalg.cond(ord={p}): A must be batches of square matrices, but they are {A.size(-2)} by {A.size(-1)} matrices")
    if A.numel() == 0:
        kind = A.real.dtype if A.is_complex() else A.dtype
        return result_of("cond", torch.zeros(A.shape[:-2], dtype=kind, device=A.device), out)  # type: ignore[no-any-return]
    if p == "nuc":
        s = linalg.svdvals(A)
        result = s.sum(-1) * s.reciprocal().sum(-1)
        return result_of("cond", result, out)  # type: ignore[no-any-return]
    inverse, info = linalg.inv_ex(A)
    norm = matrix_norm(A, p)
    other = matrix_norm(inverse, p)
    # A singular matrix has condition inf.
    result = torch.where(info != 0, torch.full_like(norm, math.inf), (norm * other)).nan_to_num(math.inf, math.inf, -math.inf)
    return result_of("cond", result, out)  # type: ignore[no-any-return]


# Rank, pseudo-inverse, least squares --------------------------------------------------------------------------------------------


def _tolerances(A: Tensor, atol: Any, rtol: Any) -> tuple[Tensor, Tensor]:  # noqa: N803
    """(atol, rtol) as tensors: rtol is eps times the larger size unless an atol is given."""
    real = A.real.dtype if A.is_complex() else A.dtype

    def make(x: Any) -> Tensor:
        x = x.to(real) if isinstance(x, Tensor) else torch.tensor(float(x), dtype=real, device=A.device)
        return x.expand(A.shape[:-2]) if x.dim() == 0 else x

    default = torch.finfo(A.dtype).eps * max(A.shape[-2:])
    absolute = make(0.0 if atol is None else atol)
    if rtol is not None:
        return absolute, make(rtol)
    if atol is None:
        return absolute, make(default)
    if isinstance(atol, Tensor):
        return absolute, torch.where(absolute > 0, torch.zeros_like(absolute), torch.full_like(absolute, default))
    return absolute, make(default if float(atol) <= 0 else 0.0)


@compose("linalg")
def matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """How many singular values are larger than ``max(atol, rtol * largest)``."""
    if isinstance(tol, bool):
        hermitian, tol = tol, None
    if A.dim() < 2:
        raise RuntimeError("torch.linalg.matrix_rank: The input tensor A must have at least 2 dimensions.")
    if not (A.is_floating_point() or A.is_complex()):
        raise RuntimeError("This function doesn't handle types other than float and double")
    if A.numel() == 0:
        return result_of("matrix_rank", torch.zeros(A.shape[:-2], dtype=torch.int64, device=A.device), out)  # type: ignore[no-any-return]
    if tol is not None:
        atol, rtol = tol, 0.0
    for t, what in ((atol, "atol"), (rtol, "rtol")):
        if isinstance(t, Tensor) and t.is_complex():
            raise RuntimeError(f"torch.linalg.matrix_rank: {what} tensor of complex type is not supported. Got {t.dtype.legacy}")
    with torch.no_grad():
        s = linalg.eigvalsh(A).abs() if hermitian else linalg.svdvals(A)
        absolute, relative = _tolerances(A, atol, rtol)
        largest = s.amax(-1)
        limit = torch.maximum(absolute, relative * largest)
        return result_of("matrix_rank", (s > limit.unsqueeze(-1)).sum(-1), out)  # type: ignore[no-any-return]


@compose("linalg")
def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """The pseudo-inverse; singular values up to ``max(atol, rtol * largest)`` count as zero."""
    if isinstance(rcond, bool):
        hermitian, rcond = rcond, None
    if A.dim() < 2 or not (A.is_floating_point() or A.is_complex()):
        raise RuntimeError(
            f"linalg.pinv({A.dtype.legacy}{{{list(A.shape)}}}): expected a tensor with 2 or more dimensions of float, double, cfloat or cdouble types"
        )
    if rcond is not None:
        atol, rtol = 0.0 if atol is None else atol, rcond
    absolute, relative = _tolerances(A, atol, rtol)
    return result_of("pinv", _pinv(A, absolute.detach(), relative.detach(), hermitian), out)  # type: ignore[no-any-return]


@compose("torch Tensor")
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """As ``linalg.pinv`` with ``rcond``."""
    return pinv(input, rcond)  # type: ignore[no-any-return]


@compose("linalg")
def lstsq(input: Tensor, b: Tensor, rcond: float | None = None, *, driver: str | None = None, out: Any = None) -> Any:
    """Least squares: (solution, residuals, rank, singular_values); the last three are filled as the driver would fill them."""
    A, B = input, b  # noqa: N806
    if driver is not None and driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss) but got " + str(driver)
        )
    found = _lstsq(A, B, rcond, driver or "gelsy")
    solution, residuals, rank, values = found
    if driver in ("gelsd", "gelss") and residuals.numel() and A.dim() >= 2:
        # LAPACK gives no residuals where a matrix has not full rank. That is a matter of shape, so the ranks are looked at.
        v = read(rank.detach())
        if not unknown(force(v)) and (numpy_of(v) < A.size(-1)).any():
            residuals = residuals.new_empty(0)
    kind = return_type("linalg_lstsq")
    return result_of("lstsq", kind(solution, residuals, rank, values.detach()), out)
