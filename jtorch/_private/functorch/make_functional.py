"""``torch._functorch.make_functional``: a module as a function of its parameters, in the form that functorch had before ``torch.func.functional_call``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from jtorch._errors import not_implemented
from jtorch._public import torch

__all__ = ["FunctionalModule", "FunctionalModuleWithBuffers", "combine_state_for_ensemble", "make_functional", "make_functional_with_buffers"]

nn = torch.nn


def _taken_from(model: Any, named: dict[str, Any]) -> dict[str, list[str]]:
    """{the first name of each tensor: all the names it goes by}."""
    names: dict[int, list[str]] = {}
    for name, t in named.items():
        names.setdefault(id(t), []).append(name)
    return {found[0]: found for found in names.values()}


class FunctionalModuleWithBuffers(nn.Module):  # type: ignore[misc,name-defined]
    """``f(params, buffers, *args)``: a copy of a module without a state of its own."""

    def __init__(self, stateless_model: Any, param_names: Sequence[str], buffer_names: Sequence[str], param_names_map: dict[str, list[str]], buffer_names_map: dict[str, list[str]]) -> None:
        super().__init__()
        self.stateless_model = stateless_model
        self.param_names, self.buffer_names = param_names, buffer_names
        self.all_names_map = {**param_names_map, **buffer_names_map}

    @staticmethod
    def _create_from(model: Any, disable_autograd_tracking: bool = False) -> tuple[FunctionalModuleWithBuffers, tuple[Any, ...], tuple[Any, ...]]:
        params, param_map = _state(model.named_parameters(remove_duplicate=False), model)
        buffers, buffer_map = _state(model.named_buffers(remove_duplicate=False), model)
        values = tuple(p.detach() if disable_autograd_tracking else p for p in params.values())
        return FunctionalModuleWithBuffers(copy.deepcopy(model).to("meta"), list(params), list(buffers), param_map, buffer_map), values, tuple(buffers.values())

    def forward(self, params: Any, buffers: Any, *args: Any, **kwargs: Any) -> Any:
        """What the module gives with this state."""
        state = {n: v for first, v in zip((*self.param_names, *self.buffer_names), (*params, *buffers), strict=True) for n in self.all_names_map[first]}
        return torch.func.functional_call(self.stateless_model, state, args, kwargs)


class FunctionalModule(nn.Module):  # type: ignore[misc,name-defined]
    """``f(params, *args)``: a copy of a module without parameters of its own."""

    def __init__(self, stateless_model: Any, param_names: Sequence[str], names_map: dict[str, list[str]]) -> None:
        super().__init__()
        self.stateless_model, self.param_names, self.names_map = stateless_model, param_names, names_map

    @staticmethod
    def _create_from(model: Any, disable_autograd_tracking: bool = False) -> tuple[FunctionalModule, tuple[Any, ...]]:
        params, names = _state(model.named_parameters(remove_duplicate=False), model)
        values = tuple(p.detach() if disable_autograd_tracking else p for p in params.values())
        return FunctionalModule(copy.deepcopy(model), list(params), names), values

    def forward(self, params: Any, *args: Any, **kwargs: Any) -> Any:
        """What the module gives with these parameters."""
        state = {n: v for first, v in zip(self.param_names, params, strict=True) for n in self.names_map[first]}
        return torch.func.functional_call(self.stateless_model, state, args, kwargs)


def _state(named: Any, model: Any) -> tuple[dict[str, Any], dict[str, list[str]]]:
    every = dict(named)
    names = _taken_from(model, every)
    return {first: every[first] for first in names}, names


def make_functional(model: Any, disable_autograd_tracking: bool = False) -> tuple[FunctionalModule, tuple[Any, ...]]:
    """(the function, the parameters). RuntimeError for a module with buffers."""
    if list(model.buffers()):
        raise RuntimeError(
            "make_functional(model): `model` has buffers. Please use make_functional_with_buffers(model) instead."
        )
    return FunctionalModule._create_from(model, disable_autograd_tracking)


def make_functional_with_buffers(model: Any, disable_autograd_tracking: bool = False) -> tuple[FunctionalModuleWithBuffers, tuple[Any, ...], tuple[Any, ...]]:
    """(the function, the parameters, the buffers)."""
    return FunctionalModuleWithBuffers._create_from(model, disable_autograd_tracking)


def combine_state_for_ensemble(models: Sequence[Any]) -> tuple[FunctionalModuleWithBuffers, tuple[Any, ...], tuple[Any, ...]]:
    """(the function of one of them, all their parameters stacked, all their buffers stacked). All are in one mode, of one class."""
    if len(models) == 0:
        raise RuntimeError("combine_state_for_ensemble: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError("combine_state_for_ensemble: Expected all models to have the same training/eval mode.")
    if not all(type(m) is type(models[0]) for m in models):
        raise RuntimeError("combine_state_for_ensemble: Expected all models to be of the same class.")
    functions, params, buffers = zip(*[make_functional_with_buffers(m) for m in models], strict=True)
    stacked = tuple(torch.stack(p).detach() for p in zip(*params, strict=True))
    for p in stacked:
        p.requires_grad_()
    return functions[0], stacked, tuple(torch.stack(b).detach() for b in zip(*buffers, strict=True))


def functional_init(model_class: type, ensemble_shape: tuple[int, ...] = (), device: Any = "cpu") -> Callable[..., NoReturn]:
    """Declined in torch for ensembles of more than one dim; here for all: combine the state of models that were made."""
    not_implemented("torch._functorch.make_functional.functional_init", "use combine_state_for_ensemble")
