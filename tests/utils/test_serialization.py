"""torch.save and torch.load without torch: round trips, sharing, what is left behind by errors."""

from __future__ import annotations

import copy
import io
import os
import pickle
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jtorch as torch
from jtorch import nn


def again(obj: Any, **options: Any) -> Any:
    stream = io.BytesIO()
    torch.save(obj, stream)
    stream.seek(0)
    return torch.load(stream, **options)


def test_training_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    def made() -> Any:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        return model, torch.optim.AdamW(model.parameters(), lr=0.1)

    def step(model: Any, optimizer: Any) -> float:
        optimizer.zero_grad()
        loss = (model(torch.ones(4, 3)) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    model, optimizer = made()
    step(model, optimizer)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}, tmp_path / "c.pt")
    expected = [step(model, optimizer) for _ in range(3)]
    model, optimizer = made()
    state = torch.load(tmp_path / "c.pt")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    assert state["epoch"] == 1 and [step(model, optimizer) for _ in range(3)] == expected


def test_sharing_survives() -> None:
    base = torch.arange(6.0)
    a, b, c = again([base, base[2:4], base.view(2, 3)])
    a.zero_()
    assert b.tolist() == [0, 0] and c.sum() == 0
    part, whole = again([base[1], base])
    whole.fill_(7)
    assert part == 7
    tied = nn.Parameter(torch.ones(2))
    x, y = again([tied, tied])
    assert x is y


def test_only_what_is_saved_is_a_view() -> None:
    weight = again(nn.Linear(3, 2).state_dict())["weight"]
    assert not weight._is_view() and weight.is_contiguous()


def test_whole_modules() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with pytest.raises(pickle.UnpicklingError, match=r"GLOBAL torch\.nn\.modules\.container\.Sequential was not an allowed global"):
        again(model)
    other = again(model, weights_only=False)
    x = torch.ones(1, 2)
    assert torch.equal(other(x), model(x)) and torch.equal(pickle.loads(pickle.dumps(model))(x), model(x))
    assert torch.equal(copy.deepcopy(model)(x), model(x))


def test_pickles_of_tensors() -> None:
    for tensor in (torch.arange(6).view(2, 3).t(), torch.tensor(1.5), torch.ones(2, requires_grad=True), torch.ones(2, dtype=torch.bfloat16)):
        got = pickle.loads(pickle.dumps(tensor))
        assert torch.equal(got, tensor) and got.stride() == tensor.stride() and got.dtype == tensor.dtype and got.requires_grad == tensor.requires_grad
    base = torch.ones(3)
    copy.copy(base).zero_()
    assert base.sum() == 0


class Fails:
    def __reduce__(self) -> Any:
        raise OSError("no")


def test_an_error_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.pt"
    torch.save([1], path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="no"):
        torch.save([torch.ones(3), Fails()], path)
    from jtorch.serialization import _zip

    def full(*args: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(_zip.ZipWriter, "_descriptor", full)
    with pytest.raises(OSError, match="disk full"):
        torch.save([torch.ones(3)], path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["c.pt"]


def test_modes_and_links_of_files(tmp_path: Path) -> None:
    path, link = tmp_path / "c.pt", tmp_path / "latest.pt"
    old = os.umask(0o027)
    try:
        torch.save([1], path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(old)
    path.chmod(0o600)
    link.symlink_to(path)
    torch.save([2], link)
    assert link.is_symlink() and torch.load(path) == [2] and stat.S_IMODE(path.stat().st_mode) == 0o600
    torch.save([1], "/dev/null")


def test_the_archive_is_an_ordinary_aligned_zip(tmp_path: Path) -> None:
    path = tmp_path / "model.final.pt"
    torch.save({"w": torch.ones(100)}, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and "model.final/data/0" in archive.namelist()
        info = archive.getinfo("model.final/data/0")
    raw = path.read_bytes()
    at = raw.index(np.ones(100, np.float32).tobytes())
    assert at % 64 == 0 and info.file_size == 400


def test_mapped_files_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    torch.save(torch.ones(1000), path)
    before = path.read_bytes()
    tensor = torch.load(path, mmap=True)
    tensor.add_(1)
    assert tensor.sum() == 2000 and path.read_bytes() == before


def test_compressed_and_streamed_archives(tmp_path: Path) -> None:
    path, packed = tmp_path / "c.pt", tmp_path / "d.pt"
    torch.save({"w": torch.arange(100)}, path)
    with zipfile.ZipFile(path) as a, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as b:
        for name in a.namelist():
            b.writestr(name, a.read(name))
    assert torch.load(packed)["w"].sum() == 4950


def test_safetensors(tmp_path: Path) -> None:
    numpy_format = pytest.importorskip("safetensors.numpy")
    numpy_format.save_file({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones((), np.int64)}, tmp_path / "x.safetensors")
    got = torch.load(tmp_path / "x.safetensors")
    assert got["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and got["b"].dtype == torch.int64 and got["b"].shape == ()


def test_unknown_modules_are_named() -> None:
    stream = io.BytesIO(b"\x80\x02ctorch.no.such\nThing\nq\x00.")
    from jtorch.serialization._pickler import make_unpickler

    with pytest.raises(ModuleNotFoundError, match="torch.no.such.Thing"):
        make_unpickler(pickle, stream, lambda pid: pid).load()
