"""Adadelta."""

from __future__ import annotations

from typing import Any

from jtorch.optim import _apply
from jtorch.optim._per_parameter import PerParameterOptimizer, check_lr, check_steps, decay_scalars
from jtorch.optim.optimizer import ParamsT, _check_capturable, _to_scalar

__all__ = ["Adadelta", "adadelta"]


class Adadelta(PerParameterOptimizer):
    """Steps as large as the recent steps were, relative to the recent gradients; ``rho`` says how long "recent" is."""

    _sparse_error = "Adadelta does not support sparse gradients"

    def __init__(
        self, params: ParamsT, lr: Any = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0, foreach: bool | None = None,
        *, capturable: bool = False, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        super().__init__(params, {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, "capturable": capturable,
            "foreach": foreach, "differentiable": differentiable,
        })  # fmt: skip

    def _new_state(self, p: Any, grad: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": self._scalar(0.0, p, group), "square_avg": _apply.zeros_like(p), "acc_delta": _apply.zeros_like(p)}

    def _update_group(self, group: dict[str, Any]) -> None:
        params, grads, states = self._gather(group)
        adadelta(
            params, grads, [s["square_avg"] for s in states], [s["acc_delta"] for s in states], [s["step"] for s in states],
            group["capturable"], group["foreach"], group["differentiable"], lr=group["lr"], rho=group["rho"], eps=group["eps"],
            weight_decay=group["weight_decay"], maximize=group["maximize"],
        )  # fmt: skip


def adadelta(
    params: list[Any], grads: list[Any], square_avgs: list[Any], acc_deltas: list[Any], state_steps: list[Any], capturable: bool = False,
    foreach: bool | None = None, differentiable: bool = False, has_complex: bool = False, *, lr: Any, rho: float, eps: float,
    weight_decay: float, maximize: bool,
) -> None:  # fmt: skip
    """Adadelta on lists of tensors, in place."""
    check_steps(state_steps)
    if capturable:
        _check_capturable(params)
    lr = _to_scalar(lr)
    _apply.advance(state_steps, _apply.graph_mode(capturable))
    update = _apply.prepare("adadelta_update", (True,) * 4, (lr, rho, eps, decay_scalars(weight_decay, lr, False)[0], maximize))
    recorded = _apply.Updates(differentiable)
    for param, grad, square_avg, acc_delta in zip(params, grads, square_avgs, acc_deltas, strict=True):
        recorded.add(update, (param, grad, square_avg, acc_delta), (param, square_avg, acc_delta))
    recorded.done()
