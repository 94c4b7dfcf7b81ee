"""``torch._guards``: what a capture of bytecode keeps while it runs. None runs here."""

from __future__ import annotations

from typing import Any

__all__ = ["CompileContext", "TracingContext", "active_fake_mode", "detect_fake_mode"]


class TracingContext:
    """The state of a capture."""

    @staticmethod
    def try_get() -> Any:
        """That of the capture that is running: None."""
        return None

    @staticmethod
    def get() -> Any:
        """Likewise. RuntimeError: there is none."""
        raise RuntimeError("TracingContext.get() must be called within an ongoing trace.")


class CompileContext(TracingContext):
    """The state of a compilation."""


def active_fake_mode() -> Any:
    """The FakeTensorMode that is on."""
    return None


def detect_fake_mode(inputs: Any = None) -> Any:
    """The FakeTensorMode of these tensors."""
    return None
