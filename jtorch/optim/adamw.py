"""Adam with decoupled weight decay."""

from __future__ import annotations

from functools import partial
from typing import Any

from jtorch.optim.adam import Adam, adam
from jtorch.optim.optimizer import ParamsT

__all__ = ["AdamW", "adamw"]

adamw = partial(adam, decoupled_weight_decay=True)


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters directly, by ``lr * weight_decay``, and stays out of the means."""

    def __init__(
        self, params: ParamsT, lr: Any = 1e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 1e-2,
        amsgrad: bool = False, *, maximize: bool = False, foreach: bool | None = None, capturable: bool = False,
        differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
