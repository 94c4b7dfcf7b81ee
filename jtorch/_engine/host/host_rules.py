"""JAX's primitives on numpy arrays: what a process that must not touch XLA computes with. Names and parameters are those of jaxprs.

Results may differ from XLA's in the last digit of transcendental functions; everything else is exact. See ``host_executor.py`` for who uses it and why.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["ELEMENTWISE", "RULES", "greatest", "least", "rule", "wide"]

RULES: dict[str, Callable[..., Any]] = {}


def rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the function for these primitives."""

    def register(fn: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            RULES[name] = fn
        return fn

    return register


def _plain(fn: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **params: fn(*args)


def _is_int(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "iub"


def _divide(a: Any, b: Any, **params: Any) -> Any:
    if not _is_int(a):
        return np.true_divide(a, b)
    # XLA truncates; division by zero gives -1 there.
    quotient = np.floor_divide(np.abs(a), np.abs(np.where(b == 0, 1, b)))
    signed = np.where((a < 0) != (b < 0), -quotient.astype(np.asarray(a).dtype), quotient)
    return np.where(b == 0, -1, signed) if np.asarray(a).dtype.kind == "i" else np.where(b == 0, np.iinfo(np.asarray(a).dtype).max, signed)


def _remainder(a: Any, b: Any, **params: Any) -> Any:
    if not _is_int(a) or b.all():
        return np.fmod(a, b)
    return np.where(b == 0, a, np.fmod(a, np.where(b == 0, 1, b)))


def _round(x: Any, rounding_method: Any = 0, **params: Any) -> Any:
    if int(rounding_method) == 1:
        return np.rint(x)
    return np.trunc(x + np.copysign(np.where(np.abs(x) < 2.0**52, 0.5, 0), x))


def _bits(x: Any) -> Any:
    """The place of the highest bit that is set, from 1; 0 if none is."""
    x = np.asarray(x)
    x, found = x.view(f"u{x.dtype.itemsize}"), np.zeros(x.shape, x.dtype)
    while np.any(x):
        found, x = found + (x != 0).astype(found.dtype), x >> np.asarray(1, x.dtype)
    return found


def _logistic(x: Any, **params: Any) -> Any:
    return 1 / (1 + np.exp(-x))


_UNARY: dict[str, Callable[..., Any]] = {
    "abs": np.abs, "acos": np.arccos, "acosh": np.arccosh, "asin": np.arcsin, "asinh": np.arcsinh, "atan": np.arctan, "atanh": np.arctanh,
    "cbrt": np.cbrt, "ceil": np.ceil, "conj": np.conj, "cos": np.cos, "cosh": np.cosh, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1,
    "floor": np.floor, "imag": np.imag, "is_finite": np.isfinite, "log": np.log, "log1p": np.log1p, "log2": np.log2, "neg": np.negative, "not": np.invert,
    "real": np.real, "sign": np.sign, "sin": np.sin, "sinh": np.sinh, "sqrt": np.sqrt, "square": np.square, "tan": np.tan, "tanh": np.tanh,
    "rsqrt": lambda x: 1 / np.sqrt(x), "one_minus_square": lambda x: (1 + x) * (1 - x), "copy": lambda x: x, "copy_p": lambda x: x, "population_count": np.bitwise_count,
    "stop_gradient": lambda x: x, "optimization_barrier": lambda *xs: xs, "device_put": lambda *xs: xs,
    "sharding_constraint": lambda x: x, "clz": lambda x: x.dtype.itemsize * 8 - _bits(x),
}  # fmt: skip
_BINARY: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum, "pow": np.power, "atan2": np.arctan2,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "nextafter": np.nextafter, "add_any": np.add, "shift_left": np.left_shift,
    "shift_right_arithmetic": np.right_shift, "complex": lambda a, b: a + 1j * b,
    "le_to": lambda a, b: (a <= b) | np.isnan(b),
    "lt_to": lambda a, b: (a < b) | (np.isnan(b) & ~np.isnan(a)),
    "eq_to": lambda a, b: (a == b) | (np.isnan(a) & np.isnan(b)),
}  # fmt: skip
for _name, _fn in {**_UNARY, **_BINARY}.items():
    RULES[_name] = _plain(_fn)
RULES.update(
    div=_divide, rem=_remainder, round=_round, logistic=_logistic,
)  # fmt: skip

Kinds = tuple[np.dtype, ...]
Special = Callable[[Kinds, list[Any], dict[str, Any]], Callable[..., Any] | None]


def _always(fn: Callable[..., Any]) -> Special:
    return lambda kinds, values, params: fn


def _divides_here(whole: Callable[..., Any]) -> Special:
    """XLA's integers divide as numpy's do where the divisor is known, and not 0."""

    def special(kinds: Kinds, values: list[Any], params: dict[str, Any]) -> Callable[..., Any] | None:
        return whole if kinds[0].kind not in "iub" or (whole is np.fmod and values[1] is not None and bool(np.all(values[1]))) else None

    return special


def _converts_here(kinds: Kinds, values: list[Any], params: dict[str, Any]) -> Callable[..., Any] | None:
    wanted = np.dtype(params["new_dtype"])
    if wanted == np.bool_:
        return partial(np.not_equal, np.zeros((), kinds[0]))
    if (kinds[0].kind == "c" and wanted.kind != "c") or (wanted.kind in "iu" and kinds[0].kind not in "iub"):
        return None
    return _converter(wanted)


@functools.cache
def _converter(wanted: np.dtype) -> Callable[..., Any]:
    return lambda x: x.astype(wanted)


def _choose(which: Any, no: Any, yes: Any) -> Any:
    return np.where(which, yes, no)


def _between(low: Any, x: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, low), high)


ELEMENTWISE: dict[str, Special] = {name: _always(fn) for name, fn in {**_UNARY, **_BINARY}.items()}
ELEMENTWISE.update(
    div=_divides_here(np.true_divide), rem=_divides_here(np.fmod), convert_element_type=_converts_here, clamp=_always(_between), logistic=_always(_logistic),
    select_n=lambda kinds, values, params: _choose if len(kinds) == 3 and kinds[0] == np.bool_ else None,
    integer_pow=lambda kinds, values, params: np.square if params["y"] == 2 else None,
)  # fmt: skip
"""What gives each element from those of its inputs at the same place: the function of numpy arrays or numbers, by the inputs' types, their values where they are known, and the parameters; None if the rule is to be asked."""


@rule("shift_right_logical")
def _shift_right_logical(a: Any, b: Any, **params: Any) -> Any:
    kind = np.asarray(a).dtype
    unsigned = np.dtype(f"u{kind.itemsize}")
    return np.right_shift(np.asarray(a).view(unsigned), np.asarray(b).astype(unsigned)).view(kind)


@rule("polynomial")
def _polynomial(x: Any, *coefficients: Any, **params: Any) -> Any:
    """Horner's scheme; the coefficients rise."""
    found = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        found = found * x + c
    return found


@rule("integer_pow")
def _integer_pow(x: Any, *, y: int, **params: Any) -> Any:
    return np.power(x, np.asarray(y, np.asarray(x).dtype)) if y >= 0 else 1 / np.power(x, -y)


@rule("convert_element_type")
def _convert(x: Any, *, new_dtype: Any, **params: Any) -> Any:
    x, wanted = np.asarray(x), np.dtype(new_dtype)
    if x.dtype.kind == "c" and wanted.kind != "c":
        x = x.real
    if wanted == np.bool_:
        return x != 0
    if wanted.kind in "iu" and x.dtype.kind not in "iub":
        # XLA saturates and gives 0 for nan.
        limits = np.iinfo(wanted)
        wide = np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf)
        inside = np.clip(wide, float(limits.min), float(limits.max))
        safe = np.where(wide >= float(limits.max), 0, inside).astype(wanted)
        return np.where(wide >= float(limits.max), limits.max, safe).astype(wanted)
    return x.astype(wanted)


