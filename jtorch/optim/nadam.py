"""NAdam: Adam with Nesterov momentum."""

from __future__ import annotations

from typing import Any, ClassVar

from jtorch.optim import _apply
from jtorch.optim._per_parameter import PerParameterOptimizer, check_betas, check_lr, check_steps, decay_scalars
from jtorch.optim.optimizer import ParamsT, _check_capturable, _to_scalar

__all__ = ["NAdam", "nadam"]


class NAdam(PerParameterOptimizer):
    """Adam that looks one step of its momentum ahead; the momentum itself grows with the steps (``momentum_decay``)."""

    _added_options: ClassVar[dict[str, Any]] = {
        "maximize": False, "foreach": None, "capturable": False, "differentiable": False, "decoupled_weight_decay": False,
    }  # fmt: skip
    _scalar_state: ClassVar[tuple[str, ...]] = ("step", "mu_product")
    _sparse_error = "NAdam does not support sparse gradients"

    def __init__(
        self, params: ParamsT, lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
        momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False,
        capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_lr(lr)
        check_betas(betas, eps, weight_decay)
        if not 0.0 <= momentum_decay:
            raise ValueError(f"Invalid momentum_decay value: {momentum_decay}")
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "differentiable": differentiable,
        })  # fmt: skip

    def _new_state(self, p: Any, grad: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": self._scalar(0.0, p, group), "mu_product": self._scalar(1.0, p, group),
            "exp_avg": _apply.zeros_like(p), "exp_avg_sq": _apply.zeros_like(p),
        }  # fmt: skip

    def _update_group(self, group: dict[str, Any]) -> None:
        params, grads, states = self._gather(group)
        nadam(
            params, grads, [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states], [s["mu_product"] for s in states],
            [s["step"] for s in states], group["decoupled_weight_decay"], group["foreach"], group["capturable"],
            group["differentiable"], False, group["maximize"], beta1=group["betas"][0], beta2=group["betas"][1], lr=group["lr"],
            weight_decay=group["weight_decay"], momentum_decay=group["momentum_decay"], eps=group["eps"],
        )  # fmt: skip


def nadam(
    params: list[Any], grads: list[Any], exp_avgs: list[Any], exp_avg_sqs: list[Any], mu_products: list[Any], state_steps: list[Any],
    decoupled_weight_decay: bool = False, foreach: bool | None = None, capturable: bool = False, differentiable: bool = False,
    has_complex: bool = False, maximize: bool = False, *, beta1: float, beta2: float, lr: Any, weight_decay: float,
    momentum_decay: float, eps: float,
) -> None:  # fmt: skip
    """NAdam on lists of tensors, in place."""
    check_steps(state_steps)
    check_steps(mu_products, "mu_products")
    if capturable:
        _check_capturable(params, "params, mu_products and state_steps")
    lr = _to_scalar(lr)
    graph = _apply.graph_mode(capturable)
    steps = _apply.advance(state_steps, graph)
    rest = (beta1, beta2, eps, *decay_scalars(weight_decay, lr, decoupled_weight_decay), maximize)
    updates: dict[Any, Any] = {}
    recorded = _apply.Updates(differentiable, graph)
    for param, grad, exp_avg, exp_avg_sq, product, step in zip(params, grads, exp_avgs, exp_avg_sqs, mu_products, steps, strict=True):
        before = product if graph else _apply.number(product)
        found = updates.get((step, before))
        if found is None:
            after, *three = _apply.factors("nadam_factors", step, before, lr, beta1, beta2, momentum_decay)
            found = updates[step, before] = (after, _apply.prepare("nadam_update", (True,) * 4, (*three, *rest)))
        _apply.put_number(product, found[0])
        recorded.add(found[1], (param, grad, exp_avg, exp_avg_sq), (param, exp_avg, exp_avg_sq))
    recorded.done()
