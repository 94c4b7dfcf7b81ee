"""A padded value: an array with one axis for each *factor* of each logical dim.

The valid elements of an axis are its first ones, as many as the factor's true size; what lies behind them may be anything. A dim that is a product
of symbols, as ``(b, n, d) -> (b * n, d)`` makes it, keeps its factors as axes of their own: no data moves, and what is valid stays a prefix of each axis.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .dims import Frame, is_symbolic, product, quotient

__all__ = ["Layout", "Padded", "arrays_of", "fit", "is_one", "masked", "plain", "regroup", "single", "standard", "unified", "valid", "whole"]


class Layout:
    """For each logical dim the tuple of its factors. Interned: programs are looked up by them."""

    __slots__ = ("dims",)
    dims: tuple[tuple[Any, ...], ...]

    @staticmethod
    @functools.lru_cache(None)
    def of(dims: tuple[tuple[Any, ...], ...]) -> Layout:
        made = Layout()
        made.dims = dims
        return made


class Padded:
    """``dims``: for each logical dim its factors; ``array`` has an axis for each."""

    __slots__ = ("array", "dims")

    def __init__(self, array: Any, dims: tuple[tuple[Any, ...], ...]) -> None:
        self.array, self.dims = array, dims

    @property
    def factors(self) -> list[Any]:
        return [f for d in self.dims for f in d]

    def axes(self, i: int) -> list[int]:
        """The axes of logical dim ``i``."""
        first = sum(len(d) for d in self.dims[:i])
        return list(range(first, first + len(self.dims[i])))

    def axes_of(self, dims: Iterable[int]) -> list[int]:
        return [a for i in dims for a in self.axes(i)]


def arrays_of(values: Any) -> Any:
    """A list or tuple with the arrays of its padded values in their place. Anything else itself."""
    return values.__class__([v.array if v.__class__ is Padded else v for v in values]) if values.__class__ in (list, tuple) else values


jax.tree_util.register_pytree_node(Padded, lambda p: ((p.array,), Layout.of(p.dims)), lambda layout, arrays: Padded(arrays[0], layout.dims))


def single(shape: Iterable[Any]) -> tuple[tuple[Any, ...], ...]:
    """Each dim as one axis."""
    return tuple([(d,) for d in shape])


def plain(p: Padded) -> bool:
    """Whether the array is the value as it is, with nothing padded."""
    return not any(len(d) != 1 or is_symbolic(d[0]) for d in p.dims)


def valid(f: Frame, p: Padded, axes: Sequence[int] | None = None) -> Any:
    """True where an element is inside its true size along ``axes`` (default: all); None if nothing is padded there."""
    mask: Any = None
    for axis, factor in enumerate(p.factors):
        if is_symbolic(factor) and (axes is None or axis in axes):
            kind = np.int32 if p.array.shape[axis] < 1 << 31 else np.int64
            inside = lax.broadcasted_iota(kind, p.array.shape, axis) < f.true(factor).astype(kind)
            mask = inside if mask is None else mask & inside
    return mask


def masked(f: Frame, p: Padded, fill: Any, axes: Sequence[int] | None = None) -> Any:
    """The array with ``fill`` in the padding of ``axes`` (default: all)."""
    mask = valid(f, p, axes)
    return p.array if mask is None else jnp.where(mask, p.array, jnp.asarray(fill, p.array.dtype))


def fit(array: Any, axis: int, length: int) -> Any:
    """The array with an axis cut or lengthened at its end."""
    have = array.shape[axis]
    if have > length:
        return lax.slice_in_dim(array, 0, length, axis=axis)
    if have < length:
        return lax.pad(array, jnp.zeros((), array.dtype), [(0, length - have if i == axis else 0, 0) for i in range(array.ndim)])
    return array


def whole(f: Frame, p: Padded, dims: Iterable[int] | None = None) -> Padded:
    """One axis for each of these logical dims (default: all)."""
    for i in range(len(p.dims)) if dims is None else dims:
        if len(p.dims[i]) != 1:
            p = _joined(f, p, i)
    return p


def standard(f: Frame, p: Padded, shape: Sequence[Any]) -> Padded:
    """One axis for each dim, as long as the room of ``shape`` says."""
    p = whole(f, p)
    array = p.array
    for axis, d in enumerate(shape):
        array = fit(array, axis, f.pad(d))
    return Padded(array, single(shape))


def _flat(array: Any, first: int, count: int) -> Any:
    shape = array.shape
    return array.reshape(*shape[:first], product(shape[first : first + count]), *shape[first + count :])


def _joined(f: Frame, p: Padded, i: int) -> Padded:
    axes, factors = p.axes(i), p.dims[i]
    d = product(factors)
    array = p.array
    if not axes:
        array = jnp.expand_dims(array, sum(len(x) for x in p.dims[:i]))
    elif any(map(is_symbolic, factors[1:])):
        array = _taken(f, array, axes[0], factors, [array.shape[a] for a in axes], lax.iota(np.int64, f.pad(d)))
    else:  # only the first is padded: end to end, the valid elements come first
        array = fit(_flat(array, axes[0], len(axes)), axes[0], f.pad(d))
    return Padded(array, (*p.dims[:i], (d,), *p.dims[i + 1 :]))


def _taken(f: Frame, array: Any, first: int, factors: Sequence[Any], lengths: Sequence[int], at: Any) -> Any:
    """Elements of the axes ``first``, ... (these factors) by their numbers ``at`` in the true value, as axes in their place."""
    place, step = None, 1
    for k in range(len(factors) - 1, -1, -1):
        if k:
            at, c = at // f.true(factors[k]), at % f.true(factors[k])
        else:
            c = at
        place = c * step if place is None else place + c * step
        step *= lengths[k]
    return jnp.take(_flat(array, first, len(factors)), place, axis=first, mode="clip")


# ---- reshape -----------------------------------------------------------------------------------------------------------------


def regroup(f: Frame, p: Padded, shape: Sequence[Any]) -> Padded:
    """The value in another shape. Axes stay what they are where the new dims are products of them; elsewhere elements are laid out anew."""
    factors = [(x, n) for x, n in zip(p.factors, p.array.shape, strict=True) if is_symbolic(x) or x != 1]
    array = p.array.reshape([n for _, n in factors])
    wanted = [i for i, d in enumerate(shape) if is_symbolic(d) or d != 1]
    dims: list[tuple[Any, ...]] = [(1,)] * len(shape)
    lengths: dict[int, list[int]] = {i: [1] for i in range(len(shape)) if i not in wanted}
    at = 0  # axes of ``array`` that are done
    while factors or wanted:
        a, b = _group(factors, [shape[i] for i in wanted])
        part, targets = factors[:a], wanted[:b]
        factors, wanted = factors[a:], wanted[b:]
        given = _assigned(part, [shape[i] for i in targets])
        if given is None:
            sizes = [f.pad(shape[i]) for i in targets]
            number: Any = np.int64(0)
            for k, i in enumerate(targets):
                number = number * f.true(shape[i]) + lax.broadcasted_iota(np.int64, sizes, k)
            array = _taken(f, array, at, [x for x, _ in part], [n for _, n in part], number)
            given = [[(shape[i], n)] for i, n in zip(targets, sizes, strict=True)]
        else:
            parts = [n for got in given for _, n in got]
            array = array.reshape(*array.shape[:at], *parts, *array.shape[at + len(part) :])
        for i, got in zip(targets, given, strict=True):
            dims[i], lengths[i] = tuple([x for x, _ in got]), [n for _, n in got]
            at += len(got)
    return Padded(array.reshape([n for i in range(len(shape)) for n in lengths[i]]), tuple(dims))


def _group(factors: list[Any], shape: list[Any]) -> tuple[int, int]:
    """How many factors and how many dims hold the same elements: the fewest."""
    for total in range(2, len(factors) + len(shape) + 1):
        for a in range(max(1, total - len(shape)), min(total - 1, len(factors)) + 1):
            if product([x for x, _ in factors[:a]]) == product(shape[: total - a]):
                return a, total - a
    return len(factors), len(shape)


def _assigned(factors: list[Any], shape: list[Any]) -> list[list[Any]] | None:
    """For each dim the factors (with their lengths) that it is made of, static ones split where they must be; None if elements would have to move."""
    rest, out = list(factors), []
    for d in shape:
        got: list[Any] = []
        have: Any = 1
        while not have == d:
            if not rest:
                return None
            x, n = rest.pop(0)
            if not is_symbolic(x):
                need = quotient(d, have)
                if need is None:
                    return None
                if not is_symbolic(need) and x > need:
                    if x % need:
                        return None
                    rest.insert(0, (x // need, x // need))
                    x = n = need
            have = have * x
            if got and not is_symbolic(x) and not is_symbolic(got[-1][0]):
                x, n = got[-1][0] * x, got[-1][1] * n
                got[-1] = (x, n)
            else:
                got.append((x, n))
        out.append(got)
    return None if rest else out


# ---- operands of one shape -----------------------------------------------------------------------------------------------------


def unified(f: Frame, ps: Sequence[Padded], shape: Sequence[Any]) -> tuple[list[Padded], tuple[tuple[Any, ...], ...]]:
    """Operands that broadcast to a logical ``shape`` (or have no dims) with the same axes of the same length."""
    full = [k for k, p in enumerate(ps) if p.dims]
    if not full:
        return list(ps), ()
    out = list(ps)
    dims: list[tuple[Any, ...]] = []
    for i, d in enumerate(shape):
        wide = full if not is_symbolic(d) and d == 1 else [k for k in full if not is_one(out[k].dims[i])]
        if len({tuple(map(str, out[k].dims[i])) for k in wide}) > 1:
            for k in wide:
                out[k] = whole(f, out[k], [i])
        dims.append(out[wide[0]].dims[i])
        least = [min(out[k].array.shape[a] for k, a in zip(wide, each, strict=True)) for each in zip(*[out[k].axes(i) for k in wide], strict=True)]
        for k in full:
            p, axes = out[k], out[k].axes(i)
            array = p.array
            if k in wide:
                for a, n in zip(axes, least, strict=True):
                    array = fit(array, a, n)
            else:  # of size 1 among others: it is broadcast
                first = sum(len(x) for x in p.dims[:i])
                array = array.reshape(*array.shape[:first], *[1] * len(least), *array.shape[first + len(axes) :])
                array = jnp.broadcast_to(array, (*array.shape[:first], *least, *array.shape[first + len(least) :]))
            out[k] = Padded(array, (*p.dims[:i], dims[i], *p.dims[i + 1 :]))
    return out, tuple(dims)


def is_one(dims: tuple[Any, ...]) -> bool:
    """Whether a dim is of size 1."""
    return all(not is_symbolic(d) and d == 1 for d in dims)