@rule("bitcast_convert_type")
def _bitcast(x: Any, *, new_dtype: Any, **params: Any) -> Any:
    x, wanted = np.asarray(x, order="C"), np.dtype(new_dtype)
    if wanted.itemsize == x.dtype.itemsize:
        return x.view(wanted)
    if wanted.itemsize < x.dtype.itemsize:
        return x[..., None].view(wanted)
    return x.view(wanted)[..., 0]


@rule("broadcast_in_dim")
def _broadcast_in_dim(x: Any, *, shape: Any, broadcast_dimensions: Any, **params: Any) -> Any:
    full = [1] * len(shape)
    for length, dim in zip(np.shape(x), broadcast_dimensions, strict=True):
        full[dim] = length
    return np.broadcast_to(np.reshape(x, full), shape)


@rule("reshape")
def _reshape(x: Any, *, new_sizes: Any, dimensions: Any = None, **params: Any) -> Any:
    return np.reshape(x if dimensions is None else np.transpose(x, dimensions), new_sizes)


@rule("reduce_precision")
def _reduce_precision(x: Any, *, exponent_bits: int, mantissa_bits: int, **params: Any) -> Any:
    narrow = {(5, 10): np.float16, (8, 7): ml_dtypes.bfloat16, (8, 23): np.float32, (11, 52): np.float64}[exponent_bits, mantissa_bits]
    return x if np.dtype(narrow).itemsize >= x.dtype.itemsize else x.astype(narrow).astype(x.dtype)


