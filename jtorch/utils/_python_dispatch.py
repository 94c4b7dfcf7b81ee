"""``torch.utils._python_dispatch``: modes that see every operator of torch's library. Functions are seen by ``torch.overrides.TorchFunctionMode``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jtorch._public import torch
from jtorch.library import dispatching as _  # noqa: F401 - leads calls to the modes
from jtorch.library import offering
from jtorch.library.offering import MODE_STACK

__all__ = ["BaseTorchDispatchMode", "TorchDispatchMode", "is_in_torch_dispatch_mode", "is_traceable_wrapper_subclass", "return_and_correct_aliasing", "transform_subclass"]


class TorchDispatchMode:
    """A context in which ``__torch_dispatch__(func, types, args, kwargs)`` is called for every operator: ``func`` is an overload of ``torch.ops.aten`` (or of a
    library of the program's), and in the handler the mode is off.

    What jtorch itself runs as one operator is shown as the operators that it is in torch's library, forward and backward. Updates of optimizers and what is inside
    ``torch.func`` and recurrent layers is not shown.
    """

    def __init__(self, _dispatch_key: Any = None) -> None:
        pass

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """To be written by subclasses."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        offering.enter(self)
        return self

    def __exit__(self, *error: object) -> None:
        offering.exit_()

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> Any:
        """The mode itself: ``with Mode.push():`` is how it was once entered."""
        return cls(*args, **kwargs)

    @classmethod
    def is_infra_mode(cls) -> bool:
        """Whether it is part of torch itself."""
        return False


class BaseTorchDispatchMode(TorchDispatchMode):
    """A mode that does what would be done without it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def is_in_torch_dispatch_mode(include_infra_modes: bool = True) -> bool:
    """Whether a mode of operators is on."""
    return bool(MODE_STACK)


def is_in_any_mode_without_ignore_compile_internals() -> bool:
    return bool(MODE_STACK)


def _get_current_dispatch_mode() -> Any:
    """The innermost mode, or None."""
    return MODE_STACK[-1] if MODE_STACK else None


def _get_current_dispatch_mode_stack() -> list[Any]:
    """All that are on, the innermost last."""
    return list(MODE_STACK)


def _push_mode(mode: Any) -> None:
    offering.enter(mode)


def _pop_mode(k: Any = None) -> Any:
    return offering.exit_()


def _len_torch_dispatch_stack() -> int:
    return len(MODE_STACK)


@contextlib.contextmanager
def _pop_mode_temporarily(k: Any = None) -> Iterator[Any]:
    """Inside, the innermost is off."""
    mode = offering.exit_()
    try:
        yield mode
    finally:
        offering.enter(mode)


@contextlib.contextmanager
def _disable_current_modes() -> Iterator[list[Any]]:
    """Inside, none is on."""
    modes = []
    while MODE_STACK:
        modes.append(offering.exit_())
    try:
        yield modes
    finally:
        for mode in reversed(modes):
            offering.enter(mode)


def is_traceable_wrapper_subclass(t: Any) -> bool:
    """Whether a tensor's class says how it wraps others (``__tensor_flatten__`` and ``__tensor_unflatten__``)."""
    is_subclass = isinstance(t, torch.Tensor) and type(t) is not torch.Tensor
    return is_subclass and hasattr(t, "__tensor_flatten__") and hasattr(t, "__tensor_unflatten__")


def is_traceable_wrapper_subclass_type(t: type) -> bool:
    """The same for a class."""
    return issubclass(t, torch.Tensor) and t is not torch.Tensor and hasattr(t, "__tensor_flatten__") and hasattr(t, "__tensor_unflatten__")


def transform_subclass(t: Any, callback: Any, outer_size: Any = None, outer_stride: Any = None) -> Any:
    """A wrapper with its parts replaced by ``callback(name, part)``. A tensor of its class."""
    outer_size = t.size() if outer_size is None else outer_size
    outer_stride = t.stride() if outer_stride is None else outer_stride
    names, context = t.__tensor_flatten__()
    parts = {name: callback(name, getattr(t, name)) for name in names}
    made = type(t).__tensor_unflatten__(parts, context, outer_size, outer_stride)
    assert made.shape == outer_size, (
        f"Expected return value from {type(t)}__tensor_unflatten__() to have shape equal to {outer_size}, but got: {made.shape}"
    )
    return made


def _tree_tensors(x: Any) -> list[Any]:
    if isinstance(x, torch.Tensor):
        return [x]
    return [t for y in x for t in _tree_tensors(y)] if isinstance(x, (list, tuple)) else []


def return_and_correct_aliasing(func: Any, args: Any, kwargs: Any, out: Any) -> Any:
    """What a ``__torch_dispatch__`` of a wrapper gives back, as the operator's signature says: what was written to is the argument itself, and a view shares
    its argument's memory (of a wrapper: the inner tensors do)."""
    schema = func._schema
    given = dict(zip([a.name for a in schema.arguments if not a.kwarg_only], args, strict=False)) | dict(kwargs or {})
    written: dict[str, Any] = {}
    for a in schema.arguments:
        if a.is_write and a.name in given:
            for name in a.alias_info.before_set:
                written[name.rpartition("::")[2]] = given[a.name]
    if not schema.is_mutable:
        return out
    chosen = [next((written[n.rpartition("::")[2]] for n in r.alias_info.before_set if n.rpartition("::")[2] in written), None) if r.alias_info else None for r in schema.returns]
    if len(chosen) == 1:
        return chosen[0] if chosen[0] is not None else out
    return type(out)(o if c is None else c for o, c in zip(out, chosen, strict=True))


def autograd_would_have_decomposed(func: Any, flat_args: Any) -> bool:
    """Whether autograd would have taken the operator apart first."""
    return False
