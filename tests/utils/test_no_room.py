"""A full disk, or a folder that cannot be written to: what was there before stays, nothing is left behind, and what is kept for later starts is done without."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jtorch as torch
from jtorch import _config
from jtorch._engine.keeping import store

resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX's")


@contextlib.contextmanager
def room(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("size", [0, 10, 700, 8000])
def test_a_file_that_cannot_be_written_is_the_old_one(tmp_path: Path, new: bool, size: int) -> None:
    path = tmp_path / "m.pt"
    torch.save({"a": torch.zeros(5)}, path, _use_new_zipfile_serialization=new)
    with pytest.raises(RuntimeError if new else OSError) as caught, room(size):  # as in torch, whose files are torn then
        torch.save({"a": torch.ones(2000)}, path, _use_new_zipfile_serialization=new)
    assert isinstance(caught.value, OSError)
    assert caught.value.errno
    assert torch.load(path)["a"].tolist() == [0.0] * 5
    assert os.listdir(tmp_path) == ["m.pt"]


class Full(io.RawIOBase):
    """A stream that takes so many bytes."""

    def __init__(self, left: int) -> None:
        self.left = left

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if len(data) > self.left:
            raise OSError(28, "No space left on device")
        self.left -= len(data)
        return len(data)


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_a_stream_that_is_full(size: int) -> None:
    with pytest.raises(RuntimeError, match="PytorchStreamWriter failed writing file: No space left"):
        torch.save({"a": torch.ones(2000)}, Full(size))


@pytest.mark.parametrize("size", [0, 500, 9000])
def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path: Path, size: int) -> None:
    checkpoint = torch.distributed.checkpoint
    checkpoint.save({"a": torch.zeros(2000)}, checkpoint_id=tmp_path)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(checkpoint.CheckpointException), room(size):
        checkpoint.save({"a": torch.ones(2000), "b": {str(i): torch.ones(()) for i in range(20)}}, checkpoint_id=tmp_path)
    assert sorted(os.listdir(tmp_path)) == before
    state = {"a": torch.ones(2000)}
    checkpoint.load(state, checkpoint_id=tmp_path)
    assert not state["a"].any()


@pytest.mark.parametrize("size", [0, 4096, 100_000])
def test_programs_that_cannot_be_kept_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(_config, "CACHE_DIR", str(tmp_path))
    os.chmod(tmp_path, 0o700)
    store.close()
    try:
        with room(size):
            for k in range(4):
                store.put(store.key_of(str(k)), lambda: bytes(50_000))
            store.flush()
            assert store.get(store.key_of("0")) in (None, bytes(50_000))
        store.close()
        store.put(store.key_of("later"), lambda: b"there is room again")
        store.flush()
        store.close()
        assert store.get(store.key_of("later")) == b"there is room again"
    finally:
        store.close()


PROGRAM = "import jtorch as torch; x = torch.ones(33, 3, requires_grad=True); (x.exp() * 2).sum().backward(); print(x.grad.sum().item(), torch.arange(5).sum().item())"


@pytest.mark.slow
@pytest.mark.parametrize("where", ["a file", "a system's folder", "nowhere", "no home at all"])
def test_a_cache_folder_that_cannot_be(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    given = {
        "a file": {"XDG_CACHE_HOME": str(tmp_path / "file")}, "a system's folder": {"XDG_CACHE_HOME": "/proc"}, "nowhere": {"XDG_CACHE_HOME": "/proc/none/such"},
        "no home at all": {"HOME": "/proc/none"},
    }[where]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME", "JTORCH_CACHE_DIR")} | given
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[1] == "10"
