"""Rprop: resilient backpropagation."""

from __future__ import annotations

from typing import Any

from jtorch._public import torch
from jtorch.optim import _apply
from jtorch.optim._per_parameter import PerParameterOptimizer, check_lr, check_steps
from jtorch.optim.optimizer import ParamsT, _check_capturable, _to_scalar

__all__ = ["Rprop", "rprop"]


class Rprop(PerParameterOptimizer):
    """Steps from the gradient's sign alone. Each element's step starts at ``lr``, grows by ``etas[1]`` while the sign holds and
    shrinks by ``etas[0]`` when it turns (and then waits one step), within ``step_sizes``. Meant for full batches."""

    _sparse_error = "Rprop does not support sparse gradients"

    def __init__(
        self, params: ParamsT, lr: Any = 1e-2, etas: tuple[float, float] = (0.5, 1.2), step_sizes: tuple[float, float] = (1e-6, 50), *,
        capturable: bool = False, foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
            "capturable": capturable,
        })  # fmt: skip

    def _new_state(self, p: Any, grad: Any, group: dict[str, Any]) -> dict[str, Any]:
        lr = group["lr"]
        size = complex(lr, lr) if p.dtype.is_complex else _to_scalar(lr)
        return {"step": self._scalar(0.0, p, group), "prev": _apply.zeros_like(p), "step_size": torch.full_like(grad, size)}

    def _update_group(self, group: dict[str, Any]) -> None:
        params, grads, states = self._gather(group)
        rprop(
            params, grads, [s["prev"] for s in states], [s["step_size"] for s in states], [s["step"] for s in states], group["foreach"],
            group["capturable"], group["maximize"], group["differentiable"], step_size_min=group["step_sizes"][0],
            step_size_max=group["step_sizes"][1], etaminus=group["etas"][0], etaplus=group["etas"][1],
        )  # fmt: skip


def rprop(
    params: list[Any], grads: list[Any], prevs: list[Any], step_sizes: list[Any], state_steps: list[Any], foreach: bool | None = None,
    capturable: bool = False, maximize: bool = False, differentiable: bool = False, has_complex: bool = False, *, step_size_min: float,
    step_size_max: float, etaminus: float, etaplus: float,
) -> None:  # fmt: skip
    """Rprop on lists of tensors, in place."""
    check_steps(state_steps)
    if capturable:
        _check_capturable(params)
    _apply.advance(state_steps, _apply.graph_mode(capturable))
    update = _apply.prepare("rprop_update", (True,) * 4, (etaminus, etaplus, step_size_min, step_size_max, maximize))
    recorded = _apply.Updates(differentiable)
    for param, grad, prev, size in zip(params, grads, prevs, step_sizes, strict=True):
        recorded.add(update, (param, grad, prev, size), (param, prev, size))
    recorded.done()
