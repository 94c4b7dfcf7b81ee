"""``torch.vmap``: one lane is written, all are computed. Every operator is applied to all lanes at once by ``jax.vmap`` of its function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

from jtorch._core.backward.levels import enter_lanes, leave_lanes
from jtorch._core.graph.node import next_seq
from jtorch._core.storage.bare_tensor import alias_of
from jtorch._core.storage.view_steps import aval_of, read, view_elsewhere
from jtorch._core.storage.write_counts import written_since
from jtorch._engine.values.lanes import Level, lanes_of
from jtorch._engine.values.thread_state import state
from jtorch._errors import not_implemented
from jtorch._public import torch
from jtorch.utils._pytree import _broadcast_to_and_flatten, tree_flatten, tree_map, tree_unflatten

__all__ = ["vmap"]

Tensor = torch.Tensor


def _name(func: Any) -> str:
    if hasattr(func, "__name__"):
        return str(func.__name__)
    if isinstance(func, functools.partial):
        return f"functools.partial({_name(func.func)}, ...)"
    return repr(func)


def vmap(func: Any, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None) -> Callable[..., Any]:
    """``func`` over a dim of its tensors, which it does not see. ``randomness``: "error", "same" or "different" numbers in the lanes; ``chunk_size`` lanes at a time.

    ValueError where dims do not fit; RuntimeError where a value is looked at inside. Source: https://docs.pytorch.org/docs/stable/generated/torch.func.vmap.html
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        def check(x: Any) -> Any:
            if not isinstance(x, int) and x is not None:
                raise ValueError(
                    f"vmap({_name(func)}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of ints representing where in the outputs the vmapped dimension should appear."
                )
            return x

        if not isinstance(out_dims, int):
            tree_map(check, out_dims)
        size, dims, flat, spec = _inputs(func, in_dims, args)
        if chunk_size is None or chunk_size >= size:
            return _run(func, size, dims, flat, spec, out_dims, randomness, kwargs)
        pieces = [x if d is None else x.split(chunk_size, d) for x, d in zip(flat, dims, strict=True)]
        parts, found, out_spec = [], None, None
        generator = torch.get_rng_state() if randomness == "same" else None  # every piece draws the same numbers
        for k, start in enumerate(range(0, size, chunk_size)):
            given = [p if d is None else p[k] for p, d in zip(pieces, dims, strict=True)]
            if generator is not None:
                torch.set_rng_state(generator)
            out = _run(func, min(chunk_size, size - start), dims, given, spec, out_dims, randomness, kwargs)
            found, out_spec = tree_flatten(out)
            parts.append(found)
        where = _out_dims(func, tree_unflatten(parts[0], out_spec), out_dims)  # type: ignore[arg-type]
        return tree_unflatten([each[0] if d is None else torch.cat(list(each), d) for each, d in zip(zip(*parts, strict=True), where, strict=True)], out_spec)  # type: ignore[arg-type]

    return wrapped