RULES["unstack"] = lambda x, *, axis, **params: [np.take(x, i, axis) for i in range(np.shape(x)[axis])]
RULES["squeeze"] = lambda x, *, dimensions, **params: np.squeeze(x, tuple(dimensions))
RULES["expand_dims"] = lambda x, *, dimensions, **params: np.expand_dims(x, tuple(dimensions))
RULES["transpose"] = lambda x, *, permutation, **params: np.transpose(x, permutation)
RULES["rev"] = lambda x, *, dimensions, **params: np.flip(x, tuple(dimensions))
RULES["concatenate"] = lambda *xs, dimension, **params: np.concatenate(xs, dimension)
RULES["stack"] = lambda *xs, axis=0, **params: np.stack(xs, params.get("dimension", axis))
RULES["tile"] = lambda x, *, reps, **params: np.tile(x, reps)
RULES["clamp"] = lambda low, x, high, **params: _between(low, x, high)


@rule("slice")
def _slice(x: Any, *, start_indices: Any, limit_indices: Any, strides: Any = None, **params: Any) -> Any:
    return x[tuple(slice(a, b, s) for a, b, s in zip(start_indices, limit_indices, strides or (1,) * np.ndim(x), strict=True))]


@rule("dynamic_slice")
def _dynamic_slice(x: Any, *starts: Any, slice_sizes: Any, **params: Any) -> Any:
    at = [min(max(int(s), 0), n - size) for s, n, size in zip(starts, np.shape(x), slice_sizes, strict=True)]
    return x[tuple(slice(a, a + size) for a, size in zip(at, slice_sizes, strict=True))]


@rule("dynamic_update_slice")
def _dynamic_update_slice(x: Any, update: Any, *starts: Any, **params: Any) -> Any:
    out = np.array(x)
    at = [min(max(int(s), 0), n - size) for s, n, size in zip(starts, np.shape(x), np.shape(update), strict=True)]
    out[tuple(slice(a, a + size) for a, size in zip(at, np.shape(update), strict=True))] = update
    return out


@rule("split")
def _split(x: Any, *, sizes: Any, axis: int, **params: Any) -> Any:
    return np.split(x, np.cumsum(sizes)[:-1], axis)


