"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

from jtorch._public import torch
from jtorch.optim import _apply
from jtorch.optim._per_parameter import PerParameterOptimizer, check_steps, decay_scalars
from jtorch.optim.optimizer import ParamsT, _check_capturable, _get_scalar_dtype, _to_scalar

__all__ = ["ASGD", "asgd"]


class ASGD(PerParameterOptimizer):
    """SGD with a decaying rate (``lambd``, ``alpha``) that also keeps the average of the parameters from step ``t0`` on.

    The average is ``state[p]["ax"]``.
    """

    _scalar_state: ClassVar[tuple[str, ...]] = ("step", "eta", "mu")
    _sparse_error = "ASGD does not support sparse gradients"

    def __init__(
        self, params: ParamsT, lr: Any = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6, weight_decay: float = 0,
        foreach: bool | None = None, maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        if isinstance(lr, torch.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        super().__init__(params, {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        })  # fmt: skip

    def _scalar(self, value: float, p: Any, group: dict[str, Any]) -> Any:
        return torch.tensor(value, dtype=_get_scalar_dtype(), device=p.device)

    def _new_state(self, p: Any, grad: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": self._scalar(0.0, p, group), "eta": self._scalar(float(group["lr"]), p, group), "mu": self._scalar(1.0, p, group),
            "ax": _apply.zeros_like(p),
        }  # fmt: skip

    def _update_group(self, group: dict[str, Any]) -> None:
        params, grads, states = self._gather(group)
        asgd(
            params, grads, [s["ax"] for s in states], [s["mu"] for s in states], [s["eta"] for s in states], [s["step"] for s in states],
            group["foreach"], group["maximize"], group["differentiable"], group["capturable"], lambd=group["lambd"], lr=group["lr"],
            t0=group["t0"], alpha=group["alpha"], weight_decay=group["weight_decay"],
        )  # fmt: skip


def asgd(
    params: list[Any], grads: list[Any], axs: list[Any], mus: list[Any], etas: list[Any], state_steps: list[Any],
    foreach: bool | None = None, maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    has_complex: bool = False, *, lambd: float, lr: Any, t0: float, alpha: float, weight_decay: float,
) -> None:  # fmt: skip
    """ASGD on lists of tensors, in place."""
    if capturable:
        _check_capturable(params, "params, mus, etas, and state_steps")
    check_steps(state_steps)
    lr = _to_scalar(lr)
    graph = _apply.graph_mode(capturable)
    steps = _apply.advance(state_steps, graph)
    decay, _ = decay_scalars(weight_decay, lr, False)
    known: dict[Any, Any] = {}
    updates: dict[Any, Any] = {}
    recorded = _apply.Updates(differentiable, graph)
    for param, grad, ax, mu, eta, step in zip(params, grads, axs, mus, etas, steps, strict=True):
        now = (eta, mu) if graph else (_apply.number(eta), _apply.number(mu))
        update = updates.get(now)
        if update is None:
            update = updates[now] = _apply.prepare("asgd_update", (True,) * 3, (*now, lambd, decay, maximize))
        recorded.add(update, (param, grad, ax), (param, ax))
        coming = known.get(step)
        if coming is None:
            coming = known[step] = _apply.factors("asgd_factors", step, lr, lambd, alpha, t0)
        for kept, value in zip((eta, mu), coming, strict=True):
            _apply.put_number(kept, value)
    recorded.done()