def _inputs(func: Any, in_dims: Any, args: tuple[Any, ...]) -> tuple[int, list[Any], list[Any], Any]:
    start = f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(f"{start}expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, got: {type(in_dims)}.")
    if not args:
        raise ValueError(
            f"vmap({_name(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function with no inputs. The latter is unsupported."
        )
    flat, spec = tree_flatten(args)
    dims = _broadcast_to_and_flatten(in_dims, spec)
    if dims is None:
        raise ValueError(
            f"{start}in_dims is not compatible with the structure of `inputs`. in_dims has structure {tree_flatten(in_dims)[1]} but inputs has structure {spec}."
        )
    dims = list(dims)
    for i, (x, d) in enumerate(zip(flat, dims, strict=True)):
        if d is None:
            continue
        if not isinstance(d, int):
            raise ValueError(f"{start}Got in_dim={d} for an input but in_dim must be either an integer dimension or None.")
        if not isinstance(x, Tensor):
            raise ValueError(
                f"{start}Got in_dim={d} for an input but the input is of type {type(x)}. We cannot vmap over non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -x.dim() <= d < x.dim():
            raise ValueError(
                f"{start}Got in_dim={d} for some input, but that input is a Tensor of dimensionality {x.dim()} so expected in_dim to satisfy -{x.dim()} <= in_dim < {x.dim()}."
            )
        dims[i] = d % x.dim()
    sizes = [x.size(d) for x, d in zip(flat, dims, strict=True) if d is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(s != sizes[0] for s in sizes):
        raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the mapped dimension")
    return sizes[0], dims, flat, spec


def _out_dims(func: Any, out: Any, out_dims: Any) -> list[Any]:
    spec = tree_flatten(out)[1]

    def refuse() -> NoReturn:
        raise ValueError(
            f"vmap({_name(func)}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of `outputs`. "
            f"out_dims has structure {tree_flatten(out_dims)[1]} but outputs has structure {spec}."
        )

    if isinstance(out, Tensor):
        if isinstance(out_dims, int) or out_dims is None:
            return [out_dims]
        if isinstance(out_dims, tuple) and len(out_dims) == 1:
            return list(out_dims)
        refuse()
    found = _broadcast_to_and_flatten(out_dims, spec)
    if found is None:
        refuse()
    return list(found)


def _run(func: Any, size: int, dims: list[Any], flat: list[Any], spec: Any, out_dims: Any, randomness: str, kwargs: Any) -> Any:
    moved = [x if d is None else x.movedim(d, 0) if d else x for x, d in zip(flat, dims, strict=True)]
    since = next_seq()
    with Level(size, randomness, (state.trace, len(state.trace.outputs)), since) as level:
        return _through(func, level, moved, dims, flat, spec, out_dims, kwargs)


def _through(func: Any, level: Level, moved: list[Any], dims: list[Any], flat: list[Any], spec: Any, out_dims: Any, kwargs: Any) -> Any:
    """The function in the lanes of a level that has been entered, and what leaves it."""
    since = level.since
    inside = [x if d is None else enter_lanes(x, level, d) for x, d in zip(moved, dims, strict=True)]
    before, state.lanes = state.lanes, (*state.lanes, level)
    try:
        out = func(*tree_unflatten(inside, spec), **kwargs)
    finally:
        state.lanes = before
    outs, out_spec = tree_flatten(out)
    where = _out_dims(func, out, out_dims)
    name = _name(func)
    for t, d in zip(outs, where, strict=True):
        if d is None and isinstance(t, Tensor) and lanes_of(read(t), level) is not None:
            raise ValueError(f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None")
        if d is not None and not isinstance(t, Tensor):
            raise ValueError(f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(t)}. Did you mean to set out_dims= to None for output?")
    for x, d, t in zip(flat, dims, inside, strict=True):
        if d is not None and t._view is not None:
            _restride(x, d, t, level, since)
        elif d is not None and written_since(t._s, 0):  # written in place
            (new,) = leave_lanes([t], level, since)
            x.copy_(new.movedim(0, d) if d else new)
    at = [i for i, d in enumerate(where) if d is not None]
    shared = [_as_it_came(outs[i], flat, dims, moved, inside, level) for i in at]
    made = iter(leave_lanes([outs[i] for i, s in zip(at, shared, strict=True) if s is None], level, since))
    for i, s in zip(at, shared, strict=True):
        d, t = where[i], next(made) if s is None else s
        if not -t.dim() <= d < t.dim():
            raise IndexError(f"Dimension out of range (expected to be in range of [{-t.dim()}, {t.dim() - 1}], but got {d})")
        outs[i] = t.movedim(0, d) if d else t
    return tree_unflatten(outs, out_spec)


def _view_of_all(t: Any, m: Any, level: Level) -> Any:
    """All lanes of a view of a lane of ``m``, as a view of ``m``; None where it is no matter of strides."""
    found = view_elsewhere(t, aval_of(m).shape[1:], m.stride()[1:], m.storage_offset())
    lanes = lanes_of(read(t), level)
    if found is None or lanes is None or aval_of(m).dtype is not aval_of(t).dtype:
        return None
    shape, strides, offset = found
    out = (m if m._edge is None else m.detach()).as_strided((level.size, *shape), (m.stride(0), *strides), offset)
    if out._view is not None:  # its elements are known: they are gathered by the strides only once somebody has written
        out._view.value, out._view.seen = lanes, out._s.version
    return out


def _restride(x: Any, d: int, t: Any, level: Level, since: int) -> None:
    """Let an argument have the dims that its lanes were given in place (``transpose_``), and what was written to them. NotImplementedError where it is on the tape, or where its lanes are to be is not known."""
    if t._edge is not None:
        not_implemented("writes to dims of a tensor that needs a gradient in the lanes of vmap", "use the function that gives a new tensor (transpose, squeeze)")
    base = alias_of(t._s, None)
    (new,) = leave_lanes([base], level, since)
    x.copy_(new.movedim(0, d) if d else new)
    every, place = _view_of_all(t, x.movedim(d, 0) if d else x, level), _place(x, d, t)
    if every is None or place is None:
        not_implemented("dims that are changed in place in the lanes of vmap", "use the function that gives a new tensor (unsqueeze, squeeze)")
    every = every.movedim(0, place) if place else every
    x.as_strided_(every.size(), every.stride(), every.storage_offset())


def _place(x: Any, d: int, t: Any) -> int | None:
    """Where the lanes are among the dims that ``t`` was given in place; they were at ``d``. None if that cannot be told."""
    shape = [n for k, n in enumerate(x.shape) if k != d]
    if t.dim() == len(shape) or not d:
        return d
    if t.dim() > len(shape) and 1 in shape[:d]:  # which ones are new is not to be seen
        return None
    before, place = sum(n > 1 for n in shape[:d]), 0
    for k, n in enumerate(t.shape):
        if n > 1 and before:
            before, place = before - 1, k + 1
    return place


def _as_it_came(t: Any, flat: list[Any], dims: list[Any], moved: list[Any], inside: list[Any], level: Level) -> Any:
    """What a function returns without having computed it shares its memory with what is outside, as it does without ``vmap``. None where it was computed."""
    for x, d, m, i in zip(flat, dims, moved, inside, strict=True):
        if t is i and d and t._view is not None:
            return _view_of_all(t, m, level)
        if t is i:
            return m if d is not None else x.unsqueeze(0).expand(level.size, *x.shape)
        if d is not None and t._s is i._s and t._edge is None:
            return m.detach() if t._view is None else _view_of_all(t, m, level)
    if t._edge is None and lanes_of(read(t), level) is None:
        return t.unsqueeze(0).expand(level.size, *t.shape)
    return None
