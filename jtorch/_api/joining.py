"""Composites of joining and products: einsum, tensordot, meshgrid, block_diag, combinations, diag."""

from __future__ import annotations

from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.tensor.derived_functions import function_for
from jtorch._errors import warn_once
from jtorch._namespace import torch

_einsum = function_for("internal.einsum")
_tensordot = function_for("internal.tensordot")
_chain_matmul = function_for("internal.chain_matmul")
_cartesian_prod = function_for("internal.cartesian_prod")
_combinations = function_for("internal.combinations")
_block_diag = function_for("internal.block_diag")


def flat_tensors(tensors: Any) -> tuple[Any, ...]:
    """``f(a, b)`` and ``f([a, b])`` alike."""
    return tuple(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tuple(tensors)


def each(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """What is given one by one. TypeError for a list."""
    for i, x in enumerate(tensors):
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}")
    return tensors


def _label(i: Any) -> str:
    if i is Ellipsis:
        return "..."
    if not 0 <= i < 52:
        raise ValueError("subscript in subscript list is not within the valid range [0, 52)")
    return chr(ord("A") + i) if i < 26 else chr(ord("a") + i - 26)


def _equation_first(*args: Any) -> tuple[Any, ...]:
    """``(equation, operand, ...)`` from any of the forms of einsum."""
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its subscripts list"
        )
    if not isinstance(args[0], Tensor):
        return args[0], *flat_tensors(args[1:])
    operands = args[0 : len(args) - len(args) % 2 : 2]
    equation = ",".join("".join(map(_label, s)) for s in args[1::2][: len(operands)])
    if len(args) % 2:
        equation += "->" + "".join(map(_label, args[-1]))
    return equation, *operands


@compose("torch", seen=_equation_first, in_python=True)
def einsum(*args: Any) -> Tensor:
    """Sums of products: ``einsum("ij,jk->ik", a, b)``, or ``einsum(a, [0, 1], b, [1, 2], [0, 2])``. All operands have one type."""
    return _einsum(args[0], args[1:])  # type: ignore[no-any-return]


@compose("torch", in_python=True)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Contracts ``dims`` last dims of ``a`` with the first of ``b``, or the pairs that two lists name."""
    if isinstance(dims, Tensor):
        dims = dims.tolist() if dims.numel() > 1 else int(dims.item())
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.dim(), b.dim()):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        left: Any = tuple(range(-dims, 0))
        right: Any = tuple(range(dims))
    else:
        if len(dims) != 2:
            raise RuntimeError(f"tensordot expects dims to be int or tuple[list[int], list[int]] or list[list[int]] containing two lists, but got dims={dims}")
        left, right = ((d,) if isinstance(d, int) else tuple(d) for d in dims)
    return _tensordot(a, b, left, right) if out is None else _tensordot(a, b, left, right, out=out)  # type: ignore[no-any-return]


@compose("torch")
def chain_matmul(*matrices: Any, out: Tensor | None = None) -> Tensor:
    """The product of matrices in the cheapest order."""
    warn_once(
        "torch.chain_matmul is deprecated and will be removed in a future PyTorch release. Use torch.linalg.multi_dot instead, which accepts a list of two or more tensors "
        "rather than multiple parameters."
    )
    given = each(matrices)
    return _chain_matmul(given) if out is None else _chain_matmul(given, out=out)  # type: ignore[no-any-return]


@compose("torch")
def block_diag(*tensors: Any) -> Tensor:
    """Matrices along the diagonal of one."""
    given = each(tensors)
    if not given:
        return torch.zeros(1, 0)  # type: ignore[no-any-return]
    for i, t in enumerate(given):
        if t.device != given[0].device:
            raise RuntimeError(f"Input tensors must all be on the same device. Input 0 is on device {given[0].device} and input {i} is on device {t.device}.")
    return _block_diag(given)  # type: ignore[no-any-return]


@compose("torch")
def cartesian_prod(*tensors: Any) -> Tensor:
    """Every combination of one element from each vector, as rows."""
    given = each(tensors)
    if not given:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    return _cartesian_prod(given)  # type: ignore[no-any-return]


@compose("torch")
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Each vector expanded over the grid that they span: "ij" as matrices are indexed, "xy" with the first two swapped."""
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if indexing is None:
        warn_once("torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.")
    given = flat_tensors(tensors)
    if not given:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for t in given:
        if t.dtype != given[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
        if t.device != given[0].device:
            raise RuntimeError("meshgrid expects all tensors to have the same device")
        if t.dim() > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {t}")
    shape = [t.numel() for t in given]
    grids = [t.reshape([-1 if d == i else 1 for d in range(len(given))]).expand(shape) for i, t in enumerate(given)]
    if indexing == "xy" and len(given) >= 2:
        grids = [g.swapdims(0, 1) for g in grids]
    return tuple(grids)


@compose("torch")
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All sets of ``r`` elements of a vector, as rows."""
    return _combinations(input, r, with_replacement)  # type: ignore[no-any-return]


@compose("torch Tensor")
def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """A vector as the diagonal of a matrix, or a copy of a matrix' diagonal."""
    if input.dim() not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.dim()}D")
    result = torch.diag_embed(input, diagonal) if input.dim() == 1 else torch.diagonal_copy(input, diagonal)
    if out is None:
        return result  # type: ignore[no-any-return]
    from jtorch._core.tensor.derived_functions import write_out

    return write_out("diag", result, out)  # type: ignore[no-any-return]
