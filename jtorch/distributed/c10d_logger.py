"""Nothing public. What torch tells of failing collectives, for libraries that use the same words."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

__all__: list[str] = []
_c10d_logger = logging.getLogger("c10d-NullHandler-default")
_c10d_logger.addHandler(logging.NullHandler())


def _exception_logger(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return func(*args, **kwargs)
        except Exception as error:
            _c10d_logger.debug({"func_name": func.__name__, "error": f"{error}"})
            raise

    return wrapper


def _time_logger(func: Callable[..., Any]) -> Callable[..., Any]:
    return func
