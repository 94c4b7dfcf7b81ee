"""Jacobians for ``gradcheck``: by differences, by backward, by forward mode, each a matrix (elements of the input, elements of the output)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._public import torch

from . import forward_ad
from ._passes import grad

__all__ = ["as_tuple", "backward_jacobian", "differentiable", "directions", "forward_direction", "forward_jacobians", "numeric_direction", "numeric_jacobian", "wanted"]


def as_tuple(x: Any) -> tuple[Any, ...]:
    """``x`` in a tuple unless it is several already."""
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def differentiable(outputs: Any) -> tuple[Any, ...]:
    """The outputs that require grad."""
    return tuple(o for o in as_tuple(outputs) if isinstance(o, Tensor) and o.requires_grad)


def wanted(inputs: Any) -> list[Any]:
    """The inputs that require grad."""
    return [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]


def _dense(t: Any) -> Any:
    return t.to_dense() if t.layout != torch.strided else t


def _numbers(t: Any) -> np.ndarray:
    return np.array(_dense(t.detach()).resolve_conj().resolve_neg().numpy()).reshape(-1)


def numeric_jacobian(func: Any, inputs: Any, x: Any, k: int, eps: float, masked: bool) -> np.ndarray:
    """The Jacobian of output ``k`` by central differences. ``x`` itself is given other elements, as ``func`` may know it by another name;
    its own are neither written nor counted as written, so graphs made before stay good.

    A complex input gives ``d/d(re) + i d/d(im)``, which is what backward gives for a real output. Where ``masked``, only elements that a sparse input specifies change.
    """
    plain = x.detach()
    sparse = plain.layout != torch.strided
    elements = np.array(_dense(plain).numpy())
    free = torch.sparse_coo_tensor(plain._indices(), torch.ones_like(plain._values()), plain.shape).to_dense().numpy() if sparse and masked and plain.is_sparse else None

    def at(i: int, value: Any) -> Any:
        changed = elements.copy()
        changed.flat[i] = value
        new = torch.from_numpy(changed)
        if sparse:
            block = plain.values().shape[1:3] if plain.layout in (torch.sparse_bsr, torch.sparse_bsc) else None
            new = new.to_sparse(layout=plain.layout, blocksize=block) if not plain.is_sparse else new.to_sparse(plain.sparse_dim())
        return _with_elements(func, inputs, x, k, new)

    parts = []
    for step in (eps, 1j * eps) if plain.is_complex() else (eps,):
        rows: list[np.ndarray] = []
        for i in range(elements.size):
            if free is not None and not free.flat[i]:
                rows.append(np.zeros_like(rows[0]) if rows else 0 * _numbers(at(i, elements.flat[i])))
                continue
            old = elements.flat[i]
            rows.append(_difference(at(i, old + step), at(i, old - step), eps, f"on index {tuple(map(int, np.unravel_index(i, elements.shape)))} "))
        parts.append(np.array(rows))
    if len(parts) == 1:
        return parts[0]
    return parts[0] + 1j * parts[1]


def _with_elements(func: Any, inputs: Any, x: Any, k: int, new: Any) -> Any:
    """Output ``k`` where ``x`` has the elements of ``new``."""
    own, other = (x._s, x._view), new.detach()
    x._s, x._view = other._s, other._view
    try:
        return as_tuple(func(*inputs))[k].clone()
    finally:
        x._s, x._view = own


def _difference(after: Any, before: Any, eps: float, where: str = "") -> np.ndarray:
    for what in ("shape", "dtype"):
        a, b = getattr(before, what), getattr(after, what)
        if a != b:
            raise AssertionError(f"Expected `func` to return outputs with the same {what} when inputs are perturbed {where}by {eps}, but got: {what}s {a} and {b}.")
    return (_numbers(after) - _numbers(before)) / (2 * eps)  # type: ignore[no-any-return]


def directions(tensors: Any) -> list[np.ndarray] | None:
    """A direction of length 1 for each of these, without negative elements; None if one is sparse, complex or not of double precision."""
    if any(t.layout != torch.strided or t.dtype is not torch.float64 for t in tensors):
        return None
    draw = np.random.RandomState(0)  # noqa: NPY002  (torch's generator stays as it is)
    found = [np.asarray(draw.random_sample(tuple(t.shape))) for t in tensors]
    return [np.asarray(u / max(float(np.linalg.norm(u)), 1e-300)) for u in found]  # (arithmetic on 0-dim arrays gives numbers)


def numeric_direction(func: Any, inputs: Any, x: Any, k: int, eps: float, along: np.ndarray) -> np.ndarray:
    """The derivative of output ``k`` along a direction of ``x``, by central differences."""
    elements = np.array(x.detach().numpy())
    after, before = (_with_elements(func, inputs, x, k, torch.from_numpy(np.asarray(elements + step * along))) for step in (eps, -eps))
    return _difference(after, before, eps)


def forward_direction(func: Any, inputs: Any, n: int, along: np.ndarray) -> list[Any]:
    """(value, tangent) of each floating output by forward mode along a direction of input ``n``."""
    return duals(func, inputs, {n: torch.from_numpy(along)})


def backward_jacobian(out: Any, inputs: list[Any]) -> tuple[list[np.ndarray], bool, bool]:
    """The Jacobians of one output by backward, whether gradients have their inputs' types, and their sizes."""
    found = [np.zeros((x.numel(), out.numel()), np.complex128 if x.is_complex() else np.float64) for x in inputs]
    types = sizes = True
    for j in range(out.numel()):
        seed = torch.zeros_like(out, memory_format=torch.contiguous_format)
        seed.view(-1)[j] = 1
        for n, (g, x) in enumerate(zip(grad(out, inputs, seed, retain_graph=True, allow_unused=True), inputs, strict=True)):
            if g is None:
                continue
            types &= g.dtype is x.dtype
            sizes &= g.size() == x.size()
            if g.size() == x.size():
                column = _numbers(g)
                found[n][:, j] = column if found[n].dtype.kind == "c" else column.real
    return found, types, sizes


