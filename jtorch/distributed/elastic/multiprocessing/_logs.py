"""Which output of which process goes where."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import IntFlag

__all__ = ["DefaultLogsSpecs", "LogsDest", "LogsSpecs", "Std", "to_map"]
_log = logging.getLogger(__name__)
_VALUE, _MAPPING = r"^[0123]$", r"^(\d:[0123],)*(\d:[0123])$"


class Std(IntFlag):
    """Streams of a process."""

    NONE = 0
    OUT = 1
    ERR = 2
    ALL = OUT | ERR

    @classmethod
    def from_str(cls, vm: str) -> Std | dict[int, Std]:
        """Of a text: "3" is ALL; "0:1,1:2" is one for each process. ValueError for another text."""
        if re.match(_VALUE, vm):
            return Std(int(vm))
        if re.match(_MAPPING, vm):
            return {int(i): Std(int(v)) for i, v in (pair.split(":") for pair in vm.split(","))}
        raise ValueError(f"{vm} does not match: <{_VALUE}> or <{_MAPPING}>")


def to_map(val_or_map: Std | dict[int, Std], local_world_size: int) -> dict[int, Std]:
    """One for each process; those that a dict leaves out have NONE."""
    if isinstance(val_or_map, Std):
        return dict.fromkeys(range(local_world_size), val_or_map)
    return {i: val_or_map.get(i, Std.NONE) for i in range(local_world_size)}


@dataclass
class LogsDest:
    """Paths by process; an empty one is the console."""

    stdouts: dict[int, str] = field(default_factory=dict)
    stderrs: dict[int, str] = field(default_factory=dict)
    tee_stdouts: dict[int, str] = field(default_factory=dict)
    tee_stderrs: dict[int, str] = field(default_factory=dict)
    error_files: dict[int, str] = field(default_factory=dict)
    filtered_stdout: str = ""
    filtered_stderr: str = ""


class LogsSpecs(ABC):
    """``redirects`` go to files below ``log_dir``; ``tee`` to files and to the console; only processes in ``local_ranks_filter``, if there is one, are shown there."""

    def __init__(self, log_dir: str | None = None, redirects: Std | dict[int, Std] = Std.NONE, tee: Std | dict[int, Std] = Std.NONE, local_ranks_filter: set[int] | None = None) -> None:
        self._root_log_dir, self._redirects, self._tee, self._local_ranks_filter = log_dir, redirects, tee, local_ranks_filter

    @abstractmethod
    def reify(self, envs: dict[int, dict[str, str]]) -> LogsDest:
        """The paths, for processes with these environments."""

    @property
    @abstractmethod
    def root_log_dir(self) -> str:
        """The folder."""


class DefaultLogsSpecs(LogsSpecs):
    """Files ``<log_dir>/<run>_.../attempt_<n>/<process>/stdout.log``, ``stderr.log`` and ``error.json``. NotADirectoryError if ``log_dir`` is a file."""

    def __init__(self, log_dir: str | None = None, redirects: Std | dict[int, Std] = Std.NONE, tee: Std | dict[int, Std] = Std.NONE, local_ranks_filter: set[int] | None = None) -> None:
        if log_dir != os.devnull:
            if not log_dir:
                log_dir = tempfile.mkdtemp(prefix="torchelastic_")
            elif os.path.isfile(log_dir):
                raise NotADirectoryError(f"log_dir: {log_dir} is a file")
            os.makedirs(log_dir, exist_ok=True)
        super().__init__(log_dir, redirects, tee, local_ranks_filter)
        self._run_log_dir: str | None = None

    @property
    def root_log_dir(self) -> str:
        return str(self._root_log_dir)

    def reify(self, envs: dict[int, dict[str, str]]) -> LogsDest:
        """The paths; the folders are made, and each environment is told its error file."""
        count = len(envs)
        if not count:
            _log.warning("Empty envs map provided when defining logging destinations.")
        common, nowhere = envs[0] if count else {}, self._root_log_dir == os.devnull
        folder = os.devnull
        if not nowhere:
            if self._run_log_dir is None:
                self._run_log_dir = tempfile.mkdtemp(prefix=f"{common.get('TORCHELASTIC_RUN_ID', 'test_run_id')}_", dir=self._root_log_dir)
            folder = os.path.join(self._run_log_dir, f"attempt_{common.get('TORCHELASTIC_RESTART_COUNT', '0')}")
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
        tees = to_map(self._tee, count)
        files = {i: kept | tees[i] for i, kept in to_map(self._redirects, count).items()}
        out = LogsDest(dict.fromkeys(range(count), ""), dict.fromkeys(range(count), ""), filtered_stdout=os.path.join(folder, "filtered_stdout.log"), filtered_stderr=os.path.join(folder, "filtered_stderr.log"))
        for i in range(count):
            if nowhere:
                out.tee_stdouts[i] = out.tee_stderrs[i] = out.error_files[i] = os.devnull
                envs[i]["TORCHELASTIC_ERROR_FILE"] = ""
                continue
            mine = os.path.join(folder, str(i))
            os.mkdir(mine)
            hidden = bool(self._local_ranks_filter) and i not in self._local_ranks_filter  # type: ignore[operator]
            for stream, paths, shown, name in ((Std.OUT, out.stdouts, out.tee_stdouts, "stdout.log"), (Std.ERR, out.stderrs, out.tee_stderrs, "stderr.log")):
                if files[i] & stream:
                    paths[i] = os.path.join(mine, name)
                if tees[i] & stream and not hidden:
                    shown[i] = paths[i]
                if hidden and not paths[i]:
                    paths[i] = os.devnull
            out.error_files[i] = envs[i]["TORCHELASTIC_ERROR_FILE"] = os.path.join(mine, "error.json")
        return out

    def __repr__(self) -> str:
        return f"DefaultLogsSpecs(root_log_dir={self._root_log_dir}, redirects={self._redirects}, tee={self._tee}, local_ranks_filter={self._local_ranks_filter})"

    def __eq__(self, other: object) -> bool:
        mine = (self._root_log_dir, self._redirects, self._tee, self._local_ranks_filter)
        return isinstance(other, DefaultLogsSpecs) and mine == (other._root_log_dir, other._redirects, other._tee, other._local_ranks_filter)

    __hash__ = None  # type: ignore[assignment]
