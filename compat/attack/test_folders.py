"""Folders of ``torch.distributed.checkpoint`` that lie: nothing runs, nothing outside is opened, no memory that the files did not fill is handed out. The long run: ``python -m compat.attack.folders_fuzz``."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as theirs
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata

import jtorch
import jtorch.distributed.checkpoint as ours
from jtorch.distributed.checkpoint.api import CheckpointException
from jtorch.distributed.checkpoint.state_dict_loader import _load_state_dict_from_keys

from . import folders_fuzz

pytestmark = pytest.mark.filterwarnings("ignore")


class _Runs:
    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


def _info(m: Any) -> Any:
    return next(v for k, v in m.storage_data.items() if k.fqn == "w")


def _runs(m: Any) -> None:
    m.planner_data = _Runs()


def _outside(m: Any) -> None:
    _info(m).relative_path = "../outside.distcp"


def _absolute(m: Any) -> None:
    _info(m).relative_path = "/etc/hostname"


def _gap(m: Any) -> None:
    m.state_dict_metadata["w"].chunks = [ChunkStorageMetadata(torch.Size([0, 0]), torch.Size([2, 4]))]


def _twice(m: Any) -> None:
    m.state_dict_metadata["w"].chunks = [ChunkStorageMetadata(torch.Size([0, 0]), torch.Size([2, 4])), ChunkStorageMetadata(torch.Size([1, 0]), torch.Size([1, 4]))]


def _huge(m: Any) -> None:
    m.state_dict_metadata["w"].size = torch.Size([1 << 40])
    m.state_dict_metadata["w"].chunks = [ChunkStorageMetadata(torch.Size([0]), torch.Size([1 << 40]))]


def _far(m: Any) -> None:
    m.planner_data["w"] = ("w", 1 << 40)


def _long(m: Any) -> None:
    _info(m).length = 1 << 40


def _negative(m: Any) -> None:
    _info(m).offset = -5


def _class(m: Any) -> None:
    m.state_dict_metadata["w"].properties = {"dtype": 1}


def _other(m: Any) -> None:
    """Places of what is not there."""
    m.storage_data = {k: v for k, v in m.storage_data.items() if k.fqn != "w"}


@pytest.mark.parametrize("lie", [_runs, _outside, _absolute, _gap, _twice, _huge, _far, _long, _negative, _class, _other], ids=lambda f: f.__name__[1:])
def test_lies(lie: Callable[[Any], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "c"
    theirs.save({"w": torch.ones(3, 4), "b": torch.zeros(2)}, checkpoint_id=str(folder), no_dist=True)
    shutil.copy(folder / "__0_0.distcp", tmp_path / "outside.distcp")
    metadata = theirs.FileSystemReader(folder).read_metadata()
    lie(metadata)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    for read in (lambda: _load_state_dict_from_keys(checkpoint_id=str(folder)), lambda: ours.load({"w": jtorch.zeros(3, 4)}, checkpoint_id=str(folder), no_dist=True)):
        with pytest.raises(CheckpointException) as info:
            read()
        found = info.value.failures[0][0]  # torch's own words for whatever the reader says
        assert isinstance(found, AssertionError) and isinstance(found.__cause__, pickle.UnpicklingError), info.value.failures
    assert not (tmp_path / "ran").exists()


def test_what_planners_of_ones_own_keep_can_be_allowed(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    ours.save({"w": jtorch.ones(2)}, checkpoint_id=str(folder), no_dist=True)
    body = (folder / ".metadata").read_bytes()
    assert b"planner_data" in body
    metadata = theirs.FileSystemReader(folder).read_metadata()
    metadata.planner_data = _Note("mine")
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    with jtorch.serialization.safe_globals([_Note]):
        assert ours.FileSystemReader(folder).read_metadata().planner_data.text == "mine"
    with pytest.raises(pickle.UnpicklingError, match="_Note"):
        ours.FileSystemReader(folder).read_metadata()


class _Note:
    def __init__(self, text: str) -> None:
        self.text = text


def test_a_share_of_the_long_run() -> None:
    report, faults = folders_fuzz.run(60, 1)
    assert sum(report.values()) == 60 and not faults, faults[:5]
