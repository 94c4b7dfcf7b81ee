"""What the optimizers that update each parameter on its own have in common."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any, ClassVar

from jtorch._public import torch
from jtorch.optim import _apply
from jtorch.optim.optimizer import Closure, Optimizer, _get_scalar_dtype, _use_grad_for_differentiable

__all__ = ["PerParameterOptimizer", "check_lr", "check_betas", "check_steps", "decay_scalars", "there"]


def _step_of(cls: type) -> Any:
    """The common step as a function of this class."""
    common: Any = inspect.unwrap(PerParameterOptimizer.step)
    own = FunctionType(common.__code__, common.__globals__, common.__name__, common.__defaults__, common.__closure__)
    own.__qualname__, own.__module__, own.__doc__ = f"{cls.__qualname__}.step", cls.__module__, common.__doc__
    own.__annotations__ = common.__annotations__
    return own


class PerParameterOptimizer(Optimizer):
    """Gathers the parameters that have gradients, makes their state, and hands them to ``_update_group``."""

    _added_options: ClassVar[dict[str, Any]] = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}
    _scalar_state: ClassVar[tuple[str, ...]] = ("step",)
    _sparse_error: ClassVar[str | None] = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Options and tensors that checkpoints of older versions lack are filled in."""
        super().__setstate__(state)
        for group in self.param_groups:
            for name, default in self._added_options.items():
                group.setdefault(name, default)
            for p in group["params"]:
                own = self.state.get(p, {})
                for name in self._scalar_state:
                    if name in own and not isinstance(own[name], torch.Tensor):
                        own[name] = self._scalar(float(own[name]), p, group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__base__ is PerParameterOptimizer and "step" not in vars(cls):  # each has its own, as in torch: Python's errors name it
            cls.step = _use_grad_for_differentiable(_step_of(cls))  # type: ignore[method-assign]

    @_use_grad_for_differentiable
    def step(self, closure: Closure = None) -> Any:
        """Update the parameters from their gradients. ``closure``, where given, evaluates the model again and returns the loss."""
        loss = self._evaluate(closure)
        _apply.in_a_step(self._update_group, self.param_groups)
        return loss

    def _update_group(self, group: dict[str, Any]) -> None:
        raise NotImplementedError

    def _new_state(self, p: Any, grad: Any, group: dict[str, Any]) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        raise NotImplementedError

    def _scalar(self, value: float, p: Any, group: dict[str, Any]) -> Any:
        """A 0-dim state tensor: on the host, unless the group is fused or capturable."""
        fused = group.get("fused")
        if fused or group.get("capturable"):
            return torch.tensor(value, dtype=_get_scalar_dtype(fused), device=p.device)
        return torch.tensor(value, dtype=_get_scalar_dtype())

    def _gather(self, group: dict[str, Any]) -> tuple[list[Any], list[Any], list[dict[str, Any]]]:
        """Parameters with gradients, the gradients, and the states."""
        params = group["params"]
        grads = _apply.gradients(params)
        if any([g is None for g in grads]):
            params = [p for p, g in zip(params, grads, strict=True) if g is not None]
            grads = [g for g in grads if g is not None]
        if self._sparse_error and _apply.any_sparse(grads):
            raise RuntimeError(self._sparse_error)
        all_states = self.state
        states = [all_states[p] for p in params]
        if not all(states):
            for p, grad, state in zip(params, grads, states, strict=True):
                if not state:
                    state.update(self._new_state(p, grad, group))
        return params, grads, states


def check_lr(lr: Any) -> None:
    """ValueError for a negative learning rate and for a tensor of several elements."""
    if isinstance(lr, torch.Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= lr:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_betas(betas: Any, eps: float, weight_decay: float | None) -> None:
    """ValueError for values outside their range."""
    if not 0.0 <= eps:
        raise ValueError(f"Invalid epsilon value: {eps}")
    if not 0.0 <= betas[0] < 1.0:
        raise ValueError(f"Invalid beta parameter at index 0: {betas[0]}")
    if not 0.0 <= betas[1] < 1.0:
        raise ValueError(f"Invalid beta parameter at index 1: {betas[1]}")
    if weight_decay is not None and not 0.0 <= weight_decay:
        raise ValueError(f"Invalid weight_decay value: {weight_decay}")


def check_steps(state_steps: list[Any], name: str = "state_steps") -> None:
    """The functional forms take step counts as tensors."""
    if not all(issubclass(kind, torch.Tensor) for kind in set(map(type, state_steps))):
        raise RuntimeError(f"API has changed, `{name}` argument must contain a list of singleton tensors")


def decay_scalars(weight_decay: Any, lr: Any, decoupled: bool) -> tuple[Any, Any]:
    """``(weight_decay or None, 1 - lr * weight_decay or None)``: which kind of decay an update does is part of its program."""
    if not isinstance(weight_decay, torch.Tensor) and weight_decay == 0:
        return None, None
    return (None, 1 - lr * weight_decay) if decoupled else (weight_decay, None)


def there(*tensors: Any) -> tuple[Any, ...]:
    """Those that are not None."""
    return tuple([t for t in tensors if t is not None])
