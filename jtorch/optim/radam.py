"""RAdam: rectified Adam."""

from __future__ import annotations

from typing import Any, ClassVar

from jtorch.optim import _apply
from jtorch.optim._per_parameter import PerParameterOptimizer, check_betas, check_lr, check_steps, decay_scalars
from jtorch.optim.optimizer import ParamsT, _check_capturable, _to_scalar

__all__ = ["RAdam", "radam"]


class RAdam(PerParameterOptimizer):
    """Adam that starts with plain momentum and brings in the second mean, rectified, once it rests on enough steps."""

    _added_options: ClassVar[dict[str, Any]] = {
        "foreach": None, "maximize": False, "differentiable": False, "decoupled_weight_decay": False, "capturable": False,
    }  # fmt: skip
    _sparse_error = "RAdam does not support sparse gradients"

    def __init__(
        self, params: ParamsT, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
        decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_lr(lr)
        check_betas(betas, eps, weight_decay)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay, "differentiable": differentiable,
        })  # fmt: skip

    def _new_state(self, p: Any, grad: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": self._scalar(0.0, p, group), "exp_avg": _apply.zeros_like(p), "exp_avg_sq": _apply.zeros_like(p)}

    def _update_group(self, group: dict[str, Any]) -> None:
        params, grads, states = self._gather(group)
        radam(
            params, grads, [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states], [s["step"] for s in states],
            group["decoupled_weight_decay"], group["foreach"], group["differentiable"], group["capturable"], False, group["maximize"],
            beta1=group["betas"][0], beta2=group["betas"][1], lr=group["lr"], weight_decay=group["weight_decay"], eps=group["eps"],
        )  # fmt: skip


def radam(
    params: list[Any], grads: list[Any], exp_avgs: list[Any], exp_avg_sqs: list[Any], state_steps: list[Any],
    decoupled_weight_decay: bool = False, foreach: bool | None = None, differentiable: bool = False, capturable: bool = False,
    has_complex: bool = False, maximize: bool = False, *, beta1: float, beta2: float, lr: Any, weight_decay: float, eps: float,
) -> None:  # fmt: skip
    """RAdam on lists of tensors, in place."""
    check_steps(state_steps)
    if capturable:
        _check_capturable(params)
    lr = _to_scalar(lr)
    steps = _apply.advance(state_steps, _apply.graph_mode(capturable))
    rest = (beta1, beta2, eps, *decay_scalars(weight_decay, lr, decoupled_weight_decay), maximize)
    updates: dict[Any, Any] = {}
    recorded = _apply.Updates(differentiable)
    for param, grad, exp_avg, exp_avg_sq, step in zip(params, grads, exp_avgs, exp_avg_sqs, steps, strict=True):
        update = updates.get(step)
        if update is None:
            scalars = (lr, *_apply.factors("radam_factors", step, beta1, beta2), *rest)
            update = updates[step] = _apply.prepare("radam_update", (True,) * 4, scalars)
        recorded.add(update, (param, grad, exp_avg, exp_avg_sq), (param, exp_avg, exp_avg_sq))
    recorded.done()
