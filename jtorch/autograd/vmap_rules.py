"""The user's own rule for batches (``Function.vmap``, ``torch.library.register_vmap``): it is called one level further out than the call that needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jtorch._core.backward.levels import enter_lanes, leave_lanes
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import read
from jtorch._core.storage.write_counts import written_since
from jtorch._engine.values.lanes import Level, innermost, lanes_of
from jtorch._engine.values.thread_state import state
from jtorch.utils._pytree import _broadcast_to_and_flatten, tree_flatten, tree_unflatten

__all__ = ["VmapInfo", "by_lane", "by_rule", "level_of", "rule_of"]

_MORE = "For more details, please see https://pytorch.org/docs/main/notes/extending.func.html"


class VmapInfo(NamedTuple):
    """What a rule is told of the ``vmap``: how many lanes, and what random numbers do in them."""

    batch_size: int
    randomness: str


def level_of(args: Any) -> Level | None:
    """The innermost ``vmap`` that a call is inside of by its tensors."""
    return innermost([read(t) for t in tree_flatten(args)[0] if isinstance(t, Tensor)])


def _taken_out(args: Any, level: Level) -> tuple[list[Any], list[Any], Any, dict[int, Any]]:
    """Arguments with all lanes (where the caller of ``vmap`` had them), the dims of these, their structure, and what left the level by position."""
    flat, spec = tree_flatten(args)
    values = [read(x) if isinstance(x, Tensor) else None for x in flat]
    at = [i for i, v in enumerate(values) if v is not None and lanes_of(v, level) is not None]
    level.shared = True
    left = dict(zip(at, leave_lanes([flat[i] for i in at], level, level.since), strict=True))
    dims = [values[i].array.dim if i in left else None for i in range(len(flat))]  # type: ignore[union-attr]
    given = [left[i].movedim(0, d) if d else left.get(i, x) for i, (x, d) in enumerate(zip(flat, dims, strict=True))]
    return given, dims, spec, left


def _outside(level: Level, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    before = state.lanes
    state.lanes = before[: before.index(level)] if level in before else before
    try:
        return f(*args, **kwargs)
    finally:
        state.lanes = before


def by_rule(rule: Callable[..., Any], level: Level, args: Any, kwargs: dict[str, Any]) -> Any:
    """``rule(info, in_dims, *args) -> (result, out_dims)`` on all lanes of a call. RuntimeError if it returns anything else."""
    given, dims, spec, left = _taken_out(args, level)
    versions = {i: int(t._s.version) for i, t in left.items()}
    result = _outside(level, rule, VmapInfo(level.size, level.randomness), tree_unflatten(dims, spec), *tree_unflatten(given, spec), **kwargs)
    expected = "Expected the vmap staticmethod to have two returns, an output and out_dims with pytree structure compatible with the output. "
    if not isinstance(result, tuple):
        raise RuntimeError(f"{expected}Got a {type(result)} instead")
    if len(result) != 2:
        raise RuntimeError(f"{expected}Got {len(result)} returns instead")
    outs, out_spec = tree_flatten(result[0])
    where = _broadcast_to_and_flatten(result[1], out_spec)
    if where is None:
        raise RuntimeError(
            f"The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) tuple. Expected out_dims={result[1]} to be compatible with the structure of "
            f"`output`. out_dims has structure {tree_flatten(result[1])[1]} but output has structure {out_spec}. {_MORE}"
        )
    flat = tree_flatten(args)[0]
    for i, t in left.items():
        if written_since(t._s, versions[i]):  # written in place
            flat[i].copy_(enter_lanes(given[i].movedim(dims[i], 0) if dims[i] else given[i], level))
    same = {id(t): x for t, x in zip(given, flat, strict=True)}
    back = [same[id(o)] if id(o) in same else enter_lanes(o.movedim(d, 0) if d else o, level) if isinstance(o, Tensor) and d is not None else o for o, d in zip(outs, where, strict=True)]
    return tree_unflatten(back, out_spec)


def by_lane(f: Callable[..., Any], level: Level, args: Any, kwargs: dict[str, Any]) -> Any:
    """``f`` on one lane after another, for what looks at values."""
    from jtorch._public import torch

    given, dims, spec, _ = _taken_out(args, level)
    each = [_outside(level, f, *tree_unflatten([x if d is None else x.select(d, i) for x, d in zip(given, dims, strict=True)], spec), **kwargs) for i in range(level.size)]
    flat, out_spec = zip(*map(tree_flatten, each), strict=True)
    found = [enter_lanes(torch.stack(list(lanes)), level) if isinstance(lanes[0], Tensor) else lanes[0] for lanes in zip(*flat, strict=True)]
    return tree_unflatten(found, out_spec[0])


def rule_of(cls: Any, base: Any) -> Callable[..., Any] | None:
    """A Function's rule for batches; None if it is made by following what ``forward`` does. RuntimeError if there is none, or both."""
    own = cls.vmap is not base.vmap
    if cls.generate_vmap_rule:
        if own:
            raise RuntimeError(
                f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and an overridden vmap staticmethod. "
                f"Please set generate_vmap_rule=False or delete the overridden vmap staticmethod to avoid ambiguity. {_MORE}"
            )
        return None
    if not own:
        raise RuntimeError(
            f"You tried to vmap over {cls.__name__}, but it does not have vmap support. Please override and implement the vmap staticmethod or set generate_vmap_rule=True. {_MORE}"
        )
    return cls.vmap  # type: ignore[no-any-return]
