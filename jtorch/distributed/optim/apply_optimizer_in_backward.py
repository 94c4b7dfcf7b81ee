"""Optimizers that update each parameter in backward, as soon as its gradient is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jtorch.nn.modules.module import Module

__all__: list[str] = []


def _apply_optimizer_in_backward(optimizer_class: Any, params: Iterable[Any], optimizer_kwargs: dict[str, Any], register_hook: bool = True) -> None:
    """An optimizer of its own for each parameter: it steps when the parameter's gradient has come, which is None afterwards."""

    def update(p: Any) -> None:
        for optimizer in p._in_backward_optimizers:
            optimizer.step()
        p.grad = None

    for p in params:
        first = not hasattr(p, "_in_backward_optimizers")
        if first:
            p._in_backward_optimizers, p._optimizer_classes, p._optimizer_kwargs = [], [], []
        p._in_backward_optimizers.append(optimizer_class([p], **optimizer_kwargs))
        p._optimizer_classes.append(optimizer_class)
        p._optimizer_kwargs.append(optimizer_kwargs)
        if register_hook and first:
            p.register_post_accumulate_grad_hook(update)


def _get_in_backward_optimizers(module: Module) -> list[Any]:
    """The optimizers of a module's parameters."""
    return [optimizer for p in module.parameters() for optimizer in getattr(p, "_in_backward_optimizers", ())]
