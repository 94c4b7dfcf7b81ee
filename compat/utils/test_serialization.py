"""Checkpoints cross between torch and jtorch: every kind of content, both formats, byte for byte where torch is deterministic."""

from __future__ import annotations

import codecs
import collections
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import jtorch
import jtorch.serialization

ANSI_TYPES = (torch.dtype, torch.device, torch.layout)


def dumped(lib: Any, obj: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    lib.save(obj, stream, **options)
    return stream.getvalue()


def same(theirs: Any, ours: Any) -> None:
    if isinstance(theirs, torch.Tensor):
        assert type(theirs).__name__ == type(ours).__name__ and str(theirs.dtype) == str(ours.dtype)
        assert tuple(theirs.shape) == tuple(ours.shape) and theirs.stride() == tuple(ours.stride())
        assert theirs.storage_offset() == ours.storage_offset() and theirs.requires_grad == ours.requires_grad
        assert repr(theirs) == repr(ours)
    elif isinstance(theirs, dict):
        assert list(theirs) == list(ours)
        for key in theirs:
            same(theirs[key], ours[key])
    elif isinstance(theirs, (list, tuple)):
        assert type(theirs).__name__ == type(ours).__name__ and len(theirs) == len(ours)
        for a, b in zip(theirs, ours, strict=True):
            same(a, b)
    elif isinstance(theirs, ANSI_TYPES):
        assert str(theirs) == str(ours)
    else:
        assert theirs == ours


def training_state() -> Any:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "best": 0.5, "note": "x", "none": None}


BASE = torch.arange(24.0).view(4, 6)
TIED = torch.nn.Parameter(torch.ones(2, 2))
CASES: dict[str, Any] = {
    "training": training_state(),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "transposed": BASE.t(),
    "strided": BASE[1:3, ::2],
    "sharing": [BASE, BASE[1], BASE.t()],
    "row": BASE[2],
    "expanded": torch.tensor([1.0, 2.0]).expand(3, 2),
    "channels_last": torch.ones(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "tied": {"a": TIED, "b": TIED},
    "leaf": torch.ones(2, requires_grad=True),
    "empty": torch.empty(0, 3),
    "scalar": torch.tensor(3),
    "plain": [1, 1.5, "x", None, True, b"abc", (1, (2,)), {"k": [2**70]}, collections.OrderedDict(a=1)],
    "names": [torch.Size([2, 3]), torch.bfloat16, torch.device("cpu"), torch.device("cuda", 1), torch.strided],
    **{
        name: torch.ones(2, 3).to(getattr(torch, name))
        for name in (
            "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 uint16 uint32 uint64 float8_e4m3fn float8_e5m2"
        ).split()
    },
}


@pytest.mark.parametrize("name", CASES)
def test_torch_to_jtorch_and_back(name: str, tmp_path: Path) -> None:
    theirs = CASES[name]
    raw = dumped(torch, theirs)
    ours = jtorch.load(io.BytesIO(raw))
    same(theirs, ours)
    same(theirs, jtorch.load(io.BytesIO(raw), weights_only=False))
    back = dumped(jtorch, ours)
    same(torch.load(io.BytesIO(back)), ours)
    end = b"/.data/serialization_id"  # a hash that torch makes of the records
    assert raw[: raw.find(end)] == back[: back.find(end)]
    path = tmp_path / "x.pt"
    path.write_bytes(raw)
    same(theirs, jtorch.load(path, mmap=True))
    same(theirs, pickle.loads(pickle.dumps(ours)))


@pytest.mark.parametrize("name", CASES)
def test_format_before_1_6(name: str) -> None:
    theirs = CASES[name]
    raw = dumped(torch, theirs, _use_new_zipfile_serialization=False)
    ours = jtorch.load(io.BytesIO(raw))
    same(theirs, ours)
    same(theirs, jtorch.load(io.BytesIO(raw), weights_only=False))
    if not name.startswith(("uint16", "uint32", "uint64", "float8")):  # torch cannot read these in this format
        same(torch.load(io.BytesIO(dumped(jtorch, ours, _use_new_zipfile_serialization=False))), ours)


def test_whole_modules_cross() -> None:
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    ours = jtorch.load(io.BytesIO(dumped(torch, theirs)), weights_only=False)
    assert type(ours) is jtorch.nn.Sequential and repr(ours) == repr(theirs)
    x = np.ones((4, 2), np.float32)
    np.testing.assert_allclose(ours(jtorch.from_numpy(x)).detach().numpy(), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-6)


class Unknown:
    """Something that no checkpoint may contain by default."""


def caught(fn: Any) -> Any:
    with pytest.raises(BaseException) as error:
        fn()
    return error.type, str(error.value)


@pytest.mark.parametrize(
    "content",
    [{"x": Unknown()}, print, torch.nn.Linear(1, 1), [exec]],
    ids=["class", "builtin", "module", "exec"],
)
def test_what_weights_only_refuses(content: Any) -> None:
    raw = dumped(torch, content)
    assert caught(lambda: torch.load(io.BytesIO(raw))) == caught(lambda: jtorch.load(io.BytesIO(raw)))
    assert sorted(torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(raw))) == sorted(
        jtorch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(raw))
    )


