"""Composites over arithmetic and reductions: equal, allclose, norm, cov, gradient, histogramdd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch._core.dispatch.checked_arguments import tensor_argument
from jtorch._core.dispatch.composites import compose
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.tensor.derived_functions import function_for, write_out
from jtorch._core.tensor.return_types import return_type
from jtorch._namespace import linalg, torch

_cov = function_for("internal.cov")
_grid_even = function_for("internal._histogramdd_even")
_grid_edges = function_for("internal._histogramdd_edges")


@compose("torch Tensor")
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have one shape and equal elements. Runs what is pending."""
    tensor_argument("equal", "input", 1, input)
    tensor_argument("equal", "other", 2, other)
    if input.device != other.device:
        found = f"{input.device} and {other.device}"
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, {found}!")
    if input.dtype is torch.complex32:
        raise NotImplementedError("\"equal_cpu\" not implemented for 'ComplexHalf'")
    return input.shape == other.shape and bool(torch.eq(input.detach(), other.detach()).all())


@compose("torch Tensor")
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether ``isclose`` holds everywhere. Runs what is pending."""
    tensor_argument("allclose", "input", 1, input)
    tensor_argument("allclose", "other", 2, other)
    return bool(torch.isclose(input.detach(), other.detach(), rtol, atol, equal_nan).all())


def _norm(input: Tensor, p: Any, dim: Any, keepdim: bool, dtype: Any) -> Tensor:
    if input.is_sparse and not dim and not keepdim:  # type: ignore[attr-defined]
        input = input.coalesce().values()  # type: ignore[attr-defined]
        dim, p = None, 2 if p in ("fro", None) else p
    if isinstance(dim, int):
        dim = (dim,)
    if p in ("fro", None):
        # The Frobenius norm of one dim, or of everything, is the 2-norm.
        if dim is None or len(dim) <= 1:
            return linalg.vector_norm(input, 2, dim if dim else None, keepdim, dtype=dtype)  # type: ignore[no-any-return]
        if p == "fro":
            return linalg.matrix_norm(input, "fro", dim, keepdim, dtype=dtype)  # type: ignore[no-any-return]
        p = 2
    if isinstance(p, str):
        if dim is None:
            if input.dim() == 1 and p == "nuc":
                raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
            dim = tuple(range(input.dim()))
        return linalg.matrix_norm(input, p, tuple(dim), keepdim, dtype=dtype)  # type: ignore[no-any-return]
    return linalg.vector_norm(input, p, dim if dim is None or len(dim) else None, keepdim, dtype=dtype)  # type: ignore[no-any-return]


@compose("torch", in_python=True)
def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Tensor | None = None, dtype: Any = None) -> Tensor:
    """The p-norm over dims (all by default); "fro" and "nuc" are matrix norms. ``torch.linalg`` has the modern forms."""
    result = _norm(input, p, dim, keepdim, dtype)
    return result if out is None else write_out("norm", result, out)  # type: ignore[no-any-return]


@compose("Tensor", name="norm")
def norm_method(self: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """See :func:`torch.norm`."""
    return _norm(self, p, dim, keepdim, dtype)


@compose("torch Tensor")
def cov(input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Tensor:
    """The covariance matrix of the rows. Weights are looked at: negative ones are a RuntimeError."""
    result = _cov(input, correction=correction, fweights=fweights, aweights=aweights)
    for name, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is not None and bool((weights.detach() < 0).any()):
            raise RuntimeError(f"cov(): {name} cannot be negative")
    given = [w.detach() for w in (fweights, aweights) if w is not None]
    if given and given[0].numel() and not bool((given[0] if len(given) == 1 else given[0] * given[1]).sum()):
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    return result  # type: ignore[no-any-return]


@compose("Tensor", name="float_power_")
def float_power_inplace(self: Tensor, exponent: Any) -> Tensor:
    """``float_power`` in place, for float64 and complex128 tensors only."""
    wanted = torch.complex128 if self.is_complex() or isinstance(exponent, complex) or (
        isinstance(exponent, Tensor) and exponent.is_complex()) else torch.float64  # fmt: skip
    if self.dtype is not wanted:
        names = {torch.float64: "Double", torch.complex128: "ComplexDouble"}
        raise RuntimeError(
            f"the base given to float_power_ has dtype {_legacy(self)} but the operation's result requires dtype {names[wanted]}"
        )
    return self.pow_(exponent)  # type: ignore[attr-defined,no-any-return]


def _legacy(x: Tensor) -> str:
    return str(x.dtype.legacy)


def _histogram_dims(input: Tensor) -> int:
    if input.dim() < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    return int(input.shape[-1])


@compose("torch")
def histogramdd(
    input: Tensor, bins: Any, range: Any = None, weight: Tensor | None = None, density: bool = False, *, out: Any = None
) -> Any:
    """The histogram of (..., D) points over D dims. ``bins``: one number, D numbers, or D tensors of edges."""
    dims = _histogram_dims(input)
    if isinstance(bins, int):
        bins = (bins,) * dims
    if len(bins) and isinstance(bins[0], Tensor):
        if len(bins) != dims:
            raise RuntimeError(
                f"torch.histogramdd: expected {dims} sequences of bin edges for a {dims}-dimensional histogram but got {len(bins)}"
            )
        hist, edges = _grid_edges(input, tuple(bins), weight, density), tuple(bins)
    else:
        if len(bins) != dims:
            raise RuntimeError("histogramdd: The size of bins must be equal to the innermost dimension of the input.")
        hist, *found = _grid_even(input, tuple(bins), None if range is None else tuple(range), weight, density)
        edges = tuple(found)
    if out is not None:
        write_out("histogramdd", (hist, *edges), (out[0], *out[1]))
        return out
    return return_type("histogramdd")(hist, edges)


def _gradient_dims(input: Tensor, dim: Any, count: int | None, edge_order: int) -> list[int]:
    """The dims to differentiate along, checked as torch does."""
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    if input.dtype is torch.uint8:
        raise RuntimeError("torch.gradient does not support uint8 input.")
    n = input.dim()
    named = None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if count is not None and count != (n if named is None else len(named)):
        both = "a scalar or it's spacing and dim arguments to have the same length"
        wanted = f"a scalar, or a sequence of length {n}" if named is None else both
        got = f"a spacing argument of length {count}" + ("" if named is None else f" and a dim argument of length {len(named)}")
        raise RuntimeError(f"torch.gradient expected spacing to be unspecified, {wanted}, but got {got}.")
    dims: list[int] = []
    for d in builtin_range(n) if named is None else named:
        if not -max(n, 1) <= d < max(n, 1):
            raise IndexError(f"Dimension out of range (expected to be in range of [{-max(n, 1)}, {max(n, 1) - 1}], but got {d})")
        if d % n in dims:
            raise RuntimeError(f"dim {d % n} appears multiple times in the list of dims")
        dims.append(d % n)
    for d in dims:
        if input.shape[d] < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    return dims


builtin_range = range


def _along(x: Tensor, d: int, a: int, b: int | None) -> Tensor:
    size = int(x.shape[d])
    start = a + size if a < 0 else a
    stop = size if b is None else b + size if b < 0 else b
    return torch.narrow(x, d, start, stop - start)  # type: ignore[no-any-return]


def _even_gradient(x: Tensor, d: int, h: Any, edge_order: int) -> Tensor:
    """Central differences inside, one-sided ones of the given order at the ends, for points ``h`` apart."""
    middle = (_along(x, d, 2, None) - _along(x, d, 0, -2)) / (2 * h)
    if edge_order == 1:
        first = (_along(x, d, 1, 2) - _along(x, d, 0, 1)) / h if x.shape[d] > 2 else (_along(x, d, 1, None) - _along(x, d, 0, 1)) / h
        last = (_along(x, d, -1, None) - _along(x, d, -2, -1)) / h
    else:
        size = x.shape[d]
        x0, x1, x2 = (_along(x, d, i, i + 1 if i + 1 < size else None) for i in (0, 1, 2))
        first = (-3 * x0 + 4 * x1 - x2) / (2 * h)
        y0, y1, y2 = _along(x, d, -1, None), _along(x, d, -2, -1), _along(x, d, -3, -2)
        last = (3 * y0 - 4 * y1 + y2) / (2 * h)
    return torch.cat((first, middle, last), d)  # type: ignore[no-any-return]


def _uneven_gradient(x: Tensor, d: int, points: Tensor, edge_order: int) -> Tensor:
    """The same on given points, weighted by both neighbours' distances (second order)."""
    shape = [1] * x.dim()
    shape[d] = -1
    h = torch.diff(points)
    n = int(h.shape[0])
    before, after = (h[a:b].reshape(shape) for a, b in ((0, n - 1), (1, n)))
    low = -after / (before * (before + after))
    mid = (after - before) / (before * after)
    high = before / (after * (before + after))
    middle = low * _along(x, d, 0, -2) + mid * _along(x, d, 1, -1) + high * _along(x, d, 2, None)
    if edge_order == 1:
        first = (_along(x, d, 1, None if x.shape[d] == 2 else 2) - _along(x, d, 0, 1)) / h[0]
        last = (_along(x, d, -1, None) - _along(x, d, -2, -1)) / h[-1]
    else:
        a, b = h[0], h[1]
        size = x.shape[d]
        x0, x1, x2 = (_along(x, d, i, i + 1 if i + 1 < size else None) for i in (0, 1, 2))
        first = -(2 * a + b) / (a * (a + b)) * x0 + (a + b) / (a * b) * x1 - a / (b * (a + b)) * x2
        a, b = h[-2], h[-1]
        y0, y1, y2 = _along(x, d, -1, None), _along(x, d, -2, -1), _along(x, d, -3, -2)
        last = (2 * b + a) / (b * (a + b)) * y0 - (a + b) / (a * b) * y1 + b / (a * (a + b)) * y2
    return torch.cat((first, middle, last), d)  # type: ignore[no-any-return]


@compose("torch")
def gradient(input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Numerical derivatives along each of ``dim`` (all by default); ``spacing``: a step, one for each dim, or tensors of points."""
    many: Sequence[Any] | None = spacing if isinstance(spacing, (list, tuple)) else None
    if isinstance(spacing, Tensor) and spacing.dim():
        raise TypeError("gradient() received an invalid combination of arguments: spacing must be a number or a sequence, not Tensor")
    dims = _gradient_dims(input, dim, None if many is None else len(many), edge_order)
    steps = [1 if spacing is None else spacing] * len(dims) if many is None else list(many)
    for step in steps:
        if isinstance(step, Tensor) and step.device != input.device:
            raise RuntimeError(
                f"torch.gradient expected each tensor to be on the same device, but got devices {input.device} and {step.device}!"
            )
    uneven = [isinstance(step, Tensor) and step.dim() > 0 for step in steps]
    return tuple(
        (_uneven_gradient if u else _even_gradient)(input, d, step, edge_order) for d, step, u in zip(dims, steps, uneven, strict=True)
    )
