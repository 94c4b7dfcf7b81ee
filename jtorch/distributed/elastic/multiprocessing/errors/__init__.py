"""What went wrong in the processes that torchrun started."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from jtorch.distributed._failures import ChildFailedError, ProcessFailure

from .error_handler import ErrorHandler
from .handlers import get_error_handler

__all__ = ["ChildFailedError", "ErrorHandler", "ProcessFailure", "get_error_handler", "record"]
_log = logging.getLogger(__name__)


def record(fn: Callable[..., Any], error_handler: ErrorHandler | None = None) -> Callable[..., Any]:
    """``fn``; its exception is also written to the file that TORCHELASTIC_ERROR_FILE names, if that is set. That of a child that failed is the child's."""
    handler = error_handler or get_error_handler()

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        handler.initialize()
        try:
            return fn(*args, **kwargs)
        except SystemExit as stop:
            if stop.code != 0:
                raise
            return None
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if failure.error_file != "<N/A>":
                handler.dump_error_file(failure.error_file, failure.exitcode)
            else:
                _log.info("local_rank %s FAILED with no error file. Decorate your entrypoint fn with @record for traceback info.", rank)
            raise
        except Exception as error:
            handler.record_exception(error)
            raise

    return wrapped
