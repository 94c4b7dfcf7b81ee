"""``torch._functorch.make_functional``: a module as a function of its parameters, in the form that functorch had before ``torch.func.functional_call``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from jtorch._public import torch

__all__ = [
    "FunctionalModule", "FunctionalModuleWithBuffers", "combine_state_for_ensemble", "functional_init", "functional_init_with_buffers", "make_functional", "make_functional_with_buffers",
]  # fmt: skip

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


def _of_parts(model: Any, kinds: tuple[str, ...]) -> tuple[Any, ...]:
    """As the first form of ``make_functional`` gave it: the tensors of each kind, the function of these and of a tuple of inputs, the names of each kind."""
    if len(kinds) == 1 and list(model.buffers()):
        text = "make_functional_deprecated_v1(model): `model` has buffers. Please use make_functional_with_buffers_deprecated_v1(model) instead."
        raise RuntimeError(text)
    every = [dict(getattr(model, kind)()) for kind in kinds]

    def fun(*given: Any) -> Any:
        *states, inputs = given
        whole = {n: t for names, state in zip(every, states, strict=True) for n, t in zip(names, state, strict=True)}
        return torch.func.functional_call(model, whole, tuple(inputs))

    return (*[tuple(e.values()) for e in every], fun, *[tuple(e) for e in every])


def _init(kinds: tuple[str, ...], model_class: Callable[..., Any], ensemble_shape: tuple[int, ...], device: Any) -> Callable[..., tuple[Any, ...]]:
    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        if len(ensemble_shape) >= 2:
            raise ValueError("NYI: ensemble_shape with more than 1 element")
        make = lambda: model_class(*args, **kwargs)
        if not ensemble_shape:  # as in torch, for either of them
            return _of_parts(make().to(device), kinds[:1])
        if ensemble_shape[0] <= 0:
            raise ValueError(f"num_models {ensemble_shape[0]} should be > 0")
        models = [make().to(device) for _ in range(ensemble_shape[0])]
        parts = _of_parts(make(), kinds)
        states = [_of_parts(m, kinds)[: len(kinds)] for m in models]
        stacked = [tuple(torch.stack(each).detach() for each in zip(*of_kind, strict=True)) for of_kind in zip(*states, strict=True)]
        return (*stacked, *parts[len(kinds) :])

    return wrapped


def functional_init(model_class: Callable[..., Any], ensemble_shape: tuple[int, ...] = (), device: Any = "cpu") -> Callable[..., tuple[Any, ...]]:
    """A maker of ``(weights, f, names)``, ``f(weights, inputs)``; the weights of ``ensemble_shape[0]`` models stacked. ValueError for an ensemble of more dims."""
    return _init(("named_parameters",), model_class, ensemble_shape, device)


def functional_init_with_buffers(model_class: Callable[..., Any], ensemble_shape: tuple[int, ...] = (), device: Any = "cpu") -> Callable[..., tuple[Any, ...]]:
    """A maker of ``(weights, buffers, f, names, buffers' names)``, ``f(weights, buffers, inputs)``; as torch, without an ensemble it is :func:`functional_init`."""
    return _init(("named_parameters", "named_buffers"), model_class, ensemble_shape, device)
