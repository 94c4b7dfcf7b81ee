"""Adam and its variants AMSGrad and, with decoupled weight decay, AdamW."""

from __future__ import annotations

from typing import Any, ClassVar

from jtorch._public import torch
from jtorch.optim import _apply
from jtorch.optim._per_parameter import PerParameterOptimizer, check_betas, check_steps, decay_scalars, there
from jtorch.optim.optimizer import ParamsT, _check_capturable, _device_dtype_check_for_fused, _to_scalar

__all__ = ["Adam", "adam"]


class Adam(PerParameterOptimizer):
    """Steps along the running mean of the gradients, divided by the root of the running mean of their squares.

    ``betas``: how long the two means remember; ``eps`` is added to the root; ``amsgrad`` uses the largest second mean so far;
    ``weight_decay`` goes into the gradient or, ``decoupled_weight_decay``, into the parameter. ``capturable`` keeps the step
    counts on the device; ``differentiable`` lets autograd see the update; ``foreach`` and ``fused`` change nothing but checks.
    """

    _added_options: ClassVar[dict[str, Any]] = {
        "amsgrad": False, "maximize": False, "foreach": None, "capturable": False, "differentiable": False,
        "decoupled_weight_decay": False, "fused": None,
    }  # fmt: skip
    _sparse_error = "Adam does not support sparse gradients, please consider SparseAdam instead"

    def __init__(
        self, params: ParamsT, lr: Any = 1e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
        amsgrad: bool = False, *, foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False, fused: bool | None = None, decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        eager_foreach = foreach and not capturable
        if isinstance(lr, torch.Tensor):
            if eager_foreach:
                raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
            if lr.numel() != 1:
                raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        check_betas(betas, eps, weight_decay)
        kinds = [isinstance(b, torch.Tensor) for b in betas]
        if not (all(kinds) or all(isinstance(b, float) for b in betas)):
            raise ValueError("betas must be either both floats or both Tensors")
        for i, beta in enumerate(betas):
            if kinds[i]:
                if eager_foreach:
                    raise ValueError(f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True")
                if beta.numel() != 1:
                    raise ValueError(f"Tensor betas[{i}] must be 1-element")
        defaults = {
            "lr": lr, "betas": tuple(map(_to_scalar, betas)), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "foreach": foreach, "capturable": capturable, "differentiable": differentiable, "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(params, defaults)
        if fused:
            if differentiable:
                raise RuntimeError("`fused` does not support `differentiable`")
            self._step_supports_amp_scaling = True
            if foreach:
                raise RuntimeError("`fused` and `foreach` cannot be `True` together.")

    def _new_state(self, p: Any, grad: Any, group: dict[str, Any]) -> dict[str, Any]:
        if group["fused"]:
            _device_dtype_check_for_fused(p)
        state = {"step": self._scalar(0.0, p, group), "exp_avg": _apply.zeros_like(p), "exp_avg_sq": _apply.zeros_like(p)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = _apply.zeros_like(p)
        return state

    def _update_group(self, group: dict[str, Any]) -> None:
        params, grads, states = self._gather(group)
        if group["foreach"] and isinstance(group["lr"], torch.Tensor) and not group["capturable"]:
            raise RuntimeError("lr as a Tensor is not supported for capturable=False and foreach=True")
        if group["differentiable"] and any(s["step"].requires_grad for s in states):
            raise RuntimeError("`requires_grad` is not supported for `step` in differentiable mode")
        amsgrad = group["amsgrad"]
        adam(
            params, grads, [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states],
            [s["max_exp_avg_sq"] for s in states] if amsgrad else [], [s["step"] for s in states], group["foreach"],
            group["capturable"], group["differentiable"], group["fused"], getattr(self, "grad_scale", None),
            getattr(self, "found_inf", None), False, group["decoupled_weight_decay"], amsgrad=amsgrad, beta1=group["betas"][0],
            beta2=group["betas"][1], lr=group["lr"], weight_decay=group["weight_decay"], eps=group["eps"], maximize=group["maximize"],
        )  # fmt: skip


def adam(
    params: list[Any], grads: list[Any], exp_avgs: list[Any], exp_avg_sqs: list[Any], max_exp_avg_sqs: list[Any], state_steps: list[Any],
    foreach: bool | None = None, capturable: bool = False, differentiable: bool = False, fused: bool | None = None,
    grad_scale: Any = None, found_inf: Any = None, has_complex: bool = False, decoupled_weight_decay: bool = False, *, amsgrad: bool,
    beta1: Any, beta2: Any, lr: Any, weight_decay: float, eps: float, maximize: bool,
) -> None:  # fmt: skip
    """Adam on lists of tensors, in place."""
    check_steps(state_steps)
    if capturable:
        _check_capturable(params)
    lr, beta1, beta2 = _to_scalar(lr), _to_scalar(beta1), _to_scalar(beta2)
    steps = _apply.advance(state_steps, _apply.graph_mode(capturable, found_inf), found_inf)
    rest = (beta1, beta2, eps, *decay_scalars(weight_decay, lr, decoupled_weight_decay), maximize)
    amp, unscaled = there(grad_scale, found_inf), grad_scale is not None
    present = (True, True, True, True, amsgrad, unscaled, found_inf is not None)
    columns = [params, grads, exp_avgs, exp_avg_sqs, *([max_exp_avg_sqs] if amsgrad else [])]
    places = (0, *range(2, len(columns)), *([1] if unscaled else []))
    columns += [[t] * len(params) for t in amp]
    recorded = _apply.Updates(differentiable)
    for step, which in _apply.alike(steps):
        scalars = (*_apply.factors("adam_factors", step, lr, beta1, beta2), *rest)
        update = _apply.prepare("adam_update", present, scalars)
        recorded.add_all(update, columns if which is None else [[c[i] for i in which] for c in columns], places)
