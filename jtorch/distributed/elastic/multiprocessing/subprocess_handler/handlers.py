"""The handler that is used where none is given."""

from __future__ import annotations

from typing import Any

from .subprocess_handler import SubprocessHandler

__all__ = ["get_subprocess_handler"]


def get_subprocess_handler(
    entrypoint: str, args: tuple[Any, ...], env: dict[str, str], stdout: str | None, stderr: str | None, local_rank_id: int, numa_options: Any = None
) -> SubprocessHandler:
    """Start a program."""
    return SubprocessHandler(entrypoint, args, env, stdout, stderr, local_rank_id, numa_options)
