"""Arithmetic and pointwise functions of sparse tensors: on their values where zeros stay zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from jtorch._api._sparse import (
    coalesced,
    coordinates,
    entries,
    flat_keys,
    gather,
    host,
    layout_of,
    like,
    on_device,
    segment_sum,
    sparse_dims,
    transform,
    unflatten,
    values_of,
    with_values,
)
from jtorch._core.graph.sparse_history import link, renamed
from jtorch._core.graph.sparse_values import could_not_run, handles, make, make_loose, value_of
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._core.tensor.derived_functions import function_for
from jtorch._namespace import torch

_coo_add = function_for("internal.coo_add")


# --- of one tensor ----------------------------------------------------------------------------------------------

_UNARY = (
    "abs asin asinh atan atanh ceil deg2rad erf erfinv expm1 floor frac isinf isnan isneginf isposinf log1p nan_to_num rad2deg round sgn sign "
    "signbit sin sinh sqrt square tan tanh trunc relu"
).split()
_AS_IT_IS = ("neg", "conj_physical", "resolve_conj", "real")


def _node_name(name: str) -> str:
    return "".join(p.capitalize() for p in name.split("_")) + "Backward0"


def _unary(name: str, coalesces: bool) -> None:
    @handles(name)
    def run(input: Tensor, **rest: Any) -> Tensor:
        if coalesces and layout_of(input) == "sparse_coo":
            input = coalesced(input)
        if name == "square" and layout_of(input) != "sparse_coo":
            raise RuntimeError("unsupported tensor layout: SparseCsr")
        fn = getattr(torch, name)
        return transform(input, lambda v: fn(v, **rest), _node_name(name))


@handles("angle")
def angle(input: Tensor) -> Tensor:
    if layout_of(input) == "sparse_coo":
        raise could_not_run("angle", (input,))
    return transform(input, torch.angle, "AngleBackward0")


for _part, _op in (("real", "real_part"), ("imag", "imag_part"), ("conj", "conj_view")):

    @handles(_op)
    def part(input: Tensor, _fn: Any = getattr(torch, _part), _name: str = _part) -> Tensor:
        return transform(input, lambda v: _fn(v).clone(), _node_name(_name))


for _name in _UNARY:
    _unary(_name, True)
for _name in _AS_IT_IS:
    _unary(_name, False)


@handles("pow")
def pow(input: Any = None, exponent: Any = None, **rest: Any) -> Tensor:
    if not isinstance(input, Tensor) or value_of(input) is None or isinstance(exponent, Tensor):
        raise could_not_run("pow", [a for a in (input, exponent, *rest.values()) if isinstance(a, Tensor)])
    return transform(coalesced(input), lambda v: v**exponent, "PowBackward0")


# --- of two -----------------------------------------------------------------------------------------------------


def _same_size(a: Tensor, b: Tensor) -> None:
    if aval_of(a).shape != aval_of(b).shape:
        raise RuntimeError(f"add: expected sizes of 'self' and 'other' to match, but {list(aval_of(a).shape)} != {list(aval_of(b).shape)}")


def _scaled(g: Tensor, alpha: Any) -> Tensor:
    return g if alpha.__class__ is int and alpha == 1 else g * alpha  # type: ignore[operator]


@handles("accumulate")
def accumulate(a: Tensor, b: Tensor) -> Tensor:
    """The sum of two gradients: as :func:`add`, but places that both have are joined once somebody looks, so that sizes stay what they are."""
    return add(a, b, wait=False)


@handles("add")
def add(input: Any, other: Any, alpha: Any = 1, wait: bool = True) -> Tensor:
    """sparse + sparse is sparse, dense + sparse is dense."""
    first = value_of(input) if isinstance(input, Tensor) else None
    second = value_of(other) if isinstance(other, Tensor) else None
    if second is None:
        if layout_of(input) != "sparse_coo":
            return _add_to_dense(_scaled(other, alpha), input, 1)
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    if first is None:
        return _add_to_dense(input, other, alpha)
    _same_size(input, other)
    if layout_of(input) != layout_of(other):
        raise could_not_run("add", (input, other))
    with torch.no_grad():
        if layout_of(input) == "sparse_coo":
            out = _sum_of_coo(first, second, alpha, wait)
        else:
            out = _sum_of_compressed(input, other, alpha)
    return link("AddBackward0", out, (input, lambda g: g), (other, lambda g: _scaled(g, alpha)))


def _add_to_dense(dense: Any, sparse: Tensor, alpha: Any) -> Tensor:
    size = list(dense.shape) if isinstance(dense, Tensor) else []
    v: Any = value_of(sparse)
    if tuple(size) != v.aval.shape:
        raise RuntimeError(
            f"add: expected 'self' and 'other' to have same size, but self has size {size} while other has size {list(v.aval.shape)} "
            "(FYI: dense-sparse addition does not currently support broadcasting)"
        )
    i, values = v.loose or (coordinates(v), entries(v, v.parts[-1]))
    kind = torch.result_type(dense, values)
    with torch.no_grad():
        out = _coo_add(dense.detach().to(kind), i, _scaled(values, alpha).to(kind))
    return link("AddBackward0", out, (dense, lambda g: g), (sparse, lambda g: _scaled(g, alpha)))


def _sum_of_coo(a: Any, b: Any, alpha: Any, wait: bool) -> Tensor:
    dims = sparse_dims(a)
    if sparse_dims(b) != dims:
        raise RuntimeError(
            f"add: expected 'self' and 'other' to have same number of sparse dimensions, but 'self' has {dims} sparse dimensions while 'other' has {sparse_dims(b)} sparse dimensions"
        )
    size = a.aval.shape[:dims]
    kind = torch.promote_types(a.aval.dtype, b.aval.dtype)
    both = a.coalesced and b.coalesced
    if not wait and not both and (a.loose or b.loose or a.parts[0]._s is not b.parts[0]._s):
        (ia, xa), (ib, xb) = a.loose or a.parts, b.loose or b.parts
        side_by_side = torch.cat([ia, ib], 1), torch.cat([xa.to(kind), _scaled(xb, alpha).to(kind)])

        def exact() -> Any:
            with torch.no_grad():
                return value_of(_sum_of_coo(a, b, alpha, True)).parts  # type: ignore[union-attr]

        return make_loose(side_by_side, a.aval.shape, exact)
    (ka, va), (kb, vb) = _keyed(a, size), _keyed(b, size)
    va, vb = va.to(kind), _scaled(vb, alpha).to(kind)
    if len(ka) == len(kb) == va.shape[0] == vb.shape[0] and (ka == kb).all():
        return make("sparse_coo", (a.parts[0], va + vb), a.aval.shape, both)
    keys, at_a, at_b = _zipped(ka, kb)
    n = len(keys)
    spare = [np.zeros(x.shape[0] - len(k), np.int64) for x, k in ((va, ka), (vb, kb))]  # zeros, which may go anywhere
    position = on_device(np.concatenate([at_a, spare[0], at_b, spare[1]]), a)
    if both or n <= _FEW:
        out = segment_sum(torch.cat([va, vb]), position, n)
        return make("sparse_coo", (on_device(unflatten(keys, size), a), out), a.aval.shape, both)
    room = 1 << (n - 1).bit_length()
    out = segment_sum(torch.cat([va, vb]), position, room)
    indices = unflatten(np.pad(keys, (0, room - n)), size)
    t = make_loose((on_device(indices, a), out), a.aval.shape, lambda: (on_device(indices[:, :n], a), out[:n]))
    value_of(t).memo["keys"] = keys  # type: ignore[union-attr]
    return t


_FEW = 64  # sums of more places than this have room for a power of two, so that one that grows in every step does not compile in every step


def _keyed(v: Any, size: Any) -> tuple[np.ndarray, Any]:
    """(a number for each place, values): more values than numbers where there is room, zeros in it."""
    keys = v.memo.get("keys")
    if keys is not None and v.loose is not None:
        return keys, v.loose[1]
    return flat_keys(host(v.parts[0]), size), v.parts[1]


def _zipped(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(keys of the sum, where each of ``a`` and of ``b`` went): one pass over both, equal heads joined, as torch does whether or not they
    are in order.
    """
    if (np.diff(a) > 0).all() and (np.diff(b) > 0).all():
        keys = np.union1d(a, b)
        return keys, np.searchsorted(keys, a), np.searchsorted(keys, b)
    keys_out: list[int] = []
    at_a, at_b = np.zeros(len(a), np.int64), np.zeros(len(b), np.int64)
    i = j = 0
    la, lb = a.tolist(), b.tolist()
    while i < len(la) or j < len(lb):
        take_a = j >= len(lb) or (i < len(la) and la[i] <= lb[j])
        take_b = i >= len(la) or (j < len(lb) and lb[j] <= la[i])
        keys_out.append(la[i] if take_a else lb[j])
        if take_a:
            at_a[i] = len(keys_out) - 1
            i += 1
        if take_b:
            at_b[j] = len(keys_out) - 1
            j += 1
    return np.array(keys_out, np.int64), at_a, at_b


