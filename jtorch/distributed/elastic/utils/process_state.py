"""What a process does, as Linux tells."""

from __future__ import annotations

__all__ = ["is_uninterruptible_state", "read_proc_state"]


def read_proc_state(pid: int) -> str | None:
    """The letter of a process's state; None where that cannot be read."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            rest = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return rest[0] if rest else None


def is_uninterruptible_state(state: str | None) -> bool:
    """Whether a state is the sleep that no signal ends."""
    return state is not None and state.startswith("D")
