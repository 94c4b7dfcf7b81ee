"""Functional writes through a view: a copy of the input with the view's elements replaced."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jtorch._registry import op

from . import views
from ._lib import cast, dim_of, dtype_of, place_type


def _fits(name: str, src: Any, shape: tuple[int, ...]) -> None:
    if tuple(src.shape) != tuple(shape):
        raise RuntimeError(f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = {list(shape)}")


@op("diagonal_scatter(Tensor input, Tensor src, int offset=0, int dim1=0, int dim2=1)", format="like")
def diagonal_scatter(input: Any, src: Any, offset: int, dim1: int, dim2: int) -> Any:
    """The input with ``src`` on a diagonal."""
    shape = views._diagonal_strides(input.shape, (0,) * input.ndim, 0, offset, dim1, dim2)[0]
    _fits("diagonal_scatter", src, shape)
    return views.put_generic(views.diagonal.fn, input, cast(src, dtype_of(input)), offset, dim1, dim2)


@op("select_scatter(Tensor input, Tensor src, int dim, index index)", format="like")
def select_scatter(input: Any, src: Any, dim: int, index: Any) -> Any:
    """The input with ``src`` in the place of one index of a dim."""
    d = dim_of(dim, input.ndim)
    _fits("select_scatter", src, (*input.shape[:d], *input.shape[d + 1 :]))
    return views.PUT["select"](input, cast(src, dtype_of(input)), dim, index)


@op("slice_scatter(Tensor input, Tensor src, int dim=0, int? start=None, int? end=None, int step=1)", format="like")
def slice_scatter(input: Any, src: Any, dim: int, start: int | None, end: int | None, step: int) -> Any:
    """The input with ``src`` in the place of a slice of a dim."""
    d = dim_of(dim, input.ndim)
    first, length = views.slice_bounds(input.shape[d], start, end, step)
    _fits("slice_scatter", src, (*input.shape[:d], length, *input.shape[d + 1 :]))
    return views.PUT["slice"](input, cast(src, dtype_of(input)), d, first, length, step)


@op("as_strided_scatter(Tensor input, Tensor src, int[] size, int[] stride, int offset)", where="internal")
def as_strided_scatter(input: Any, src: Any, size: Any, stride: Any, offset: int) -> Any:
    """The input with ``src`` at the places of its memory (taken as contiguous) that size and stride lead to."""
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    flat = input.reshape(-1)
    where = views.places_within(flat, size, stride, offset)
    _fits("as_strided_scatter", src, tuple(size))
    flat = flat.at[jnp.asarray(where.reshape(-1).astype(place_type(flat.size)))].set(cast(src.reshape(-1), dtype_of(input)))
    return flat.reshape(input.shape)