def _sum_of_compressed(a: Tensor, b: Tensor, alpha: Any) -> Tensor:
    va, vb = value_of(a), value_of(b)
    assert va is not None and vb is not None
    if all(x.shape == y.shape and (host(x) == host(y)).all() for x, y in zip(va.parts[:2], vb.parts[:2])):
        return like(va, va.parts[2] + _scaled(vb.parts[2], alpha))
    name = layout_of(a)
    block = tuple(va.parts[2].shape[-2:]) if name in ("sparse_bsr", "sparse_bsc") else None
    both = add(a.detach().to_sparse(), b.detach().to_sparse(), alpha)  # type: ignore[attr-defined]
    return both.to_sparse(layout=va.aval.layout, blocksize=block)  # type: ignore[attr-defined,no-any-return]


@handles("sub")
def sub(input: Any, other: Any, alpha: Any = 1) -> Tensor:
    return renamed("SubBackward0", add(input, other, -alpha))


@handles("rsub")
def rsub(input: Any, other: Any, alpha: Any = 1) -> Tensor:
    return add(other if isinstance(other, Tensor) else torch.tensor(other), input, -alpha)


def _scaled_loose(t: Tensor, number: Any) -> Tensor | None:
    """A sum that has room, times a number, with the same room."""
    v: Any = value_of(t)
    if v.loose is None or "keys" not in v.memo:
        return None
    i, values = v.loose
    out = make_loose((i, values * number), v.aval.shape, lambda: (v.parts[0], v.parts[1] * number))
    value_of(out).memo["keys"] = v.memo["keys"]  # type: ignore[union-attr]
    return out


