"""Calling a module with other parameters than its own."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from jtorch._public import torch

from ..modules.module import Module
from ..parallel import DataParallel

__all__ = ["functional_call"]


def _owner(module: Module, path: str) -> Any:
    """The submodule named ``path``."""
    for name in path.split(".") if path else ():
        child = getattr(module, name, None)
        if child is None:
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        if not isinstance(child, Module):
            raise TypeError(f"submodule `{path}`: {child} is not an instance of torch.nn.Module")
        module = child
    return module


def _untie_named_tensors_map(module: Module, parameters_and_buffers: dict[str, Any]) -> dict[str, Any]:
    """The mapping with each value given to all names of the tensor that the given name is one of."""
    names_of: dict[Any, set[str]] = {}
    name_to_names: dict[str, set[str]] = {}
    for members in (module.named_parameters(remove_duplicate=False), module.named_buffers(remove_duplicate=False)):
        for name, tensor in members:
            name_to_names[name] = names_of.setdefault(tensor, set())
            name_to_names[name].add(name)
    result = dict(parameters_and_buffers)
    for given in parameters_and_buffers:
        names = name_to_names.get(given, set())
        values = {id(parameters_and_buffers[name]) for name in names if name in parameters_and_buffers}
        if len(values) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(n for n in names if n in parameters_and_buffers)}, which are "
                "tied. Consider using tie_weights=False"
            )
        for name in names:
            result.setdefault(name, parameters_and_buffers[given])
    return result


_ABSENT = object()


def _swap(module: Module, path: str, value: Any) -> Any:
    """Put ``value`` at the dotted name ``path``, past registration, or take away what is there if it is ``_ABSENT``; returns what was there."""
    prefix, _, name = path.rpartition(".")
    owner = _owner(module, prefix)
    if not (value is _ABSENT or value is None or isinstance(value, torch.Tensor)):
        raise TypeError(f"{value} is not an instance of torch.Tensor")
    if name == "":
        raise KeyError('tensor name can\'t be empty string ""')
    for registry in (owner._parameters, owner._buffers):
        if name in registry:
            old = registry[name]
            if value is _ABSENT:
                del registry[name]
            else:
                registry[name] = value
            return old
    # Not a registered tensor: parametrised ones are properties, weight-normed ones plain attributes.
    old = getattr(owner, name, _ABSENT)
    if not (old is _ABSENT or old is None or isinstance(old, torch.Tensor)):
        raise TypeError(f"attribute `{name}`: {old} is not an instance of torch.Tensor")
    if value is not _ABSENT:
        setattr(owner, name, value)
    elif old is not _ABSENT:
        delattr(owner, name)
    return old


def _known_names(module: Module) -> set[str]:
    names = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    return names | {name for name, _ in module.named_buffers(remove_duplicate=False)}


@contextlib.contextmanager
def _reparametrize_module(
    module: Module,
    parameters_and_buffers: dict[str, Any],
    tie_weights: bool = False,
    strict: bool = False,
    stack_weights: bool = False,
) -> Iterator[None]:
    """Within the block, ``module`` has the given tensors instead of its own; in-place changes go back to the mapping."""
    named = _untie_named_tensors_map(module, parameters_and_buffers) if tie_weights else dict(parameters_and_buffers)
    if strict:
        known = _known_names(module)
        messages = []
        unexpected = sorted(set(named) - known)
        missing = sorted(known - set(named))
        if unexpected:
            messages.append(f"Unexpected key(s): {', '.join(map(repr, unexpected))}.")
        if missing:
            messages.append(f"Missing key(s): {', '.join(map(repr, missing))}.")
        if messages:
            raise RuntimeError(
                "Error(s) in reparametrizing for {}:\n\t{}".format(module._get_name(), "\n\t".join(messages))
            )
    old: dict[str, Any] = {}
    try:
        for name, value in named.items():
            old[name] = _swap(module, name, value)
        yield
    finally:
        for name in reversed(list(old)):
            after = _swap(module, name, old[name])
            # A module may replace a buffer instead of changing it in place.
            if name in parameters_and_buffers and after is not _ABSENT:
                parameters_and_buffers[name] = after


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """The old place of ``torch.func.functional_call``."""
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be removed in a future version of PyTorch. "
        "Please use `torch.func.functional_call` instead which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)


def _functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call ``module`` on ``args`` and ``kwargs`` with the given tensors in place of its own.

    ``tie_weights`` gives a value to all names of a shared tensor; ``strict`` requires a value for every name.
    """
    if torch.jit.is_tracing() or isinstance(module, torch.jit.ScriptModule):
        raise RuntimeError("The stateless API can't be used with Jitted modules")
    if isinstance(module, DataParallel):
        raise RuntimeError("The stateless API can't be used with nn.DataParallel module")
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _reparametrize_module(module, parameters_and_buffers, tie_weights=tie_weights, strict=strict):
        return module(*args, **(kwargs or {}))
