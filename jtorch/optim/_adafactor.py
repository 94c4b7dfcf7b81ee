"""Adafactor: second moments of matrices as the product of a row and a column."""

from __future__ import annotations

from typing import Any, ClassVar

from jtorch._public import torch
from jtorch.optim import _apply
from jtorch.optim._per_parameter import PerParameterOptimizer, check_steps
from jtorch.optim.optimizer import Closure, ParamsT, _get_scalar_dtype, _to_scalar

__all__ = ["Adafactor"]


class Adafactor(PerParameterOptimizer):
    """Steps relative to the parameter's own size, with second moments that take a row and a column instead of a matrix.

    ``lr`` bounds the relative step; ``beta2_decay`` sets how fast the moments lengthen; ``eps``: the smallest second moment
    (None: the type's epsilon) and the smallest parameter size; ``d``: the size from which an update is clipped.
    """

    _added_options: ClassVar[dict[str, Any]] = {"foreach": None}
    _sparse_error = "Adafactor does not support sparse gradients"

    def __init__(
        self, params: ParamsT, lr: Any = 1e-2, beta2_decay: float = -0.8, eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0,
        weight_decay: float = 0.0, *, foreach: bool | None = None, maximize: bool = False,
    ) -> None:  # fmt: skip
        if isinstance(lr, torch.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        super().__init__(params, {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize,
        })  # fmt: skip

    def step(self, closure: Closure = None) -> Any:
        """Update the parameters from their gradients. ``closure``, where given, evaluates the model again and returns the loss."""
        with torch.no_grad():
            loss = self._evaluate(closure)
            _apply.in_a_step(self._update_group, self.param_groups)
        return loss

    def _scalar(self, value: float, p: Any, group: dict[str, Any]) -> Any:
        return torch.tensor(value, dtype=_get_scalar_dtype())

    def _new_state(self, p: Any, grad: Any, group: dict[str, Any]) -> dict[str, Any]:
        state = {"step": self._scalar(0.0, p, group)}
        if grad.dim() > 1:
            shape = list(grad.shape)
            state["row_var"] = grad.new_zeros([*shape[:-1], 1])
            state["col_var"] = grad.new_zeros([*shape[:-2], 1, shape[-1]])
        else:
            state["variance"] = _apply.zeros_like(grad)
        return state

    def _update_group(self, group: dict[str, Any]) -> None:
        if any(p.grad is not None and p.is_complex() for p in group["params"]):
            raise RuntimeError("Adafactor does not support complex parameters")
        params, grads, states = self._gather(group)
        adafactor(
            params, grads, [s.get("row_var") for s in states], [s.get("col_var") for s in states], [s.get("variance") for s in states],
            [s["step"] for s in states], group["foreach"], getattr(self, "grad_scale", None), getattr(self, "found_inf", None),
            d=group["d"], lr=group["lr"], beta2_decay=group["beta2_decay"], weight_decay=group["weight_decay"], eps1=group["eps"][0],
            eps2=group["eps"][1], maximize=group["maximize"],
        )  # fmt: skip


def adafactor(
    params: list[Any], grads: list[Any], row_vars: list[Any], col_vars: list[Any], variances: list[Any], state_steps: list[Any],
    foreach: bool | None = None, grad_scale: Any = None, found_inf: Any = None, has_complex: bool = False, *, d: float, lr: Any,
    beta2_decay: float, weight_decay: float, eps1: float | None, eps2: float, maximize: bool,
) -> None:  # fmt: skip
    """Adafactor on lists of tensors, in place."""
    check_steps(state_steps)
    if grad_scale is not None or found_inf is not None:
        raise AssertionError("Grad scaling should occur outside of optimizer.step()")
    lr = _to_scalar(lr)
    steps = _apply.advance(state_steps, _apply.graph_mode(False))
    decay = None if weight_decay == 0 else weight_decay
    known: dict[Any, Any] = {}
    updates: dict[Any, Any] = {}
    for param, grad, row, col, variance, step in zip(params, grads, row_vars, col_vars, variances, steps, strict=True):
        smallest = torch.finfo(param.dtype).eps if eps1 is None else eps1
        scalars = known.get(step)
        if scalars is None:
            scalars = known[step] = _apply.factors("adafactor_factors", step, lr, beta2_decay)
        targets = (param, variance) if variance is not None else (param, row, col)
        rest = (lr, *scalars, smallest, eps2, d, decay, maximize)
        matrix = variance is None
        update = updates.get((step, matrix, smallest))
        if update is None:
            update = _apply.prepare("adafactor_update", (True, True, matrix, matrix, not matrix), rest)
            updates[step, matrix, smallest] = update
        _apply.update(update, (param, grad, *targets[1:]), targets)
