"""Muon: momentum, orthogonalized."""

from __future__ import annotations

import math
from typing import Any

from jtorch._public import torch
from jtorch.optim import _apply
from jtorch.optim.optimizer import Closure, Optimizer, ParamsT, _to_scalar

__all__ = ["Muon"]


class Muon(Optimizer):
    """For the matrices of hidden layers: the momentum matrix is replaced by the orthogonal matrix nearest to it, found by
    ``ns_steps`` Newton-Schulz iterations (in bfloat16), and weight decay shrinks the parameter directly.

    ``adjust_lr_fn``: "original" (default) scales the rate by ``sqrt(max(1, rows / columns))``, "match_rms_adamw" by
    ``0.2 sqrt(max(rows, columns))``. Other parameters than matrices are a ValueError.
    """

    def __init__(
        self, params: ParamsT, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95, nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315), eps: float = 1e-7, ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:  # fmt: skip
        if isinstance(lr, torch.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 <= momentum:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn is not None and adjust_lr_fn not in ("original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        super().__init__(params, {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov, "ns_coefficients": ns_coefficients,
            "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
        })  # fmt: skip
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(f"Muon only supports 2D parameters whereas we found a parameter with size: {p.size()}")

    def step(self, closure: Closure = None) -> Any:
        """Update the parameters from their gradients. ``closure``, where given, evaluates the model again and returns the loss."""
        with torch.no_grad():
            loss = self._evaluate(closure)
            _apply.in_a_step(self._update_group, self.param_groups)
        return loss

    def _update_group(self, group: dict[str, Any]) -> None:
        params, grads, buffers = [], [], []
        for p in group["params"]:
            if p.grad is None:
                continue
            if p.is_complex():
                raise RuntimeError("Muon does not support complex parameters")
            if p.grad.is_sparse:
                raise RuntimeError("Muon does not support sparse gradients")
            state = self.state[p]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = _apply.zeros_like(p.grad)
            params.append(p)
            grads.append(p.grad)
            buffers.append(state["momentum_buffer"])
        muon(
            params, grads, buffers, lr=group["lr"], weight_decay=group["weight_decay"], momentum=group["momentum"],
            nesterov=group["nesterov"], ns_coefficients=group["ns_coefficients"], eps=group["eps"], ns_steps=group["ns_steps"],
            adjust_lr_fn=group["adjust_lr_fn"], has_complex=False,
        )  # fmt: skip


def muon(
    params: list[Any], grads: list[Any], muon_momentum_bufs: list[Any], *, foreach: bool | None = None, lr: Any, weight_decay: float,
    momentum: float, nesterov: bool, ns_coefficients: tuple[float, float, float], ns_steps: int, eps: float, adjust_lr_fn: str | None,
    has_complex: bool,
) -> None:  # fmt: skip
    """Muon on lists of matrices, in place."""
    if foreach:
        raise RuntimeError("Foreach is not supported for Muon yet")
    if has_complex:
        raise ValueError("Complex parameters are not supported")
    if ns_steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(ns_coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    lr = _to_scalar(lr)
    updates: dict[float, Any] = {}
    for param, grad, buf in zip(params, grads, muon_momentum_bufs, strict=True):
        if grad.ndim != 2:
            raise ValueError("Param gradient must be a 2D matrix")
        rows, columns = param.shape
        if adjust_lr_fn is None or adjust_lr_fn == "original":
            ratio = math.sqrt(max(1, rows / columns))
        elif adjust_lr_fn == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, columns))
        else:
            ratio = 1.0
        update = updates.get(ratio)
        if update is None:
            rest = (lr, weight_decay, momentum, nesterov, tuple(ns_coefficients), eps, ns_steps, ratio)
            update = updates[ratio] = _apply.prepare("muon_update", (True,) * 3, rest)
        _apply.update(update, (param, grad, buf), (param, buf))
