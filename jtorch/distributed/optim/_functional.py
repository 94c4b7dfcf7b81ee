"""Optimizers that are given their gradients: ``step(gradients)`` and, of three of them, ``step_param(parameter, gradient)`` leave ``.grad`` alone. A communication hook updates parameters with one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jtorch._public import torch
from jtorch.optim.optimizer import Optimizer

__all__ = ["FUNCTIONAL", "Functional"]

optim = torch.optim


class Functional:
    """An optimizer of ``kind`` whose options are ``options`` with torch's defaults; those in ``numbers`` are also ``defaults``, which may be changed between steps.

    ValueError for no parameters, and for numbers that make no sense.
    """

    kind: type[Optimizer]
    options: dict[str, Any] = {}
    unused: frozenset[str] = frozenset()  # that the class takes and does not look at

    def __init__(self, params: list[Any], *args: Any, _allow_empty_param_list: bool = False, **given: Any) -> None:
        if unknown := next((n for n in given if n not in self.options), None):
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument {unknown!r}")
        if len(args) > len(self.options):
            raise TypeError(f"{type(self).__name__}.__init__() takes from 2 to {len(self.options) + 3} positional arguments but {len(args) + 2} were given")
        chosen = {**self.options, **dict(zip(self.options, args, strict=False)), **given}
        betas = chosen.get("betas")
        if betas is not None:
            for name, said in (("lr", "learning rate"), ("eps", "epsilon value")):
                if not chosen[name] >= 0.0:
                    raise ValueError(f"Invalid {said}: {chosen[name]}")
            for i, b in enumerate(betas):
                if not 0.0 <= b < 1.0:
                    raise ValueError(f"Invalid beta parameter at index {i}: {b}")
            if not chosen["weight_decay"] >= 0.0:
                raise ValueError(f"Invalid weight_decay value: {chosen['weight_decay']}")
        self.defaults: dict[str, Any] = {}
        for name, x in chosen.items():
            if name == "betas":
                self.defaults.update(beta1=x[0], beta2=x[1])
            elif isinstance(x, (bool, tuple)):
                setattr(self, name, x)
            else:
                self.defaults[name] = x
        if not params and not _allow_empty_param_list:
            raise ValueError("optimizer got an empty parameter list")
        self.param_group = {"params": params}
        self._inner: Optimizer | None = None

    @property
    def state(self) -> dict[Any, dict[str, Any]]:
        """By parameter, what the optimizer remembers."""
        return {} if self._inner is None else self._inner.state

    def _given(self) -> dict[str, Any]:
        taken = {n: getattr(self, n) if n not in self.defaults else self.defaults[n] for n in self.options if n not in self.unused and n != "betas"}
        return taken if "betas" not in self.options else {**taken, "betas": (self.defaults["beta1"], self.defaults["beta2"])}

    def _update(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        chosen = {p: g for p, g in pairs if g is not None}
        if not chosen:
            return
        given = self._given()
        if self._inner is None:
            self._inner = self.kind(list(chosen), **given)
        known = {p for group in self._inner.param_groups for p in group["params"]}
        fresh = [p for p in chosen if p not in known]
        if fresh:
            self._inner.add_param_group({"params": fresh})
        before = {p: p.grad for p in [*known, *fresh]}
        for group in self._inner.param_groups:
            group.update(given)
        try:
            for p in before:
                p.grad = chosen.get(p)
            self._inner.step()
        finally:
            for p, g in before.items():
                p.grad = g

    def step(self, gradients: Sequence[Any]) -> None:
        """Update all, those whose gradient is None excepted. ValueError for another number of gradients."""
        params = self.param_group["params"]
        if len(params) != len(gradients):
            raise ValueError(f"the gradients passed in does not equal to the size of the parameters!Params length: {len(params)}. Gradients length: {len(gradients)}")
        self._update(zip(params, gradients, strict=True))


def _step_param(self: Functional, param: Any, grad: Any) -> None:
    """Update one parameter."""
    self._update([(param, grad)])


_ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
_SWITCHES = {"amsgrad": False, "maximize": False, "foreach": False, "fused": False}
_OPTIONS: dict[str, dict[str, Any]] = {
    "Adadelta": {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0, "foreach": False, "maximize": False},
    "Adagrad": {
        "lr": 1e-2, "lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0, "warmup_lr_multiplier": 1.0, "warmup_num_iters": 0.0, "eps": 1e-10, "coalesce_grad": True,
        "foreach": False, "fused": False, "maximize": False,
    },
    "Adam": {**_ADAM, **_SWITCHES}, "AdamW": {**_ADAM, "weight_decay": 1e-2, **_SWITCHES}, "Adamax": {**_ADAM, "foreach": False, "maximize": False},
    "RMSprop": {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "centered": False, "foreach": False, "maximize": False},
    "Rprop": {"lr": 1e-2, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50), "foreach": False, "maximize": False},
    "SGD": {"lr": 1e-2, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False, "foreach": False, "fused": False},
}  # fmt: skip
_UNUSED = {"Adagrad": frozenset(("warmup_lr_multiplier", "warmup_num_iters", "coalesce_grad"))}
FUNCTIONAL: dict[Any, Any] = {
    getattr(optim, name): type(f"_Functional{name}", (Functional,), {
        "kind": getattr(optim, name), "options": options, "unused": _UNUSED.get(name, frozenset()), "__module__": f"torch.distributed.optim.functional_{name.lower()}",
        **({"step_param": _step_param} if name in ("SGD", "Adam", "AdamW") else {}),
    })
    for name, options in _OPTIONS.items()
}  # fmt: skip
