"""A process that is a program, and the files that its output goes to."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

from jtorch._errors import not_implemented

__all__ = ["SubprocessHandler"]


class SubprocessHandler:
    """``entrypoint`` with its arguments, in a session of its own; ``env`` is added to this process's. ``numa_options``: NotImplementedError."""

    def __init__(
        self, entrypoint: str, args: tuple[Any, ...], env: dict[str, str], stdout: str | None, stderr: str | None, local_rank_id: int, numa_options: Any = None
    ) -> None:
        if numa_options is not None:
            not_implemented("torch.distributed.elastic with numa_options", "numactl before the program does it")
        self._stdout, self._stderr = (open(path, "w") if path else None for path in (stdout, stderr))
        self.local_rank_id = local_rank_id
        self.proc = subprocess.Popen([entrypoint, *map(str, args)], env={**os.environ, **env}, stdout=self._stdout, stderr=self._stderr, start_new_session=True)

    def close(self, death_sig: signal.Signals | None = None) -> None:
        """Send a signal (SIGTERM) to the program and its children."""
        os.killpg(self.proc.pid, death_sig or signal.SIGTERM)
        for file in (self._stdout, self._stderr):
            if file is not None:
                file.close()
