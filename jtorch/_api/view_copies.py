"""``torch.x_copy`` for each view ``x``: the view's elements in memory of their own."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.graph.node import OpNode, node_repr
from jtorch._core.graph.refused import NOT_DIFFERENTIABLE, refuse_backward
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, layout
from jtorch._core.tensor.derived_functions import function_for, write_out
from jtorch._errors import not_implemented
from jtorch._namespace import torch


def _clone(view: Tensor, source: Tensor, name: str) -> Tensor:
    """A copy whose node is named, and shows its inputs, as the one operator that it is in torch."""
    made: Tensor = view.clone(memory_format=torch.contiguous_format)  # type: ignore[attr-defined]
    if isinstance(made._edge, OpNode):
        made._edge.__class__ = _class_of_copy(name or f"{made._edge.edges[0].__class__.__name__}_copy", view is source)
    return made


@functools.cache
def _class_of_copy(name: str, plain: bool) -> Any:
    shown = {} if plain else {"next_functions": property(lambda node: node.edges[0].next_functions)}
    return type(name, (OpNode,), {"__slots__": (), "__module__": "torch.autograd.graph", "__repr__": node_repr, **shown})


_NAMES = {"alias_copy": "AliasBackward0_copy", "slice_copy": "SliceBackward0_copy", "narrow_copy": "NarrowCopyBackward0"}  # where the view's node has another


def _copied(name: str, take: Any) -> None:
    @compose("torch", name=name, doc=f"What ``{name.removesuffix('_copy')}`` shows, in memory of its own.")
    def copy(input: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        found = take(input, *args, **kwargs)
        if isinstance(found, tuple):
            made: Any = tuple(_clone(f, input, _NAMES.get(name, "")) for f in found)
            if out is None:
                return made
            for r, o in zip(made, out, strict=True):
                write_out(name, r, o)
            return None
        made = _clone(found, input, _NAMES.get(name, ""))
        if name == "detach_copy":
            refuse_backward((made,), (input,), NOT_DIFFERENTIABLE, name)
        return made if out is None else write_out(name, made, out)


for _name in (
    "as_strided", "diagonal", "expand", "permute", "select", "squeeze", "t", "transpose", "unsqueeze", "unfold", "view", "view_as_real",
    "view_as_complex", "detach", "indices", "values", "crow_indices", "col_indices", "ccol_indices", "row_indices",
):  # fmt: skip
    _copied(f"{_name}_copy", lambda x, *args, _name=_name, **kwargs: getattr(x, _name)(*args, **kwargs) if hasattr(x, _name) else getattr(torch, _name)(x, *args, **kwargs))


def _narrow(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """As ``narrow``, whose other checks come first here."""
    s = x.shape
    if s and dim >= len(s):
        raise RuntimeError(
            "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false.  "
            "(Could this error message be improved?  If so, please report an enhancement request to PyTorch.)"
        )
    if s and -len(s) <= dim and length < 0:
        n = s[dim]
        raise RuntimeError(f"start ({start + n if -n <= start < 0 else start}) + length ({length}) exceeds dimension size ({n}).")
    return torch.narrow(x, dim, start, length)  # type: ignore[no-any-return]


_copied("narrow_copy", _narrow)
_copied("alias_copy", lambda x: x)
_copied("unbind_copy", lambda x, dim=0: x.unbind(dim))
_copied("split_copy", lambda x, split_size, dim=0: x.split(split_size, dim))
_copied("split_with_sizes_copy", lambda x, split_sizes, dim=0: torch.split_with_sizes(x, split_sizes, dim))
_copied("slice_copy", lambda x, dim=0, start=None, end=None, step=1: x[(slice(None),) * (dim % max(x.dim(), 1)) + (slice(start, end, step),)])
Tensor.narrow_copy = torch.narrow_copy


_as_strided_scatter = function_for("internal.as_strided_scatter")


@compose("torch Tensor")
def as_strided_scatter(input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A copy of the input, of its memory as it lies there, with ``src`` in the places that size and stride lead to."""
    shape, strides, start = layout(input)
    offset = start if storage_offset is None else storage_offset
    plain = input.is_contiguous()
    if input.requires_grad and not plain:
        raise RuntimeError(
            "!self.requires_grad() || self.is_contiguous() INTERNAL ASSERT FAILED, please report a bug to PyTorch. "
            "as_strided_scatter is currently only supported for contiguous inputs"
        )
    if plain and offset >= start:
        return _as_strided_scatter(input, src, size, stride, offset - start)  # type: ignore[no-any-return]
    if input.requires_grad or src.requires_grad:
        not_implemented("as_strided_scatter with gradients, of an input that is not contiguous or into memory before it", "use input.contiguous()")
    if tuple(src.shape) != tuple(size):
        raise RuntimeError(f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = {list(size)}")
    need = start + 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    memory = torch.as_strided(input, (need,), (1,), 0).clone()
    torch.as_strided(memory, size, stride, offset).copy_(src)
    return torch.as_strided(memory, shape, strides, start)  # type: ignore[no-any-return]


@compose("linalg")
def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """``torch.diagonal`` of the last two dims."""
    return A.diagonal(offset, dim1, dim2)


def _triangle(name: str, upper: bool) -> None:
    @compose("torch", name=name, doc=f"The (2, n) rows and columns of the {'upper' if upper else 'lower'} triangle of a row x col matrix, from the diagonal ``offset`` on.")
    def indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None) -> Tensor:
        import numpy as np

        from jtorch._core.tensor.creation import from_array

        if row < 0 or col < 0:
            raise RuntimeError(f"{'row' if row < 0 else 'col'} must be non-negative, got{row if row < 0 else col}")
        kind = torch.int64 if dtype is None else dtype
        if kind not in (torch.int64, torch.int32):
            raise NotImplementedError(f'"{name}" not implemented for \'{kind.legacy}\'')
        found = np.triu_indices(row, offset, col) if upper else np.tril_indices(row, offset, col)
        return from_array(np.stack(found).astype(kind.np), None, device)


