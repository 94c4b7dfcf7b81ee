"""``torch.utils.file_baton``: one of several processes at a time, by a file that only one can make."""

from __future__ import annotations

import os
import time
import warnings

__all__ = ["FileBaton"]


class FileBaton:
    """Who makes the file has the baton, and takes the file away when it is done; others wait until it is gone, asking every ``wait_seconds``."""

    def __init__(self, lock_file_path: str, wait_seconds: float = 0.1, warn_after_seconds: float | None = None) -> None:
        self.lock_file_path, self.wait_seconds, self.warn_after_seconds = lock_file_path, wait_seconds, warn_after_seconds
        self.fd: int | None = None

    def try_acquire(self) -> bool:
        """Whether this process has made the file."""
        try:
            self.fd = os.open(self.lock_file_path, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        return True

    def wait(self) -> None:
        """Until the file is gone. A warning, once, after ``warn_after_seconds``."""
        patience = None if self.warn_after_seconds is None else time.monotonic() + self.warn_after_seconds
        while os.path.exists(self.lock_file_path):
            time.sleep(self.wait_seconds)
            if patience is not None and time.monotonic() > patience:
                warnings.warn(f'Waited on lock file "{self.lock_file_path}" for {self.warn_after_seconds} seconds.', stacklevel=2)
                patience = None

    def release(self) -> None:
        """Take the file away."""
        if self.fd is not None:
            os.close(self.fd)
        os.remove(self.lock_file_path)