def forward_jacobians(func: Any, inputs: Any, outs: int) -> tuple[list[list[np.ndarray]], bool]:
    """[input][output] Jacobians by forward mode, and whether tangents have their outputs' types."""
    found: list[list[np.ndarray]] = []
    types = True
    for n, x in enumerate(inputs):
        if not (isinstance(x, Tensor) and x.requires_grad):
            continue
        rows: list[list[np.ndarray]] = [[] for _ in range(outs)]
        for i in range(x.numel()):
            tangent = torch.zeros_like(x, memory_format=torch.contiguous_format)
            tangent.view(-1)[i] = 1
            for k, (value, found_tangent) in enumerate(duals(func, inputs, {n: tangent})[:outs]):
                if found_tangent is None:
                    rows[k].append(np.zeros(value.numel(), value.detach().numpy().dtype))
                else:
                    types &= found_tangent.dtype is value.dtype
                    rows[k].append(_numbers(found_tangent))
        found.append([np.array(r) for r in rows])
    return found, types


def duals(func: Any, inputs: Any, tangents: dict[int, Any]) -> list[Any]:
    """(primal, tangent) of each floating output of ``func`` with these tangents; other inputs that require grad have a tangent of zeros, or, where it is None, none."""
    with forward_ad.dual_level():
        given = [x.detach() if n in tangents and tangents[n] is None else _dual(x, tangents.get(n)) for n, x in enumerate(inputs)]
        outs = [o for o in as_tuple(func(*given)) if isinstance(o, Tensor) and (o.is_floating_point() or o.is_complex())]
        return [forward_ad.unpack_dual(o) for o in outs]


def _dual(x: Any, tangent: Any) -> Any:
    if not isinstance(x, Tensor) or not x.requires_grad:
        return x
    plain = x.detach()
    return forward_ad.make_dual(plain, torch.zeros_like(plain) if tangent is None else tangent)


def tangents_of(func: Callable[..., Any], inputs: Any, at: int, tangent: Any) -> tuple[Any, ...]:
    """The tangents of the outputs when input ``at`` alone has one, with zeros for what does not depend on it."""
    with forward_ad.dual_level():
        given = [forward_ad.make_dual(x.detach(), tangent) if n == at else x.detach() if isinstance(x, Tensor) else x for n, x in enumerate(inputs)]
        found = [forward_ad.unpack_dual(o) for o in as_tuple(func(*given)) if o is not None]
        return tuple(torch.zeros((), dtype=p.dtype).expand(p.shape) if t is None else t for p, t in found)
