"""What a process leaves behind when it fails: a file that its launcher reads."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import time
import traceback
import warnings
from typing import Any

__all__ = ["ErrorHandler"]
_log = logging.getLogger(__name__)


class ErrorHandler:
    """Writes exceptions into the file that the environment variable TORCHELASTIC_ERROR_FILE names."""

    def _get_error_file_path(self) -> str | None:
        return os.environ.get("TORCHELASTIC_ERROR_FILE")

    def initialize(self) -> None:
        """To be called before the work begins: tracebacks of crashes, too, are printed."""
        try:
            faulthandler.enable(all_threads=True)
        except Exception as error:
            warnings.warn(f"Unable to enable fault handler. {type(error).__name__}: {error}", stacklevel=2)

    def record_exception(self, e: BaseException) -> None:
        """Write what is known of an exception."""
        path = self._get_error_file_path()
        if path:
            told = {"message": {"message": f"{type(e).__name__}: {e}", "extraInfo": {"py_callstack": traceback.format_exc(), "timestamp": str(int(time.time()))}}}
            with open(path, "w") as file:
                json.dump(told, file)

    def override_error_code_in_rootcause_data(self, rootcause_error_file: str, rootcause_error: dict[str, Any], error_code: int = 0) -> None:
        """The code with which the process ended, which it did not know itself."""
        if "message" not in rootcause_error:
            _log.warning("child error file (%s) does not have field `message`. \ncannot override error code: %s", rootcause_error_file, error_code)
        elif isinstance(rootcause_error["message"], str):
            _log.warning("child error file (%s) has a new message format. \nskipping error code override", rootcause_error_file)
        else:
            rootcause_error["message"]["errorCode"] = error_code

    def dump_error_file(self, rootcause_error_file: str, error_code: int = 0) -> None:
        """A child's file becomes this process's own."""
        with open(rootcause_error_file) as file:
            told = json.load(file)
        if error_code:
            self.override_error_code_in_rootcause_data(rootcause_error_file, told, error_code)
        path = self._get_error_file_path()
        if path is None:
            _log.error("no error file defined for parent, to copy child error file (%s)", rootcause_error_file)
            return
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        try:
            with open(path, "w") as file:
                json.dump(told, file)
        except Exception as error:
            warnings.warn(f"Unable to write error to file. {type(error).__name__}: {error}", stacklevel=2)
