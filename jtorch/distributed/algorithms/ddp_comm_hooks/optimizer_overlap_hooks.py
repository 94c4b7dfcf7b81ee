"""Communication hooks that update each bucket's parameters as soon as its gradients are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__: list[str] = []


class _OptimizerHookState:
    """An optimizer with ``step_param(parameter, gradient)`` and, if not all, the parameters that it updates. ValueError for one that has no such method."""

    __slots__ = ["functional_optimizer", "params_to_optimize"]

    def __init__(self, functional_optim: Any, params: Any = None) -> None:
        self.functional_optimizer = functional_optim
        if not hasattr(functional_optim, "step_param"):
            raise ValueError(f"Class {type(functional_optim)} must implement method step_param.")
        if params is not None:
            self.params_to_optimize = set(params)


def _hook_then_optimizer(hook: Callable[..., Any], optimizer_state: _OptimizerHookState) -> Callable[..., Any]:
    """``hook``, and then the update."""
    chosen = getattr(optimizer_state, "params_to_optimize", None)

    def hook_then_optimizer_wrapper(hook_state: Any, bucket: Any) -> Any:
        def update(done: Any) -> Any:
            flat = done.value()
            bucket.set_buffer(flat[0] if isinstance(flat, (list, tuple)) else flat)
            for g, p in zip(bucket.gradients(), bucket.parameters(), strict=True):
                if chosen is None or p in chosen:
                    optimizer_state.functional_optimizer.step_param(p, g)
            return bucket.buffer()

        return hook(hook_state, bucket).then(update)

    return hook_then_optimizer_wrapper
