"""The memory of tensors: addresses, bytes, files, other processes. Each program runs under both libraries."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import jtorch

LIBS = pytest.mark.parametrize("lib", [torch, jtorch], ids=["torch", "jtorch"])


def floats_at(address: int, count: int) -> list[float]:
    return list((ctypes.c_float * count).from_address(address))


@LIBS
def test_addresses_are_where_the_elements_are(lib: Any) -> None:
    t = lib.arange(6.0)
    assert floats_at(t.data_ptr(), 6) == [0, 1, 2, 3, 4, 5]
    assert t[2:].data_ptr() == t.data_ptr() + 8 and t.view(2, 3)[1].data_ptr() == t.data_ptr() + 12
    assert t.detach().data_ptr() == t.data_ptr() == t.untyped_storage().data_ptr()
    assert t.clone().data_ptr() != t.data_ptr()
    t.mul_(2)
    assert floats_at(t.data_ptr(), 6) == [0, 2, 4, 6, 8, 10]
    u = t + 1  # pending work runs
    assert floats_at(u.data_ptr(), 2) == [1, 3] and u.data_ptr() % 4 == 0
    assert lib.empty(0).data_ptr() == lib.empty(0, 3)[:, :0].data_ptr() == 0
    assert lib.empty(3, device="meta").data_ptr() == 0
    assert {str(t.dtype): t.data_ptr() for t in (lib.ones(3, dtype=lib.bfloat16), lib.ones(3, dtype=lib.bool))}.keys() == {"torch.bfloat16", "torch.bool"}


@LIBS
def test_addresses_stay(lib: Any) -> None:
    t = lib.ones(1000)
    at = t.data_ptr()
    assert (t.sum() + t[3]).item() == 1001 and t.data_ptr() == at
    t.add_(1)
    assert t.data_ptr() == at
    a = t.numpy()
    assert a.ctypes.data == t.data_ptr() == at
    a[0] = 7
    assert floats_at(t.data_ptr(), 2) == [7, 2] and t[0] == 7
    assert t.detach().data_ptr() == at
    del a
    assert t.sum() == 7 + 2 * 999 and t.data_ptr() == at


@LIBS
def test_addresses_of_other_layouts(lib: Any) -> None:
    t = lib.arange(12.0).view(1, 3, 2, 2).contiguous(memory_format=lib.channels_last)
    assert floats_at(t.data_ptr(), 4) == [0, 4, 8, 1]
    t.add_(1)
    assert floats_at(t.data_ptr(), 4) == [1, 5, 9, 2]
    assert floats_at(lib.arange(6.0).view(2, 3).t().data_ptr(), 3) == [0, 1, 2]


@LIBS
def test_an_optimizer_goes_on_after_addresses_were_asked_for(lib: Any) -> None:
    lib.manual_seed(0)
    model = lib.nn.Linear(3, 2)
    optimizer = lib.optim.AdamW(model.parameters(), lr=0.1)
    x, losses = lib.ones(4, 3), []
    for _ in range(5):
        optimizer.zero_grad()
        loss = (model(x) ** 2).sum()
        loss.backward()
        optimizer.step()
        losses.append(round(loss.item(), 4))
        w = model.weight
        assert floats_at(w.data_ptr(), 6) == w.detach().flatten().tolist()
    assert losses == LOSSES.setdefault("losses", losses)


LOSSES: dict[str, list[float]] = {}


def ended(fn: Callable[[], Any]) -> Any:
    try:
        return fn()
    except Exception as error:
        return type(error), str(error).partition("\n")[0]


def int32s(lib: Any) -> Any:
    return lib.arange(4, dtype=lib.int32)


WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "byte": lambda lib, s: s.__setitem__(4, 9),
    "wraps": lambda lib, s: (s.__setitem__(0, 300), s.__setitem__(1, -1)),
    "slice": lambda lib, s: s.__setitem__(slice(0, 4), 5),
    "part": lambda lib, s: s[4:8].__setitem__(0, 77),
    "part of part": lambda lib, s: s[4:12][2:6].fill_(3),
    "fill": lambda lib, s: s.fill_(1),
    "copy": lambda lib, s: s.copy_(lib.ones(4, dtype=lib.int32).untyped_storage()),
    "typed": lambda lib, s: lib.TypedStorage(wrap_storage=s, dtype=lib.int32, _internal=True).untyped().fill_(2),
    "as tensor": lambda lib, s: lib.asarray(s, dtype=lib.uint8).__setitem__(8, 4),
    "set_": lambda lib, s: lib.empty(0, dtype=lib.int16).set_(s).__setitem__(2, 6),
    "set_ strided": lambda lib, s: lib.empty(0, dtype=lib.int32).set_(s, 1, (2,), (2,)).fill_(6),
    "float": lambda lib, s: s.__setitem__(0, 1.5),
    "name": lambda lib, s: s.__setitem__("a", 1),
    "text": lambda lib, s: s.__setitem__(0, "x"),
    "outside": lambda lib, s: s.__setitem__(99, 1),
    "fill float": lambda lib, s: s.fill_(1.5),
    "other size": lambda lib, s: s.copy_(lib.ones(3).untyped_storage()),
    "list": lambda lib, s: s.copy_([1, 2]),
    "set_ too far": lambda lib, s: lib.empty(0, dtype=lib.int32).set_(s, 0, (5,), (1,)),
    "resize": lambda lib, s: s.resize_(8).nbytes(),
    "resize to nothing": lambda lib, s: (s.resize_(0).nbytes(), s.data_ptr(), s.resize_(16).fill_(0).nbytes()),
    "resize text": lambda lib, s: s.resize_("a"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:TypedStorage")
@pytest.mark.parametrize("name", WRITES)
def test_a_storage_is_one_memory(name: str) -> None:
    found = []
    for lib in (torch, jtorch):
        t = int32s(lib)
        s = t.untyped_storage()
        end = ended(lambda lib=lib, s=s: WRITES[name](lib, s))
        values = t[: s.nbytes() // 4].tolist()
        found.append((values, s.nbytes(), tuple(t.shape), end if name.startswith("resize") or isinstance(end, tuple) and isinstance(end[0], type) else None))
    assert found[0] == found[1]


@LIBS
def test_a_storage_grows(lib: Any) -> None:
    t = int32s(lib)
    s = t.untyped_storage()
    s.resize_(32)
    s[16:32].fill_(0)
    longer = lib.empty(0, dtype=lib.int32).set_(s, 0, (8,), (1,))
    assert t.tolist() == [0, 1, 2, 3] and longer.tolist() == [0, 1, 2, 3, 0, 0, 0, 0]
    longer[1] = 9
    assert t.tolist() == [0, 9, 2, 3] and t.untyped_storage() is s


MADE: dict[str, Callable[[Any], Any]] = {
    "size": lambda lib: lib.UntypedStorage(4).nbytes(), "bytes": lambda lib: lib.UntypedStorage([1, 2, 300]).tolist(), "text": lambda lib: lib.UntypedStorage("a"),
    "float": lambda lib: lib.UntypedStorage(1.5), "floats": lambda lib: lib.UntypedStorage([1.5]), "none": lambda lib: lib.UntypedStorage(None),
    "printed": lambda lib: str(lib.UntypedStorage([1, 2])), "empty": lambda lib: str(lib.UntypedStorage(0)), "step": lambda lib: lib.UntypedStorage(4)[::2],
    "index": lambda lib: lib.UntypedStorage(4)["a"], "outside": lambda lib: lib.UntypedStorage(4)[4], "no file": lambda lib: lib.UntypedStorage.from_file("/no/x", False, 8),
    "nothing": lambda lib: lib.UntypedStorage.from_file("/no/x").nbytes(),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_storages_are_made_and_refused_alike(name: str) -> None:
    assert ended(lambda: MADE[name](torch)) == ended(lambda: MADE[name](jtorch))


@LIBS
def test_files_as_memory(lib: Any, tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(64)))
    private = lib.UntypedStorage.from_file(str(path), False, 64)
    part = private[8:16]
    t = lib.asarray(part, dtype=lib.uint8)
    part[0] = 99
    assert private[8] == 99 and t.tolist() == [99, 9, 10, 11, 12, 13, 14, 15] and path.read_bytes() == bytes(range(64))
    assert t.data_ptr() == private.data_ptr() + 8 and private.filename is None
    t.add_(1)
    assert private[8] == 100
    shared = lib.UntypedStorage.from_file(str(path), True, 64)
    shared[1] = 50
    assert path.read_bytes()[1] == 50 and shared.is_shared() and shared.filename == str(path)
    with pytest.raises(RuntimeError, match="smaller than the required mapping size"):
        lib.UntypedStorage.from_file(str(path), False, 100)
    lib.UntypedStorage.from_file(str(tmp_path / "new"), True, 100)
    assert os.path.getsize(tmp_path / "new") == 100


@LIBS
def test_tensors_of_a_mapped_file_stay_when_it_is_let_go(lib: Any, tmp_path: Path) -> None:
    path = tmp_path / "floats"
    np.arange(8, dtype=np.float32).tofile(path)
    whole = lib.UntypedStorage.from_file(str(path), False, 32)
    a = lib.asarray(whole[0:16], dtype=lib.uint8).view(lib.float32).reshape(2, 2)
    b = lib.asarray(whole[16:32], dtype=lib.uint8).view(lib.float32)
    del whole
    assert a.tolist() == [[0, 1], [2, 3]]
    a.mul_(2)
    assert a.tolist() == [[0, 2], [4, 6]] and b.tolist() == [4, 5, 6, 7]
    w = lib.nn.Parameter(a)
    (w.sum() * 3).backward()
    assert w.grad.tolist() == [[3, 3], [3, 3]]


def write_there(t: Any, done: Any) -> None:
    t[1] = 5
    done.put("done")


def send_back(inbox: Any, outbox: Any) -> None:
    t = inbox.get()
    t.add_(1)
    outbox.put((t.tolist(), t.is_shared()))


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_memory_that_processes_share(how: str) -> None:
    context = multiprocessing.get_context(how)
    t = jtorch.zeros(4, 3)
    assert not t.is_shared() and t.share_memory_() is t and t.is_shared() and t.untyped_storage().is_shared()
    row, inbox, outbox = t[2], context.Queue(), context.Queue()
    child = context.Process(target=write_there, args=(t[0], outbox))
    child.start()
    assert outbox.get(timeout=500) == "done" and t[0].tolist() == [0, 5, 0]
    child.join(60)
    child = context.Process(target=send_back, args=(inbox, outbox))
    child.start()
    inbox.put(row)
    assert outbox.get(timeout=500) == ([1, 1, 1], True)
    child.join(60)
    assert t.tolist() == [[0, 5, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0]]
    t.add_(1)
    assert t.is_shared() and t[0].tolist() == [1, 6, 1]


@LIBS
def test_modules_in_shared_memory(lib: Any) -> None:
    model = lib.nn.Linear(2, 2)
    before = model.weight.tolist()
    model.share_memory()
    assert all(p.is_shared() for p in model.parameters()) and model.weight.tolist() == before
    model(lib.ones(1, 2)).sum().backward()
    lib.optim.SGD(model.parameters(), lr=1.0).step()
    np.testing.assert_allclose(model.weight.detach().numpy(), np.asarray(before) - 1, rtol=1e-6)
    assert model.weight.is_shared()


@pytest.mark.filterwarnings("ignore:TypedStorage")
@LIBS
def test_storages_in_files_and_copies(lib: Any, tmp_path: Path) -> None:
    import copy

    t = lib.arange(3, dtype=lib.uint8)
    lib.save({"s": t.untyped_storage(), "t": t}, tmp_path / "x.pt")
    got = lib.load(tmp_path / "x.pt", weights_only=False)
    assert type(got["s"]) is lib.TypedStorage and got["t"].tolist() == [0, 1, 2] and len(got["s"]) == 3
    got["t"][0] = 7
    assert got["s"].untyped()[0] == 7
    s = lib.arange(3, dtype=lib.uint8).untyped_storage()
    assert copy.deepcopy(s).tolist() == [0, 1, 2] and copy.deepcopy([s, s])[0].nbytes() == 3
