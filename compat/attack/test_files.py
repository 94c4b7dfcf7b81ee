"""Hostile and broken checkpoints: what ``torch.load`` must not do, and that it does not. The long run is ``compat.attack.files_fuzz``."""

from __future__ import annotations

import collections
import inspect
import io
import itertools
import pickle
import struct
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import _weights_only_unpickler as theirs

import jtorch
from jtorch.serialization import _allowed, _rebuild
from jtorch.serialization._state import local
from jtorch.serialization._storage import STORAGE_TYPES, HostStorage

from . import files_fuzz
from .files_beside_torch import compared, tried


def dumped(lib: Any, obj: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    lib.save(obj, stream, **options)
    return stream.getvalue()


def refused(file: bytes, match: str = ".", kind: Any = pickle.UnpicklingError, **options: Any) -> None:
    eye = files_fuzz.watch()
    eye.seen.clear()
    with pytest.raises(kind, match=match):
        eye.on = True
        try:
            jtorch.load(io.BytesIO(file), **options)
        finally:
            eye.on = False
    assert not eye.seen


def archive(body: bytes, **records: bytes) -> bytes:
    return files_fuzz.in_archive(body, {name.removeprefix("_"): data for name, data in records.items()})


# --- every name on the list


def test_the_list_is_torchs() -> None:
    assert set(theirs._get_allowed_globals()) == _allowed.NAMES


def floats(count: int = 4) -> HostStorage:
    return HostStorage(np.arange(count, dtype=np.float32).view(np.uint8), "float32")


def honest_arguments() -> dict[str, tuple[Any, ...]]:
    """By name, the arguments that torch.save writes."""
    t, hooks = jtorch.ones(2), collections.OrderedDict()
    place = (floats(), 0, (2, 2), (2, 1))
    return {
        "collections.OrderedDict": ([("a", 1)],), "collections.Counter": ({"a": 1},), "_codecs.encode": ("abc", "latin1"), "builtins.bytearray": ("abc", "latin-1"),
        "builtins.set": ([1, 2],), "builtins.complex": (1.0, 2.0), "torch.Size": ((1, 2),), "torch.device": ("cpu",), "torch.serialization._get_layout": ("torch.strided",),
        "torch.nn.parameter.Parameter": (t, True), "torch._utils._rebuild_tensor": place, "torch._utils._rebuild_tensor_v2": (*place, True, hooks, {"conj": False}),
        "torch._utils._rebuild_tensor_v3": (*place, False, hooks, jtorch.float32), "torch._utils._rebuild_parameter": (t, True, hooks),
        "torch._utils._rebuild_parameter_with_state": (t, True, hooks, {"note": 1}),
        "torch._utils._rebuild_sparse_tensor": (jtorch.sparse_coo, (jtorch.zeros(1, 2, dtype=jtorch.int64), t, (3,), False)),
        "torch._utils._rebuild_meta_tensor_no_storage": (jtorch.float32, (2,), (1,), False),
        "torch._utils._rebuild_device_tensor_from_cpu_tensor": (t, jtorch.float64, "cpu", False),
        "torch._utils._rebuild_device_tensor_from_numpy": (np.ones(2), jtorch.float64, "cpu", False),
        "torch._tensor._rebuild_from_type_v2": (_rebuild._rebuild_tensor_v2, jtorch.Tensor, (*place, False, hooks), {"note": 1}),
    }  # fmt: skip


class Trap:
    """Notes whether anything was done with it that a file could bring about: called, iterated, asked for attributes, compared, printed."""

    def __init__(self) -> None:
        self.touched: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.touched.append(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.touched.append("call")
        return self

    def __hash__(self) -> int:
        return 1

    for _name in ("iter", "len", "repr", "str", "int", "float", "index", "bool", "eq", "setstate"):
        exec(f"def __{_name}__(self, *args):\n    self.touched.append('{_name}')\n    raise TypeError")


def test_calls_outside() -> None:
    assert all(entry.make is None or callable(entry.make) for entry in map(found, sorted(_allowed.NAMES)) if entry)


def found(name: str) -> Any:
    try:
        return _allowed.allowed_by_default(name)
    except pickle.UnpicklingError as error:
        assert "jtorch has no" in str(error)  # torch's old classes of sparse tensors
        return None


WRONG: tuple[Any, ...] = (
    None, -1, 1 << 40, 1 << 70, 1.5, "save", "zlib_codec", b"x", (), [], {}, {"__class__": dict}, {"_s": 1}, {1: 2}, (1, 2, 3), [("a",)], jtorch.Tensor, dict, pickle.loads,
    jtorch.save, _rebuild._rebuild_from_type_v2, _rebuild._rebuild_parameter, jtorch.float32, jtorch.strided, STORAGE_TYPES["FloatStorage"], collections.OrderedDict({1: print}),
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(_allowed.NAMES))
def test_no_argument_makes_a_name_do_anything(name: str) -> None:
    """Each argument of each name replaced by each wrong thing, and by one that notices being touched; more and fewer arguments too."""
    entry = found(name)
    if entry is None or entry.make is None:
        path = files_fuzz._global(name)
        refused(archive(b"\x80\x02" + path + b")R."))
        return
    honest = honest_arguments().get(name, ())
    found("torch._utils._rebuild_tensor_v2")  # a file that gives it to another function has named it
    unimplemented = name.rpartition(".")[2] in ("_rebuild_nested_tensor", "_rebuild_wrapper_subclass", "_rebuild_qtensor")
    eye, made = files_fuzz.watch(), 0
    jtorch.cuda.is_available()  # JAX looks for its devices once
    local.work = 1 << 16
    if not unimplemented and "cuda" not in name:
        entry.make(*honest)  # and what is imported at first use
        made += 1
    given: list[tuple[Any, ...]] = [(), honest[:-1], (*honest, 1), *itertools.product(WRONG, repeat=1), *itertools.product(WRONG[:12], repeat=2)]
    trap = Trap()
    for at in range(len(honest)):
        given += [(*honest[:at], wrong, *honest[at + 1 :]) for wrong in (*WRONG, trap)]
    inner = 2 if "_from_type" in name else 1 if "_sparse" in name else None  # a tuple of arguments inside the arguments
    for at in range(len(honest[inner]) if inner is not None else 0):
        part = honest[inner]
        given += [(*honest[:inner], (*part[:at], wrong, *part[at + 1 :]), *honest[inner + 1 :]) for wrong in (*WRONG, trap)]
    eye.seen.clear()
    for args in given:
        local.work = 1 << 16
        eye.on = True
        try:
            entry.make(*args)
            made += 1
        except (pickle.UnpicklingError, TypeError, RuntimeError, AssertionError, NotImplementedError):
            pass  # TypeErrors come from the number of arguments; the unpickler makes them UnpicklingErrors
        finally:
            eye.on = False
    assert not eye.seen and not trap.touched
    assert made or unimplemented or "cuda" in name


def test_makers_call_nothing_that_they_are_given() -> None:
    """The makers' own text: a parameter of theirs is never called, and none of the names stands in it that could run, import or open."""
    for make in {entry.make for entry in map(found, _allowed.NAMES) if entry and entry.make}:
        text, names = inspect.getsource(make), inspect.signature(make).parameters
        assert not any(f" {name}(" in text or f"({name}(" in text for name in names if name != "kind"), text
        assert not any(word in text for word in ("__import__", "import_module", "exec(", "eval(", "open(", "getattr(torch"))


# --- particular attacks


def test_layouts_are_not_attributes(tmp_path: Path) -> None:
    target = tmp_path / "victim"
    target.write_text("mine")
    text = files_fuzz._text
    call = files_fuzz._global("torch.serialization._get_layout") + text("save") + b"\x85R"
    args = b"(" + text("gone") + text(str(target)) + b"t"
    refused(archive(b"\x80\x02" + files_fuzz._global("torch._tensor._rebuild_from_type_v2") + b"(" + call + files_fuzz._global("torch.Tensor") + args + b"}tR."), "layout")
    assert target.read_text() == "mine"


class Runs:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('it ran')",)


def test_no_part_of_an_old_file_is_read_without_care() -> None:
    tensor = jtorch.ones(2)
    good = dumped(jtorch, tensor, _use_new_zipfile_serialization=False)
    keys_at = good.rindex(b"\x80\x02]")
    refused(good[:keys_at] + pickle.dumps([Runs()], 2) + good[keys_at:], "Unsupported global")
    for at in range(4):
        heads = [pickle.dumps(x, 2) for x in (jtorch.serialization.MAGIC_NUMBER, 1001, {}, [1])]
        heads[at] = pickle.dumps(Runs(), 2)
        refused(b"".join(heads), "Unsupported global")


def test_old_files_never_give_memory_that_they_do_not_hold() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
    raw = dumped(torch, model, _use_new_zipfile_serialization=False)
    ours = jtorch.load(io.BytesIO(raw), weights_only=False)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[key].numpy(), value.numpy())
    for obj, weights_only in ((model, False), (model.state_dict(), True)):
        raw = dumped(torch, obj, _use_new_zipfile_serialization=False)
        for end in range(len(raw) - 1, 0, -7):
            with pytest.raises((pickle.UnpicklingError, EOFError, RuntimeError)):
                jtorch.load(io.BytesIO(raw[:end]), weights_only=weights_only)


def rewritten(raw: bytes, change: Any, **how: Any) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(stream, "w", **how) as new:
        for name in old.namelist():
            for path, data in change(name, old.read(name)):
                new.writestr(path, data)
    return stream.getvalue()


def replacing(ending: str, data: bytes | None) -> Any:
    return lambda name, old: [(name, old)] if not name.endswith(ending) else [] if data is None else [(name, data)]


GOOD = dumped(torch, {"w": torch.arange(100)})
BROKEN = {
    "newer": rewritten(GOOD, replacing("archive/version", b"11\n")), "older": rewritten(GOOD, replacing("archive/version", b"0\n")),
    "short": rewritten(GOOD, replacing("data/0", b"1" * 100)), "long": rewritten(GOOD, replacing("data/0", b"1" * 808)), "gone": rewritten(GOOD, replacing("data/0", None)),
    "no pickle": rewritten(GOOD, replacing("data.pkl", None)), "byte order": rewritten(GOOD, replacing("byteorder", b"middle")),
    "alignment": rewritten(GOOD, replacing("storage_alignment", b"x")),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_records_are_checked(name: str) -> None:
    texts = []
    for lib in (torch, jtorch):
        with pytest.raises((RuntimeError, ValueError)) as error:
            lib.load(io.BytesIO(BROKEN[name]))
        texts.append((error.type, str(error.value).split("] . ")[-1].partition("\n")[0]))
    assert texts[0] == texts[1]


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_indices_are_checked() -> None:
    for theirs_made in (
        torch.sparse_coo_tensor([[5]], [1.0], (2,), check_invariants=False),
        torch.sparse_csr_tensor([0, 1], [5], [1.0], (1, 2), check_invariants=False),
    ):
        refused(dumped(torch, theirs_made), "indices", RuntimeError)


def test_bombs() -> None:
    big = bytes(64 << 20)
    bomb = rewritten(GOOD, lambda name, old: [(name, big if name.endswith("data.pkl") else old)], compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 1 << 18
    report = files_fuzz.Report()
    files_fuzz.tracemalloc.start()
    files_fuzz.attack("bomb", bomb, report)
    # Many names for one record: each is as large as the file.
    data = np.zeros(1 << 16, np.uint8).tobytes()
    pid = b"".join(b"(X\x07\x00\x00\x00storagectorch\nByteStorage\nX\x03\x00\x00\x00%03dX\x03\x00\x00\x00cpuJ\x00\x00\x01\x00tQ" % at for at in range(200))
    body = b"\x80\x02](" + pid + b"e."
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("archive/data.pkl", body)
        made.writestr("archive/version", b"3\n")
        made.writestr("archive/data/000", data)
        first = made.filelist[-1]
        for at in range(1, 200):
            again = zipfile.ZipInfo(f"archive/data/{at:03d}")
            again.header_offset, again.file_size, again.compress_size, again.CRC = first.header_offset, first.file_size, first.compress_size, first.CRC
            made.filelist.append(again)
    files_fuzz.attack("overlap", stream.getvalue(), report)
    files_fuzz.tracemalloc.stop()
    assert not report.faults and set(report.ends) == {"RuntimeError"}


def test_slow_pickles() -> None:
    twice = b")" + b"q\x01h\x01\x86" * 60  # 2 ** 60 elements if it is walked
    colliding = b"}(" + b"".join(b"(" + b"".join(b"J" + struct.pack("<i", -1 - (k >> i & 1)) for i in range(14)) + b"tN" for k in range(1 << 13)) + b"u"
    start = time.thread_time()  # other programs may hold this one up for as long as they like
    refused(archive(b"\x80\x02}" + twice + b"Ns."), "nested")
    refused(archive(b"\x80\x02" + twice + b")R."), "unrecognized function")
    refused(archive(b"\x80\x02" + colliding + b"."), "one hash")
    refused(archive(b"\x80\x02" + b")" + b"\x85" * 200_000 + b"q\x00}h\x00Ns."), "nested")
    assert time.thread_time() - start < 5


def test_expanded_parts_are_refused() -> None:
    wide = jtorch.ones(1).expand(1 << 40)
    local.work = 1 << 30
    for make, args in (
        (_allowed._on_device, (wide, jtorch.float64, "cpu", False)),
        (_allowed._sparse, (jtorch.sparse_coo, (jtorch.zeros(1, 1, dtype=jtorch.int64).expand(1, 1 << 40), wide, (3,)))),
    ):
        with pytest.raises(pickle.UnpicklingError, match="expanded"):
            make(*args)


def test_attributes_do_not_stand_before_the_class() -> None:
    for name in ("_s", "__class__", "data", "numel", "requires_grad"):
        with pytest.raises(pickle.UnpicklingError, match="attribute"):
            _allowed.with_attributes(jtorch.ones(1), {name: 1})
    with pytest.raises(pickle.UnpicklingError, match="attribute"):
        _allowed.with_attributes(collections.OrderedDict(), {"keys": dict})


def test_safetensors_that_lie(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    good = safetensors.save({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.int64)})
    path, rng, eye = tmp_path / "x.safetensors", np.random.RandomState(0), files_fuzz.watch()
    path.write_bytes(good)
    want = {k: v.tolist() for k, v in jtorch.load(path).items()}
    assert want == {"a": [[0, 1, 2], [3, 4, 5]], "b": [1, 1]}
    length = struct.unpack("<Q", good[:8])[0]
    headers = [b"[]", b"{", b'{"a": 1}', b"[" * 100_000, b'{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,99999999999]}}', b'{"a":{"dtype":"F32","shape":[-2,3],"data_offsets":[0,24]}}',
               b'{"a":{"dtype":"X","shape":[6],"data_offsets":[0,24]}}', b'{"a":{"dtype":"F32","shape":[6],"data_offsets":[8,32]}}']  # fmt: skip
    lies = [good[:4], struct.pack("<Q", 1 << 60) + good[8:], *(struct.pack("<Q", len(h)) + h + good[8 + length :] for h in headers), good + b"1", good[:-1]]
    for _ in range(150):
        mutated = bytearray(good)
        mutated[rng.randint(8 + length)] = rng.randint(256)
        lies.append(bytes(mutated))
    eye.seen.clear()
    for lie in lies:
        path.write_bytes(lie)
        try:
            found = jtorch.load(path)
        except RuntimeError:
            continue
        assert {t.numel() for t in found.values()} <= {2, 6}
    assert len(lies) > 150


# --- a share of the long run


def test_a_share_of_the_long_run() -> None:
    report = files_fuzz.Report()
    files_fuzz.run(500, 300, 1, report)
    assert not report.faults, report.faults[:10]
    assert report.ends["loaded"] > 60


# What torch's container minds about records' headers that hold nothing that is read.
_BOOKKEEPING = ("PytorchStreamReader failed", "codec can't decode", "inline_container")


def test_mutants_beside_torch() -> None:
    ends, faults = compared(500, 2)
    assert not [text for text in faults if not any(word in text for word in _BOOKKEEPING)]
    assert ends["torch loads, jtorch loads"] > 50 and len(faults) < 15


def test_no_directory_is_taken_that_torch_refuses() -> None:
    file = dumped(torch, {"a": torch.arange(3.0), "b": [1, "two"]})
    start = file.index(b"PK\x01\x02")
    taken = 0
    for at in range(start, len(file)):
        for change in (0x01, 0x10, 0x80, file[at] ^ 0xFF or 0xFF):
            changed = file[:at] + bytes([file[at] ^ change]) + file[at + 1 :]
            ours = tried(jtorch, changed)
            if ours[0] == "loaded":
                taken += 1
                assert tried(torch, changed) == ours, (at - start, change)
    assert taken > 100  # times, checksums and the like, at which neither looks
