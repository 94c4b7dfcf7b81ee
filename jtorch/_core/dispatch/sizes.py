"""What a program says about its sizes: which will change and which will not. (Without that, what changes is seen from the third size on.)"""

from __future__ import annotations

from typing import Any

from jtorch._core.storage.view_steps import read
from jtorch._engine.families import family
from jtorch._engine.values.thread_state import state

__all__ = ["mark", "pending"]


def mark(t: Any, changing: bool) -> None:
    """Programs that read this tensor are made for all sizes from the second on, or for each size."""
    (family.changing if changing else family.lasting).add(read(t))


def pending(dynamic: bool | None) -> None:
    """The same for what this thread has recorded and not run; None says nothing."""
    if dynamic is not None:
        state.trace.dynamic = dynamic