def test_safe_globals() -> None:
    raw = dumped(torch, {"x": Unknown()})
    with jtorch.serialization.safe_globals([Unknown]):
        assert type(jtorch.load(io.BytesIO(raw))["x"]) is Unknown
    with pytest.raises(pickle.UnpicklingError):
        jtorch.load(io.BytesIO(raw))


def test_objects_of_an_allowed_class_that_the_file_does_not_name() -> None:
    """numpy's dtypes are made by ``numpy.dtype`` and are of classes of their own: accelerate allows one of these to read the random states that it keeps."""
    raw = dumped(torch, {"state": np.arange(3, dtype=np.uint32)})
    allowed = [np._core.multiarray._reconstruct, np.ndarray, np.dtype, codecs.encode]
    for lib in (torch, jtorch):
        with lib.serialization.safe_globals([*allowed, np.dtypes.UInt32DType]):
            assert lib.load(io.BytesIO(raw))["state"].tolist() == [0, 1, 2]
        with lib.serialization.safe_globals(allowed), pytest.raises(pickle.UnpicklingError, match="UInt32DType"):
            lib.load(io.BytesIO(raw))


GOOD = dumped(torch, BASE)
DAMAGED = {
    "empty": b"", "text": b"garbage here", "zip head": b"PK\x03\x04garbage", "cut": GOOD[:500], "end": GOOD[:-1], "pickle": pickle.dumps([1], 2),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("weights_only", [True, False])
def test_damaged_files(name: str, weights_only: bool) -> None:
    found = [caught(lambda: lib.load(io.BytesIO(DAMAGED[name]), weights_only=weights_only)) for lib in (torch, jtorch)]
    assert found[0] == found[1]


def test_arguments(tmp_path: Path) -> None:
    path = str(tmp_path / "x.pt")
    torch.save(BASE, path)
    for fn in (
        lambda lib: lib.load("/nowhere/x.pt"),
        lambda lib: lib.load(3),
        lambda lib: lib.save(1, "/nowhere/x.pt"),
        lambda lib: lib.save(1, 3),
        lambda lib: lib.load(io.BytesIO(GOOD), mmap=True),
        lambda lib: lib.load(path, map_location="cuda:0"),
        lambda lib: lib.load(path, map_location="nonsense"),
        lambda lib: lib.save([lib.ones(2), lambda: 1], io.BytesIO()),
        lambda lib: (lambda t: lib.save([t, t.view(lib.int32)], io.BytesIO()))(lib.ones(2)),
    ):
        assert caught(lambda fn=fn: fn(torch)) == caught(lambda fn=fn: fn(jtorch))


def test_map_location(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(BASE, path)
    for where in ("cpu", {"cpu": "cpu"}, lambda storage, location: storage, lambda storage, location: None):
        same(BASE, jtorch.load(path, map_location=where))
    same(BASE, jtorch.load(path, map_location=jtorch.device("cpu")))
    assert jtorch.load(path, map_location="meta").is_meta