_triangle("tril_indices", False)
_triangle("triu_indices", True)


@compose("torch", in_python=True)
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Flat positions as one index tensor for each dim of ``shape``."""
    if indices.is_complex() or indices.is_floating_point() or indices.dtype is torch.bool:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    if isinstance(shape, Sequence):
        for s in shape:
            if not isinstance(s, int):
                raise TypeError(f"expected 'shape' sequence to only contain ints, but got {type(s)}")
    elif not isinstance(shape, int):
        raise TypeError(f"expected 'shape' to be int or sequence of ints, but got {type(shape)}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(s < 0 for s in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    out, rest = [], indices.to(torch.int64)  # that of the sizes, beside which it is divided
    for s in reversed(sizes):
        out.append(rest % s)
        rest = rest // s
    return tuple(reversed(out))


@compose("torch")
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False, out: Any = None) -> Tensor:
    """For each element, whether it is among ``test_elements``. Tensors or (one of them) a number."""
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise TypeError("isin(): at least one of elements and test_elements must be a Tensor")
    for x in (elements, test_elements):
        if isinstance(x, Tensor) and (aval_of(x).dtype.is_complex or aval_of(x).dtype.np == "bool"):
            raise RuntimeError(f"Unsupported input type encountered for isin(): {aval_of(x).dtype.legacy}")
    like = elements if isinstance(elements, Tensor) else test_elements
    a = elements if isinstance(elements, Tensor) else torch.tensor(elements, device=like.device)
    b = test_elements if isinstance(test_elements, Tensor) else torch.tensor(test_elements, device=like.device)
    if not b.numel():
        found = torch.zeros(a.shape, dtype=torch.bool, device=a.device)
    else:
        found = (a.unsqueeze(-1) == b.reshape(-1)).any(-1)
    found = ~found if invert else found
    return found if out is None else write_out("isin", found, out, "exact")  # type: ignore[no-any-return]


