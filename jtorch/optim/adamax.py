"""Adamax: Adam with the infinity norm."""

from __future__ import annotations

from typing import Any

from jtorch.optim import _apply
from jtorch.optim._per_parameter import PerParameterOptimizer, check_betas, check_lr, check_steps, decay_scalars
from jtorch.optim.optimizer import ParamsT, _check_capturable, _to_scalar

__all__ = ["Adamax", "adamax"]


class Adamax(PerParameterOptimizer):
    """Steps along the running mean of the gradients, divided by their decaying largest size."""

    _sparse_error = "Adamax does not support sparse gradients"

    def __init__(
        self, params: ParamsT, lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
        foreach: bool | None = None, *, maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        check_lr(lr)
        check_betas(betas, eps, weight_decay)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        })  # fmt: skip

    def _new_state(self, p: Any, grad: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": self._scalar(0.0, p, group), "exp_avg": _apply.zeros_like(p), "exp_inf": _apply.zeros_like(p)}

    def _update_group(self, group: dict[str, Any]) -> None:
        params, grads, states = self._gather(group)
        adamax(
            params, grads, [s["exp_avg"] for s in states], [s["exp_inf"] for s in states], [s["step"] for s in states], group["foreach"],
            group["maximize"], group["differentiable"], group["capturable"], eps=group["eps"], beta1=group["betas"][0],
            beta2=group["betas"][1], lr=group["lr"], weight_decay=group["weight_decay"],
        )  # fmt: skip


def adamax(
    params: list[Any], grads: list[Any], exp_avgs: list[Any], exp_infs: list[Any], state_steps: list[Any], foreach: bool | None = None,
    maximize: bool = False, differentiable: bool = False, capturable: bool = False, has_complex: bool = False, *, eps: float,
    beta1: float, beta2: float, lr: Any, weight_decay: float,
) -> None:  # fmt: skip
    """Adamax on lists of tensors, in place."""
    check_steps(state_steps)
    if capturable:
        _check_capturable(params)
    lr = _to_scalar(lr)
    steps = _apply.advance(state_steps, _apply.graph_mode(capturable))
    rest = (beta1, beta2, eps, decay_scalars(weight_decay, lr, False)[0], maximize)
    updates: dict[Any, Any] = {}
    recorded = _apply.Updates(differentiable)
    for param, grad, exp_avg, exp_inf, step in zip(params, grads, exp_avgs, exp_infs, steps, strict=True):
        update = updates.get(step)
        if update is None:
            alpha = _apply.factors("adamax_factors", step, lr, beta1)
            update = updates[step] = _apply.prepare("adamax_update", (True,) * 4, (alpha, *rest))
        recorded.add(update, (param, grad, exp_avg, exp_inf), (param, exp_avg, exp_inf))
    recorded.done()
