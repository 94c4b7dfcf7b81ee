"""What went wrong in the processes that torchrun started."""

from __future__ import annotations

import functools
import json
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

from jtorch.distributed._agent import ChildFailedError, ProcessFailure

__all__ = ["ChildFailedError", "ProcessFailure", "record"]


def record(fn: Callable[..., Any], error_handler: Any = None) -> Callable[..., Any]:
    """``fn``; its exception is also written to the file that TORCHELASTIC_ERROR_FILE names, if that is set."""

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except SystemExit as stop:
            if stop.code:
                raise
            return None
        except Exception as error:
            path = os.environ.get("TORCHELASTIC_ERROR_FILE")
            if path:
                told = {"message": {"message": f"{type(error).__name__}: {error}", "extraInfo": {"py_callstack": traceback.format_exc(), "timestamp": str(int(time.time()))}}}
                with open(path, "w") as file:
                    json.dump(told, file)
            raise

    return wrapped
