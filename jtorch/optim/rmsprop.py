"""RMSprop."""

from __future__ import annotations

from typing import Any, ClassVar

from jtorch.optim import _apply
from jtorch.optim._per_parameter import PerParameterOptimizer, check_lr, check_steps, decay_scalars, there
from jtorch.optim.optimizer import ParamsT, _check_capturable, _to_scalar

__all__ = ["RMSprop", "rmsprop"]


class RMSprop(PerParameterOptimizer):
    """Steps along the gradient, divided by the root of the running mean of its square (or, ``centered``, of its variance).

    ``eps`` is added to the root. With ``momentum`` the divided gradients are accumulated.
    """

    _added_options: ClassVar[dict[str, Any]] = {
        "momentum": 0, "centered": False, "foreach": None, "maximize": False, "differentiable": False, "capturable": False,
    }  # fmt: skip
    _sparse_error = "RMSprop does not support sparse gradients"

    def __init__(
        self, params: ParamsT, lr: Any = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0, momentum: float = 0,
        centered: bool = False, capturable: bool = False, foreach: bool | None = None, maximize: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_lr(lr)
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        if not 0.0 <= momentum:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if not 0.0 <= alpha:
            raise ValueError(f"Invalid alpha value: {alpha}")
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered, "weight_decay": weight_decay,
            "capturable": capturable, "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
        })  # fmt: skip

    def _new_state(self, p: Any, grad: Any, group: dict[str, Any]) -> dict[str, Any]:
        state = {"step": self._scalar(0.0, p, group), "square_avg": _apply.zeros_like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = _apply.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = _apply.zeros_like(p)
        return state

    def _update_group(self, group: dict[str, Any]) -> None:
        params, grads, states = self._gather(group)
        rmsprop(
            params, grads, [s["square_avg"] for s in states], [s["grad_avg"] for s in states] if group["centered"] else [],
            [s["momentum_buffer"] for s in states] if group["momentum"] > 0 else [], [s["step"] for s in states], group["foreach"],
            group["maximize"], group["differentiable"], group["capturable"], lr=group["lr"], alpha=group["alpha"], eps=group["eps"],
            weight_decay=group["weight_decay"], momentum=group["momentum"], centered=group["centered"],
        )  # fmt: skip


def rmsprop(
    params: list[Any], grads: list[Any], square_avgs: list[Any], grad_avgs: list[Any], momentum_buffer_list: list[Any],
    state_steps: list[Any], foreach: bool | None = None, maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    has_complex: bool = False, *, lr: Any, alpha: float, eps: float, weight_decay: float, momentum: float, centered: bool,
) -> None:  # fmt: skip
    """RMSprop on lists of tensors, in place."""
    check_steps(state_steps)
    if capturable:
        _check_capturable(params)
    lr = _to_scalar(lr)
    _apply.advance(state_steps, _apply.graph_mode(capturable))
    scalars = (lr, alpha, eps, decay_scalars(weight_decay, lr, False)[0], momentum, maximize)
    present = (True, True, True, centered, momentum > 0)
    update = _apply.prepare("rmsprop_update", present, scalars)
    recorded = _apply.Updates(differentiable)
    for i, param in enumerate(params):
        mean = grad_avgs[i] if centered else None
        buf = momentum_buffer_list[i] if momentum > 0 else None
        targets = there(param, square_avgs[i], mean, buf)
        recorded.add(update, (param, grads[i], *targets[1:]), targets)
    recorded.done()
