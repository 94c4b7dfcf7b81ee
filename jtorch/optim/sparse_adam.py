"""Adam for sparse gradients."""

from __future__ import annotations

import math
from operator import setitem
from typing import Any

from jtorch._api._sparse import padded
from jtorch._public import torch
from jtorch.optim import _apply
from jtorch.optim.optimizer import Closure, Optimizer, ParamsT, _to_scalar

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam on the entries that a sparse gradient has; all other entries keep their values and moments ("lazy" Adam).

    Parameters are dense, gradients sparse (``nn.Embedding(sparse=True)``).
    """

    def __init__(
        self, params: ParamsT, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, maximize: bool = False
    ) -> None:
        if isinstance(lr, torch.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 < lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 < eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for i in range(2):
            if not 0.0 <= betas[i] < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        places = [(i, j, p) for i, group in enumerate(self.param_groups) for j, p in enumerate(group["params"])]
        if found := [[i, j] for i, j, p in places if p.is_sparse]:
            raise ValueError(f"Sparse params at indices {found}: SparseAdam requires dense parameter tensors")
        if found := [[i, j] for i, j, p in places if p.is_complex()]:
            raise ValueError(f"Complex params at indices {found}: SparseAdam does not support complex parameters")

    def step(self, closure: Closure = None) -> Any:
        """Update the parameters from their gradients. ``closure``, where given, evaluates the model again and returns the loss."""
        with torch.no_grad():
            loss = self._evaluate(closure)
            _apply.in_a_step(self._update_group, self.param_groups)
        return loss

    def _update_group(self, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        lr, todo = _to_scalar(group["lr"]), []
        for p in group["params"]:
            if p.grad is None:
                continue
            if not p.grad.is_sparse:
                raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
            state = self.state[p]
            if not state:
                state.update(step=0, exp_avg=_apply.zeros_like(p), exp_avg_sq=_apply.zeros_like(p))
            todo.append((p, p.grad, state, state["step"] + 1))
        for p, grad, state, step in todo:
            _apply.put(map(setitem, (state,), ("step",), (step,)))
            indices, values = padded(grad)
            if values.numel() == 0:
                continue
            moments = (state["exp_avg"], state["exp_avg_sq"])
            alpha = -(lr * math.sqrt(1 - beta2**step) / (1 - beta1**step))
            scalars = (alpha, beta1, beta2, group["eps"], group.get("maximize", False))
            update = _apply.prepare("sparse_adam_update", (True,) * 5, scalars)
            _apply.update(update, (p, indices, values, *moments), (p, *moments))
