"""Stochastic gradient descent."""

from __future__ import annotations

from itertools import repeat
from operator import setitem
from typing import Any, ClassVar

from jtorch._public import torch
from jtorch.optim import _apply
from jtorch.optim._per_parameter import PerParameterOptimizer, decay_scalars, there
from jtorch.optim.optimizer import ParamsT, _device_dtype_check_for_fused, _to_scalar

__all__ = ["SGD", "sgd"]


class SGD(PerParameterOptimizer):
    """``p -= lr * v`` where ``v`` is the gradient or, with ``momentum``, ``v = momentum * v + (1 - dampening) * grad``.

    ``weight_decay`` adds ``weight_decay * p`` to the gradient; ``nesterov`` looks one step ahead (momentum and no dampening
    required). The first ``v`` is the undamped gradient. ``foreach`` and ``fused`` are accepted and change nothing but checks.
    """

    _added_options: ClassVar[dict[str, Any]] = {
        "nesterov": False, "maximize": False, "foreach": None, "differentiable": False, "fused": False,
    }  # fmt: skip
    _scalar_state: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, params: ParamsT, lr: Any = 1e-3, momentum: float = 0, dampening: float = 0, weight_decay: Any = 0, nesterov: bool = False,
        *, maximize: bool = False, foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        if isinstance(lr, torch.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, defaults)
        if fused:
            self._step_supports_amp_scaling = True
            self._need_device_dtype_check_for_fused = True
            if differentiable:
                raise RuntimeError("`fused` does not support `differentiable`")
            if foreach:
                raise RuntimeError("`fused` and `foreach` cannot be `True` together.")

    def _update_group(self, group: dict[str, Any]) -> None:
        momentum = group["momentum"]
        params = [p for p in group["params"] if p.grad is not None]
        grads = [p.grad for p in params]
        if group["fused"] and params and getattr(self, "_need_device_dtype_check_for_fused", True):
            _device_dtype_check_for_fused(params[0])
            self._need_device_dtype_check_for_fused = False
        states = [self.state[p] for p in params] if momentum != 0 else []
        buffers = [s.get("momentum_buffer") for s in states]
        sgd(
            params, grads, buffers, foreach=group["foreach"], fused=group["fused"], grad_scale=getattr(self, "grad_scale", None),
            found_inf=getattr(self, "found_inf", None), weight_decay=group["weight_decay"], momentum=momentum, lr=group["lr"],
            dampening=group["dampening"], nesterov=group["nesterov"], maximize=group["maximize"],
            differentiable=group["differentiable"],
        )  # fmt: skip
        _apply.put(map(setitem, states, repeat("momentum_buffer"), buffers))


def sgd(
    params: list[Any], d_p_list: list[Any], momentum_buffer_list: list[Any], has_sparse_grad: bool = False, foreach: bool | None = None,
    fused: bool | None = None, grad_scale: Any = None, found_inf: Any = None, *, weight_decay: Any, momentum: float, lr: Any,
    dampening: float, nesterov: bool, maximize: bool, differentiable: bool = False,
) -> None:  # fmt: skip
    """SGD on lists of tensors, in place. Missing momentum buffers (None) are made and put into ``momentum_buffer_list``."""
    lr = _to_scalar(lr)
    decay, _ = decay_scalars(weight_decay, lr, False)
    scalars = (lr, decay, None if momentum == 0 else momentum, dampening, nesterov, maximize)
    amp, unscaled = there(grad_scale, found_inf), grad_scale is not None
    updates: dict[bool, Any] = {}
    recorded = _apply.Updates(differentiable)
    for i, param in enumerate(params):
        grad = d_p_list[i]
        if grad.is_sparse:
            _sparse(param, grad, i, momentum_buffer_list, *scalars)
            continue
        buf = momentum_buffer_list[i] if momentum != 0 else None
        update = updates.get(buf is None)
        if update is None:
            present = (True, True, buf is not None, unscaled, found_inf is not None)
            update = updates[buf is None] = _apply.prepare("sgd_update", present, scalars)
        targets = (param,) if momentum == 0 else (param, buf)
        tensors = (param, grad, *amp) if buf is None else (param, grad, buf, *amp)
        targets = (*targets, grad) if unscaled else targets
        if momentum != 0 and buf is None:
            momentum_buffer_list[i] = _apply.update(update, tensors, targets, differentiable)[1].detach()
        else:
            recorded.add(update, tensors, targets)
    recorded.done()


def _sparse(
    param: Any, grad: Any, i: int, buffers: list[Any], lr: Any, decay: Any, momentum: Any, dampening: Any, nesterov: bool, maximize: bool
) -> None:
    """Sparse gradients touch only their own rows."""
    grad = -grad if maximize else grad
    if decay is not None:
        grad = grad.add(param, alpha=decay)
    if momentum is not None:
        buf = buffers[i]
        if buf is None:
            buf = buffers[i] = grad.detach().clone()
        else:
            buf.mul_(momentum).add_(grad, alpha=1 - dampening)
        grad = grad.add(buf, alpha=momentum) if nesterov else buf
    param.add_(grad, alpha=-lr)