@handles("mul")
def mul(input: Any, other: Any) -> Tensor:
    """By a number or a 0-dim tensor, by a dense tensor (its elements at these places), or by a sparse one (the places that both have)."""
    if not isinstance(input, Tensor) or value_of(input) is None:
        input, other = other, input
    if not isinstance(other, Tensor) or (value_of(other) is None and not aval_of(other).shape):
        if not isinstance(other, Tensor) and not input.requires_grad and (loose := _scaled_loose(input, other)) is not None:  # type: ignore[attr-defined]
            return loose
        return transform(input, lambda v: v * other, "MulBackward0")
    v = value_of(input)
    assert v is not None
    size = v.aval.shape
    if value_of(other) is None:
        spread = other if aval_of(other).shape == size else torch.broadcast_to(other, size)
        return transform(input, lambda x: x * gather(spread, coordinates(v)).reshape(v.parts[-1].shape), "MulBackward0")
    if aval_of(other).shape != size:
        raise RuntimeError(
            f"mul: expected 'self' and 'other' to have same sizes when sparse, but {list(size)} != {list(aval_of(other).shape)}"
        )
    name = layout_of(input)
    a, b = coalesced(torch.Tensor.to_sparse(input)), coalesced(torch.Tensor.to_sparse(other))
    va: Any = value_of(a)
    vb: Any = value_of(b)
    dims = sparse_dims(va)
    keys, at_a, at_b = np.intersect1d(
        flat_keys(host(va.parts[0]), size[:dims]), flat_keys(host(vb.parts[0]), size[:dims]), True, return_indices=True
    )
    values = values_of(a).index_select(0, on_device(at_a, va)) * values_of(b).index_select(0, on_device(at_b, vb))  # type: ignore[operator]
    where = make("sparse_coo", (on_device(unflatten(keys, size[:dims]), va), values), size, True)
    out = with_values(value_of(where), values, "MulBackward0")  # type: ignore[arg-type]
    return out if name == "sparse_coo" else out.to_sparse(layout=v.aval.layout)  # type: ignore[attr-defined,no-any-return]


def _divided(name: str, input: Any, other: Any, **rest: Any) -> Tensor:
    if not isinstance(input, Tensor) or value_of(input) is None:
        raise could_not_run(name, [a for a in (input, other) if isinstance(a, Tensor)])
    if isinstance(other, Tensor) and (value_of(other) is not None or aval_of(other).shape):
        raise RuntimeError(
            f"Sparse division requires a scalar or zero-dim dense tensor divisor (got shape {list(aval_of(other).shape)} for divisor)"
        )
    if layout_of(input) != "sparse_coo":
        raise RuntimeError("unsupported tensor layout: SparseCsr")
    rounded = name == "floor_divide" or rest.get("rounding_mode") is not None
    fn = getattr(torch, name)
    return transform(coalesced(input) if rounded else input, lambda v: fn(v, other, **rest), "DivBackward0")


@handles("div")
def div(input: Any, other: Any, **rest: Any) -> Tensor:
    return _divided("div", input, other, **{k: v for k, v in rest.items() if v is not None})


@handles("floor_divide")
def floor_divide(input: Any, other: Any) -> Tensor:
    return _divided("floor_divide", input, other)