@rule("pad")
def _pad(x: Any, value: Any, *, padding_config: Any, **params: Any) -> Any:
    inner = [n + max(n - 1, 0) * gap for n, (_, _, gap) in zip(np.shape(x), padding_config, strict=True)]
    out = np.full([low + n + high for n, (low, high, _) in zip(inner, padding_config, strict=True)], value, np.asarray(x).dtype)
    place, take = [], []
    for n, whole, (low, _, gap) in zip(np.shape(x), out.shape, padding_config, strict=True):
        step = gap + 1
        first = max(-(low // step), 0) if low < 0 else 0
        kept = [i for i in range(first, n) if 0 <= low + i * step < whole]
        take.append(slice(kept[0], kept[-1] + 1) if kept else slice(0, 0))
        place.append(slice(low + kept[0] * step, low + kept[-1] * step + 1, step) if kept else slice(0, 0))
    out[tuple(place)] = x[tuple(take)]
    return out


@rule("iota")
def _iota(*, dtype: Any, shape: Any, dimension: int, **params: Any) -> Any:
    line = np.arange(shape[dimension]).astype(dtype)
    return np.broadcast_to(line.reshape([-1 if d == dimension else 1 for d in range(len(shape))]), shape)


@rule("select_n")
def _select_n(which: Any, *cases: Any, **params: Any) -> Any:
    if len(cases) == 2 and np.asarray(which).dtype == np.bool_:
        return np.where(which, cases[1], cases[0])
    return np.choose(np.broadcast_to(which, np.shape(cases[0])), cases)


def wide(x: Any) -> Any:
    """Halves are summed in float32."""
    return np.asarray(x, np.float32) if np.asarray(x).dtype in (np.float16, ml_dtypes.bfloat16) else x


def _reduction(fn: Callable[..., Any], initial: Callable[[np.dtype], Any] | None = None) -> Callable[..., Any]:
    def reduce(x: Any, *, axes: Any, **params: Any) -> Any:
        x = np.asarray(x)
        more = {"initial": initial(x.dtype)} if initial is not None and 0 in [x.shape[a] for a in axes] else {}
        kind = {} if fn in (np.max, np.min, np.all, np.any) else {"dtype": wide(x).dtype}
        return fn(x, axis=tuple(axes), **kind, **more)

    return reduce


def least(kind: np.dtype) -> Any:
    return False if kind == np.bool_ else np.iinfo(kind).min if kind.kind in "iu" else -np.inf


def greatest(kind: np.dtype) -> Any:
    return True if kind == np.bool_ else np.iinfo(kind).max if kind.kind in "iu" else np.inf


RULES.update(
    reduce_sum=_reduction(np.sum), reduce_prod=_reduction(np.prod), reduce_max=_reduction(np.max, least), reduce_min=_reduction(np.min, greatest),
    reduce_and=lambda x, *, axes, **params: np.bitwise_and.reduce(x, axis=tuple(axes)),
    reduce_or=lambda x, *, axes, **params: np.bitwise_or.reduce(x, axis=tuple(axes)),
    reduce_xor=lambda x, *, axes, **params: np.bitwise_xor.reduce(x, axis=tuple(axes)),
    argmax=lambda x, *, axes, **params: np.argmax(x, axis=axes[0]),
    argmin=lambda x, *, axes, **params: np.argmin(x, axis=axes[0]),
)  # fmt: skip


def _cumulative(ufunc: Any) -> Callable[..., Any]:
    def run(x: Any, *, axis: int, reverse: bool = False, **params: Any) -> Any:
        x = np.flip(x, axis) if reverse else x
        out = ufunc.accumulate(wide(x), axis=axis, dtype=wide(x).dtype)
        return np.flip(out, axis) if reverse else out

    return run


RULES.update(
    cumsum=_cumulative(np.add), cumprod=_cumulative(np.multiply), cummax=_cumulative(np.maximum), cummin=_cumulative(np.minimum),
    cumlogsumexp=_cumulative(np.logaddexp),
)  # fmt: skip


@rule("sort")
def _sort(*operands: Any, dimension: int, num_keys: int = 1, **params: Any) -> Any:
    keys = [wide(x) for x in operands[:num_keys]]  # numpy knows no order of the nan of a bfloat16
    if len(operands) == 1:
        return (np.sort(keys[0], axis=dimension, kind="stable"),)
    order = np.lexsort(keys[::-1], axis=dimension)
    return tuple(np.take_along_axis(x, order, dimension) for x in operands)


@rule("top_k")
def _top_k(x: Any, *, k: int, **params: Any) -> Any:
    order = np.argsort(np.invert(x) if np.asarray(x).dtype.kind in "iub" else -x, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(x, order, -1), order


@rule("dot_general")
def _dot_general(a: Any, b: Any, *, dimension_numbers: Any, **params: Any) -> Any:
    (contract_a, contract_b), (batch_a, batch_b) = dimension_numbers
    a, b = wide(a), wide(b)
    free_a = [d for d in range(a.ndim) if d not in contract_a and d not in batch_a]
    free_b = [d for d in range(b.ndim) if d not in contract_b and d not in batch_b]
    batch = [a.shape[d] for d in batch_a]
    left = a.transpose(*batch_a, *free_a, *contract_a).reshape(*batch, math.prod(a.shape[d] for d in free_a), -1 if a.size else math.prod(a.shape[d] for d in contract_a))
    right = b.transpose(*batch_b, *contract_b, *free_b).reshape(*batch, left.shape[-1], math.prod(b.shape[d] for d in free_b))
    return np.matmul(left, right).reshape((*batch, *(a.shape[d] for d in free_a), *(b.shape[d] for d in free_b)))


def _places(shape: Any, indices: Any, index_map: Any, batching: Any, index_batching: Any, sizes: Any, windows: Any) -> tuple[list[Any], Any]:
    """Index arrays (batch dims, then window dims) for each dim of the operand, and which batches lie inside."""
    indices = np.asarray(indices)
    outer = indices.shape[:-1]
    n_windows = len(windows)
    places, inside = [], np.ones(outer, bool)
    for dim in range(len(shape)):
        if dim in index_map:
            start = indices[..., list(index_map).index(dim)].astype(np.int64)
            inside &= (start >= 0) & (start <= shape[dim] - sizes[dim])
        elif dim in batching:
            axis = list(index_batching)[list(batching).index(dim)]
            start = np.arange(outer[axis]).reshape([-1 if a == axis else 1 for a in range(len(outer))])
        else:
            start = np.zeros((1,) * len(outer), np.int64)
        start = np.clip(start, 0, max(shape[dim] - sizes[dim], 0)).reshape(*np.shape(start), *[1] * n_windows)
        if dim in windows:
            at = list(windows).index(dim)
            start = start + np.arange(sizes[dim]).reshape([-1 if w == at else 1 for w in range(n_windows)])
        places.append(start)
    return places, inside


def _mode(mode: Any) -> str:
    name = str(getattr(mode, "name", mode)).lower()
    return "fill" if "fill" in name or "drop" in name else "clip"


@rule("gather")
def _gather(x: Any, indices: Any, *, dimension_numbers: Any, slice_sizes: Any, mode: Any = None, fill_value: Any = None, **params: Any) -> Any:
    d = dimension_numbers
    x = np.asarray(x)
    gone = (*d.collapsed_slice_dims, *d.operand_batching_dims)
    windows = [dim for dim in range(x.ndim) if dim not in gone]
    places, inside = _places(x.shape, indices, d.start_index_map, d.operand_batching_dims, d.start_indices_batching_dims, slice_sizes, windows)
    outer = np.shape(indices)[:-1]
    whole = (*outer, *(slice_sizes[dim] for dim in windows))
    if 0 in whole:
        out = np.zeros(whole, x.dtype)
    else:
        out = np.broadcast_to(x[tuple(places)], whole)
    if _mode(mode) == "fill" and not inside.all():
        if fill_value is None:
            fill_value = np.nan if x.dtype.kind not in "iub" else least(x.dtype) if x.dtype.kind == "i" else greatest(x.dtype)
        out = np.where(inside.reshape(*outer, *[1] * len(windows)), out, np.asarray(fill_value).astype(x.dtype))
    return np.moveaxis(out, range(len(outer), out.ndim), d.offset_dims)


def _scatter_rule(combine: Any) -> Callable[..., Any]:
    def scatter(x: Any, indices: Any, updates: Any, *, dimension_numbers: Any, mode: Any = None, **params: Any) -> Any:
        d = dimension_numbers
        out, updates = np.array(x), np.asarray(updates)
        gone = (*d.inserted_window_dims, *d.operand_batching_dims)
        windows = [dim for dim in range(out.ndim) if dim not in gone]
        outer = np.shape(indices)[:-1]
        moved = np.moveaxis(updates, d.update_window_dims, range(len(outer), updates.ndim))
        sizes = [1] * out.ndim
        for at, dim in enumerate(windows):
            sizes[dim] = moved.shape[len(outer) + at]
        places, inside = _places(out.shape, indices, d.scatter_dims_to_operand_dims, d.operand_batching_dims, d.scatter_indices_batching_dims, sizes, windows)
        places = [np.broadcast_to(p, moved.shape) for p in places]
        if _mode(mode) == "fill" and not inside.all():
            places = [p[inside] for p in places]
            moved = moved[inside]
        if combine is None:
            out[tuple(places)] = moved
        else:
            combine.at(out, tuple(places), moved)
        return out

    return scatter


RULES["scatter"] = _scatter_rule(None)
for _name, _ufunc in (("add", np.add), ("mul", np.multiply), ("min", np.minimum), ("max", np.maximum), ("sub", np.subtract)):
    RULES[f"scatter-{_name}"] = RULES[f"scatter_{_name}"] = _scatter_rule(_ufunc)


@rule("bcoo_todense")
def _to_dense(data: Any, indices: Any, *, spinfo: Any, **params: Any) -> Any:
    n_sparse, n_batch = np.shape(indices)[-1], np.ndim(indices) - 2
    out = np.zeros(spinfo.shape, np.asarray(data).dtype)
    batch = np.indices(np.shape(indices)[:-1])[:n_batch]
    places = tuple(batch) + tuple(indices[..., i] for i in range(n_sparse))
    inside = np.ones(np.shape(indices)[:-1], bool)
    for p, n in zip(places, out.shape, strict=False):
        inside &= (p >= 0) & (p < n)
    np.add.at(out, tuple(p[inside] for p in places), np.broadcast_to(data, (*np.shape(indices)[:-1], *np.shape(data)[n_batch + 1 :]))[inside])
    return out
