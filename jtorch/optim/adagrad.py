"""Adagrad, for dense and sparse gradients."""

from __future__ import annotations

from typing import Any, ClassVar

from jtorch._api._sparse import padded
from jtorch._public import torch
from jtorch.optim import _apply
from jtorch.optim._per_parameter import PerParameterOptimizer, check_lr, check_steps, decay_scalars, there
from jtorch.optim.optimizer import ParamsT, _device_dtype_check_for_fused, _to_scalar

__all__ = ["Adagrad", "adagrad"]


class Adagrad(PerParameterOptimizer):
    """Steps along the gradient, divided by the root of the sum of all squared gradients so far.

    The sums start at ``initial_accumulator_value`` when the optimizer is made; ``lr_decay`` lowers the rate with the steps.
    """

    _added_options: ClassVar[dict[str, Any]] = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}

    def __init__(
        self, params: ParamsT, lr: Any = 1e-2, lr_decay: float = 0, weight_decay: float = 0, initial_accumulator_value: float = 0,
        eps: float = 1e-10, foreach: bool | None = None, *, maximize: bool = False, differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:  # fmt: skip
        check_lr(lr)
        if not 0.0 <= lr_decay:
            raise ValueError(f"Invalid lr_decay value: {lr_decay}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if not 0.0 <= initial_accumulator_value:
            raise ValueError(f"Invalid initial_accumulator_value value: {initial_accumulator_value}")
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)
        if fused:
            if differentiable:
                raise RuntimeError("`fused` does not support `differentiable`")
            if foreach:
                raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
            self._need_device_dtype_check_for_fused = True
            self._step_supports_amp_scaling = True
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p].update(self._new_state(p, None, group))

    def _new_state(self, p: Any, grad: Any, group: dict[str, Any]) -> dict[str, Any]:
        start = self.defaults["initial_accumulator_value"]
        value = complex(start, start) if p.is_complex() else start
        return {
            "step": self._scalar(0.0, p, group),
            "sum": torch.full_like(p, value, memory_format=torch.preserve_format, requires_grad=False),
        }

    def share_memory(self) -> None:
        """Move the sums to memory that other processes can see."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["sum"].share_memory_()

    def _update_group(self, group: dict[str, Any]) -> None:
        params, grads, states = self._gather(group)
        if group["fused"] and params and getattr(self, "_need_device_dtype_check_for_fused", True):
            _device_dtype_check_for_fused(params[0])
            self._need_device_dtype_check_for_fused = False
        adagrad(
            params, grads, [s["sum"] for s in states], [s["step"] for s in states], group["fused"], getattr(self, "grad_scale", None),
            getattr(self, "found_inf", None), False, group["foreach"], group["differentiable"], lr=group["lr"],
            weight_decay=group["weight_decay"], lr_decay=group["lr_decay"], eps=group["eps"], maximize=group["maximize"],
        )  # fmt: skip


def adagrad(
    params: list[Any], grads: list[Any], state_sums: list[Any], state_steps: list[Any], fused: bool | None = None, grad_scale: Any = None,
    found_inf: Any = None, has_sparse_grad: bool = False, foreach: bool | None = None, differentiable: bool = False,
    has_complex: bool = False, *, lr: Any, weight_decay: float, lr_decay: float, eps: float, maximize: bool,
) -> None:  # fmt: skip
    """Adagrad on lists of tensors, in place."""
    check_steps(state_steps)
    lr = _to_scalar(lr)
    steps = _apply.advance(state_steps, _apply.graph_mode(False, found_inf), found_inf)
    rest = (eps, decay_scalars(weight_decay, lr, False)[0], maximize)
    amp, unscaled = there(grad_scale, found_inf), grad_scale is not None
    updates: dict[Any, Any] = {}
    recorded = _apply.Updates(differentiable)
    for param, grad, total, step in zip(params, grads, state_sums, steps, strict=True):
        update = updates.get((step, grad.is_sparse))
        if update is None:
            alpha = _apply.factors("adagrad_factors", step, lr, lr_decay)
            if grad.is_sparse:
                update = _apply.prepare("adagrad_sparse_update", (True,) * 4, (alpha, eps, maximize))
            else:
                update = _apply.prepare("adagrad_update", (True, True, True, unscaled, found_inf is not None), (alpha, *rest))
            updates[step, grad.is_sparse] = update
        if grad.is_sparse:
            if weight_decay != 0:
                raise RuntimeError("weight_decay option is not compatible with sparse gradients")
            _apply.update(update, (param, *padded(grad), total), (param, total), differentiable)
            continue
        targets = (param, total, grad) if unscaled else (param, total)
        recorded.add(update, (param, grad, total, *amp), targets)
    recorded.done()
