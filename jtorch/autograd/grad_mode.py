"""``torch.autograd.grad_mode``: where the contexts that switch gradients are defined."""

from __future__ import annotations

from typing import Any

from jtorch._core.graph.grad_modes import _Context, enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "enforce_grad_layout_policy", "set_multithreading_enabled"]


class set_multithreading_enabled(_Context):
    """Whether backward may use several threads. XLA does as it sees fit."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def clone(self) -> Any:
        return self.__class__(self.mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *args: object) -> None:
        pass


class enforce_grad_layout_policy:
    """Accepted, as a function or a context, without effect: gradients have their tensor's layout, and XLA chooses what lies beneath."""

    def __init__(self, enable: bool = True) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass
