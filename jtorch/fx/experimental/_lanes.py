"""Operators in the lanes of ``torch.vmap``, as ``make_fx`` writes them: in a graph a tensor of a lane is the tensor of all lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._core.storage.bare_tensor import new_tensor
from jtorch._core.storage.shells import is_shell
from jtorch._core.storage.view_steps import read
from jtorch._engine.values.lanes import Lanes, Level, innermost, lanes_of
from jtorch._engine.values.values import Value
from jtorch._public import torch
from jtorch.utils import _pytree as pytree

__all__ = ["InLanes", "all_lanes", "every_lane", "target_for"]

Tensor = torch.Tensor


def every_lane(value: Value) -> Value:
    """The value that is computed: that of all lanes of every level."""
    while value.array.__class__ is Lanes:
        value = value.array.value
    return value


def all_lanes(t: Any) -> Any:
    """``t`` itself, or where it is a lane's, the tensor of all lanes."""
    value = None if is_shell(t) else read(t)
    return t if value is None or value.array.__class__ is not Lanes else new_tensor(every_lane(value))


class InLanes:
    """An operator for all lanes of one ``vmap``: a call's tensors have them along their first dim where ``axes``, one for each, says 0. ``size``: how many; ``randomness``: as ``torch.vmap``'s."""

    def __init__(self, func: Any, axes: tuple[int | None, ...], size: int, randomness: str) -> None:
        self.func, self.axes, self.size, self.randomness = func, axes, size, randomness
        name = getattr(getattr(func, "overloadpacket", func), "__name__", "")
        self.__name__ = self.__qualname__ = name if name.startswith("vmap_") else f"vmap_{name}"
        self.__module__ = "torch.ops.jtorch"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        flat, spec = pytree.tree_flatten((args, kwargs))
        at = [i for i, x in enumerate(flat) if isinstance(x, Tensor)]

        def one(_: Any, *tensors: Any) -> Any:
            given = list(flat)
            for i, t in zip(at, tensors, strict=True):
                given[i] = t
            args, kwargs = pytree.tree_unflatten(given, spec)
            return self.func(*args, **kwargs)

        lanes = torch.empty(self.size, 0)  # there are lanes even where no tensor has them
        out = torch.vmap(one, (0, *self.axes), randomness=self.randomness)(lanes, *[flat[i] for i in at])
        return out

    def __repr__(self) -> str:
        return f"torch.vmap({self.func}, {self.axes})"


def _pointwise(func: Any, values: list[Value], peeled: list[Value | None]) -> bool:
    """Whether an operator does the same to all lanes at once: element by element, and dims that are told from the last one."""
    ops = getattr(getattr(getattr(func, "overloadpacket", None), "_fn", None), "jtorch_ops", ())
    if not ops or any(op.elementwise is not True for op in ops):
        return False
    most = max(len(v.aval.shape) for v in values)
    kinds = {v.aval.dtype for v in values}  # a lane of a tensor of one dim has none, and then a say of its own in which type comes out
    return len(kinds) == 1 and all(p is None or len(v.aval.shape) == most for v, p in zip(values, peeled, strict=True))


def target_for(func: Any, args: Any, kwargs: Any, made: Any) -> Callable[..., Any]:
    """What does to tensors of all lanes what ``func`` does in one. ``made``: what it gave, which may have lanes where no argument has."""
    values = [read(t) for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, Tensor) and not is_shell(t)]
    outs = [read(t) for t in pytree.tree_leaves(made) if isinstance(t, Tensor) and not is_shell(t)]
    target = func
    while True:
        level: Level | None = innermost([*values, *outs])
        if level is None:
            return target  # type: ignore[no-any-return]
        peeled = [lanes_of(v, level) for v in values]
        if not (target is func and values and any(p is not None for p in peeled) and _pointwise(func, values, peeled)):
            target = InLanes(target, tuple([None if p is None else 0 for p in peeled]), level.size, level.randomness)
            func = None
        values = [v if p is None else p for v, p in zip(values, peeled, strict=True)]
        outs = [v if p is None else p for v, p in zip(outs, [lanes_of(v, level) for v in outs], strict=True)]
