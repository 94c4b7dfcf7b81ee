"""How results of Fourier transforms lie in memory: what a transform goes along is innermost, and the other dims keep the order of their strides, as MKL's plans of torch have it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["complex_to_complex", "complex_to_real", "real_to_complex", "real_to_complex_and_rest"]

Strides = tuple[int, ...]


def _sorted(dims: Sequence[int], strides: Strides) -> list[int]:
    return sorted(dims, key=lambda d: -strides[d])


def _laid_out(shape: tuple[int, ...], strides: Strides, inner: Sequence[int]) -> Strides:
    """Strides of a result of ``shape``: the dims that are not ``inner`` by the input's strides, then those that are, in this order."""
    out, step = [0] * len(shape), 1
    for d in reversed([*_sorted([d for d in range(len(shape)) if d not in inner], strides), *inner]):
        out[d] = step
        step *= max(shape[d], 1)
    return tuple(out)


def _contiguous(shape: tuple[int, ...]) -> Strides:
    return tuple(math.prod(max(n, 1) for n in shape[i + 1 :]) for i in range(len(shape)))


def _padded(given: tuple[int, ...], strides: Strides, fitted: tuple[int, ...]) -> Strides:
    """Strides of a padded copy: contiguous, or channels_last as before."""
    images = [0, *range(2, len(given)), 1]
    last = len(given) in (4, 5) and strides == _laid_out(given, strides, images) != _contiguous(given)
    return _laid_out(fitted, strides, images) if last else _contiguous(fitted)


def _layout(steps: Callable[[tuple[int, ...], Strides, tuple[int, ...], list[int]], Strides]) -> Callable[..., Strides | None]:
    """The ``format`` of an operator whose arguments are those of ``fft`` or ``fftn``, of what ``steps`` does with (result's shape, strides, fitted input's shape, dims)."""

    def layout(shape: tuple[int, ...], strides: Any, shapes: Any, dim: Any, n: Any = None, s: Any = None, **_: Any) -> Strides | None:
        given, st = shapes[0], strides[0]
        count = len(given)
        sizes = [n] if isinstance(dim, int) else list(s) if s is not None else None
        dims = [dim] if isinstance(dim, int) else list(dim) if dim is not None else list(range(count - len(sizes) if sizes else 0, count))
        dims = [d % count for d in dims]
        if not dims:
            return None
        fitted = list(given)
        for d, size in zip(dims, sizes or [], strict=False):
            if size is not None and size != -1:
                fitted[d] = size
        if any(a > b for a, b in zip(fitted, given, strict=True)):
            st = _padded(tuple(given), tuple(st), tuple(fitted))
        out = steps(shape, tuple(st), tuple(fitted), dims)
        return None if out == _contiguous(shape) else out

    return layout


def _along(shape: tuple[int, ...], strides: Strides, fitted: tuple[int, ...], dims: list[int]) -> Strides:
    return _laid_out(shape, strides, _sorted(dims, strides))


def _halved(shape: tuple[int, ...], strides: Strides, fitted: tuple[int, ...], dims: list[int]) -> Strides:
    return _laid_out(shape, strides, [*_sorted(dims[:-1], strides), dims[-1]])


def _halved_first(shape: tuple[int, ...], strides: Strides, fitted: tuple[int, ...], dims: list[int]) -> Strides:
    first = _laid_out(shape, strides, dims[-1:])
    return _along(shape, first, fitted, dims[:-1]) if len(dims) > 1 else first


def _doubled(shape: tuple[int, ...], strides: Strides, fitted: tuple[int, ...], dims: list[int]) -> Strides:
    if len(dims) > 1:
        half = tuple(n // 2 + 1 if d == dims[-1] else n for d, n in enumerate(shape))
        strides = _along(half, strides, fitted, dims[:-1])
    return _laid_out(shape, strides, dims[-1:])


complex_to_complex = _layout(_along)
real_to_complex = _layout(_halved)
real_to_complex_and_rest = _layout(_halved_first)
complex_to_real = _layout(_doubled)
