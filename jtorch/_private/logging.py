"""``torch._logging``: switches of torch's loggers. jtorch's own say what is compiled: ``JTORCH_LOG``."""

from __future__ import annotations

import logging as _logging
import warnings
from typing import Any

__all__ = ["set_logs", "getArtifactLogger", "trace_structured", "warning_once", "hide_warnings"]


def set_logs(*, all: int | None = None, modules: dict[str, int | bool] | None = None, **levels: Any) -> None:
    """Levels of the loggers below ``torch``, by component (``dynamo=logging.DEBUG``)."""
    if all is not None:
        _logging.getLogger("torch").setLevel(all)
    for name, level in {**levels, **(modules or {})}.items():
        if isinstance(level, int) and not isinstance(level, bool):
            _logging.getLogger(name if name.startswith("torch") else f"torch._{name}").setLevel(level)


def getArtifactLogger(module_qname: str, artifact_name: str) -> _logging.Logger:  # noqa: N802 - torch's name
    """The logger of a kind of artifact."""
    return _logging.getLogger(f"{module_qname}.__{artifact_name}")


def trace_structured(name: str, *args: Any, **kwargs: Any) -> None:
    """A record for tools that read torch's traces: nothing is written."""


_said: set[tuple[str, str]] = set()


def warning_once(logger_obj: _logging.Logger, *args: Any, **kwargs: Any) -> None:
    """A warning, once for each text."""
    key = (logger_obj.name, str(args))
    if key not in _said:
        _said.add(key)
        logger_obj.warning(*args, **kwargs)


class hide_warnings(warnings.catch_warnings):  # noqa: N801 - torch's name
    """Inside, no warning is shown."""

    def __enter__(self) -> Any:
        found = super().__enter__()
        warnings.simplefilter("ignore")
        return found
