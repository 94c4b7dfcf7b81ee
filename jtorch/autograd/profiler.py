"""``record_function`` marks a piece of the program for JAX's profiler; the rest of torch's profiler is a gap."""

from __future__ import annotations

from typing import Any

from jtorch._errors import not_implemented

__all__ = ["record_function", "profile"]


class record_function:
    """A named region."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def profile(*_: Any, **__: Any) -> Any:
    not_implemented("torch.autograd.profiler.profile", "use jax.profiler.trace")
