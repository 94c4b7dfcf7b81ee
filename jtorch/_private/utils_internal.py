"""``torch._utils_internal``: hooks for the company that torch comes from; what remains of them outside."""

from __future__ import annotations

import logging
import os
import tempfile
from typing import Any

__all__ = ["get_file_path", "get_writable_path", "get_source_lines_and_file", "resolve_library_path", "signpost_event", "log_torchscript_usage", "prepare_multiprocessing_environment"]

log = logging.getLogger(__name__)
IS_FBCODE = False


def get_file_path(*path_components: str) -> str:
    """A file beside the package."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), *path_components)


def get_writable_path(path: str) -> str:
    """The folder, or a new one where it cannot be written."""
    return path if os.access(path, os.W_OK) else tempfile.mkdtemp(suffix=os.path.basename(path))


def resolve_library_path(path: str) -> str:
    """Where a link leads."""
    return os.path.realpath(path)


def get_source_lines_and_file(obj: Any, error_msg: str | None = None) -> tuple[list[str], int, str | None]:
    """The source of a function or class, its first line and its file."""
    import inspect

    filename = inspect.getsourcefile(obj)
    lines, first = inspect.getsourcelines(obj)
    return lines, first, filename


def signpost_event(category: str, name: str, parameters: dict[str, Any]) -> None:
    """A line in the log."""
    log.info("%s %s: %r", category, name, parameters)


def log_torchscript_usage(api: str, **kwargs: Any) -> None:
    """Likewise."""


def prepare_multiprocessing_environment(path: str) -> None:
    """Nothing to prepare."""
