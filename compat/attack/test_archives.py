"""Archives of TorchScript and exported programs that lie: no memory beside the file's, and nothing of the file runs."""

from __future__ import annotations

import io
import pickle
import random
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import torch

import jtorch
from jtorch import _config

from .files_fuzz import CLEAR, mutant, watch

pytestmark = pytest.mark.filterwarnings("ignore")


def archive() -> bytes:
    """As torch writes them."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(model), buffer)
    return buffer.getvalue()


def changed(file: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The archive with another data.pkl."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info.filename, change(data) if info.filename.endswith("data.pkl") else data)
    return out.getvalue()


def _beyond(body: bytes) -> bytes:
    """The sizes of the first tensor, (3, 2), as many times more."""
    assert b"(K\x03K\x02t" in body
    return body.replace(b"(K\x03K\x02t", b"(M\xff\xffK\x02t", 1)


def _far(body: bytes) -> bytes:
    """Its offset, 0, far outside."""
    assert b"K\x00(K\x03K\x02t" in body
    return body.replace(b"K\x00(K\x03K\x02t", b"J\x00\x00\x00\x40(K\x03K\x02t", 1)


def _cycle(body: bytes) -> bytes:
    return b"\x80\x02c__torch__\nM\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb."


def _laughs(body: bytes) -> bytes:
    start = b"\x80\x02c__torch__\nM\n)\x81}X\x01\x00\x00\x00ac__torch__\nM\n)\x81sbq\x00"
    level = b"c__torch__\nM\n)\x81}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00ubq\x00"
    return start + level * 60 + b"."


def _runs(body: bytes) -> bytes:
    return b"\x80\x02cos\nmkdir\nX\x03\x00\x00\x00ran\x85R."


@pytest.mark.parametrize("lie", [_beyond, _far, _cycle, _laughs], ids=lambda f: f.__name__[1:])
def test_archives_that_lie(lie: Callable[[bytes], bytes]) -> None:
    file = changed(archive(), lie)
    with pytest.raises((RuntimeError, pickle.UnpicklingError)):
        jtorch.jit.weights_of(io.BytesIO(file))


def test_nothing_runs(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert jtorch.jit.weights_of(io.BytesIO(changed(archive(), _runs))) == {}
    assert not (tmp_path / "ran").exists()


def attacked(files: list[bytes], read: Callable[[Any], Any], count: int, seed: str) -> list[str]:
    """Mutants of the files; what must not be."""
    faults, eye = [], watch()
    kept, _config.CACHE_DIR = _config.CACHE_DIR, "0"  # another thread keeps programs
    for at in range(count):
        rng = random.Random(f"{seed}.{at}")
        file = rng.choice(files)
        if rng.random() < 0.6:
            file = changed(file, lambda body, rng=rng: mutant(rng, body))  # type: ignore[misc]
        else:
            file = mutant(rng, file)
        eye.seen.clear()
        eye.on = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(io.BytesIO(file))
        except CLEAR:
            pass
        except Exception as error:
            faults.append(f"{at}: {type(error).__name__}: {str(error)[:200]}")
        finally:
            eye.on = False
        if seen := [e for e in eye.seen if "def forward" not in e and "eval_with_key" not in e]:  # the source that is made of a graph
            faults.append(f"{at}: did {seen[:3]}")
    _config.CACHE_DIR = kept
    return faults


def test_mutants() -> None:
    files = [archive()]
    jtorch.jit.weights_of(io.BytesIO(files[0]))
    assert not (faults := attacked(files, jtorch.jit.weights_of, 60, "archive")), faults[:5]


# --- jtorch's own files of programs


class _Calls:
    def __reduce__(self) -> Any:
        import os

        return os.mkdir, ("ran",)


def traced() -> bytes:
    """A traced function."""
    buffer = io.BytesIO()
    jtorch.jit.save(jtorch.jit.trace(lambda a: jtorch.cat([a.relu(), a[:1] + 1]), jtorch.ones(2, 2)), buffer)
    return buffer.getvalue()


def exported() -> bytes:
    """An exported module."""
    buffer = io.BytesIO()
    jtorch.export.save(jtorch.export.export(jtorch.nn.Sequential(jtorch.nn.Linear(2, 3), jtorch.nn.ReLU()), (jtorch.ones(4, 2),)), buffer)
    return buffer.getvalue()


def program(*nodes: Any) -> io.BytesIO:
    """A file of a function with these nodes between its argument and its result."""
    buffer = io.BytesIO()
    whole = [["placeholder", "a", "a", {"tuple": []}, {"dict": []}], *nodes, ["output", "output", "output", {"tuple": [{"node": "x"}]}, {"dict": []}]]
    jtorch.save({"jtorch.jit": 1, "extra": {}, "kind": "function", "name": "f", "fn": None, "program": {"nodes": whole, "members": []}}, buffer)
    buffer.seek(0)
    return buffer


def call(op: str, target: Any, *args: Any, name: str = "x") -> list[Any]:
    return [op, name, target, {"tuple": [{"node": "a"}, *args]}, {"dict": []}]


def test_programs_are_read_as_data() -> None:
    assert jtorch.jit.load(program(call("call_function", {"function": ["torch", "sin"]})))(jtorch.zeros(2)).tolist() == [0.0, 0.0]
    a = jtorch.tensor([[1.0, -1.0]])
    assert jtorch.jit.load(io.BytesIO(traced()))(a).tolist() == [[1.0, 0.0], [2.0, 0.0]]
    assert jtorch.export.load(io.BytesIO(exported())).module()(jtorch.ones(4, 2)).shape == (4, 3)


@pytest.mark.parametrize(
    "node",
    [
        call("call_function", {"function": ["os", "system"]}), call("call_function", {"function": ["torch", "save"]}), call("call_function", {"function": ["torch", "load"]}),
        call("call_function", {"function": ["torch", "hub.load"]}), call("call_function", {"function": ["builtins", "eval"]}), call("call_function", {"function": ["_operator", "attrgetter"]}),
        call("call_function", {"op": ["aten", "save"]}), call("call_function", {"op": ["aten", "from_file"]}), call("call_function", {"op": ["__class__", "mro"]}),
        call("call_function", {"op": ["loaded_libraries", "add"]}), call("call_function", {"function": ["builtins", "getattr"]}, "__class__"),
        call("call_function", {"function": ["builtins", "getattr"]}, {"node": "a"}), call("call_method", "__getattribute__", "__class__"), call("call_method", "__reduce_ex__", 2),
        call("call_method", "apply_", {"function": ["torch", "sin"]}), call("call_method", "sin() or __import__('os').mkdir('ran') or a.sin"),
        call("call_function", {"function": ["torch", "sin"]}, name="x = __import__('os').mkdir('ran')"), call("call_module", "a"), call("get_attr", "__class__"),
        call("get_attr", "a', __import__('os').mkdir('ran'))"), call("placeholder", "b=__import__('os').mkdir('ran')"), call("call_function", "sin"), call("call_function", {"function": 5}),
    ],
    ids=lambda node: f"{node[0]} {node[2]}"[:60],
)  # fmt: skip
def test_programs_call_what_is_for_tensors(node: list[Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((RuntimeError, AttributeError)):
        jtorch.jit.load(program(node))(jtorch.ones(2))
    assert not list(tmp_path.iterdir())


def test_files_of_programs_run_nothing(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for body in ({"jtorch.jit": 1, "extra": _Calls()}, {"jtorch.jit": 1, "extra": {}, "kind": "own", "model": _Calls()}):
        jtorch.save(body, buffer := io.BytesIO())
        with pytest.raises(pickle.UnpicklingError, match="mkdir"):
            jtorch.jit.load(io.BytesIO(buffer.getvalue()))
    for part in ("program", "state_dict", "constants", "examples"):
        jtorch.save({"x": _Calls()}, buffer := io.BytesIO())
        with zipfile.ZipFile(io.BytesIO(exported())) as old, zipfile.ZipFile(out := io.BytesIO(), "w") as new:
            for info in old.infolist():
                new.writestr(info.filename, buffer.getvalue() if info.filename == f"{part}.pt" else old.read(info))
        with pytest.raises(pickle.UnpicklingError, match="mkdir"):
            jtorch.export.load(io.BytesIO(out.getvalue()))
    assert not list(tmp_path.iterdir())


def test_classes_of_scripted_modules_are_imported_before(tmp_path: Any) -> None:
    jtorch.jit.save(jtorch.jit.script(jtorch.nn.Sequential(jtorch.nn.Linear(2, 2), jtorch.nn.GELU())), buffer := io.BytesIO())
    assert jtorch.jit.load(io.BytesIO(buffer.getvalue()))(jtorch.ones(1, 2)).shape == (1, 2)
    unknown = changed(buffer.getvalue(), lambda body: body.replace(b"torch.nn.modules.linear\nLinear", b"antigravity_module.here\nLinear"))
    with pytest.raises(pickle.UnpicklingError, match="antigravity"):
        jtorch.jit.load(io.BytesIO(unknown))


def test_mutants_of_programs() -> None:
    for make, read in ((traced, jtorch.jit.load), (exported, jtorch.export.load)):
        files = [make()]
        read(io.BytesIO(files[0]))
        assert not (faults := attacked(files, read, 60, make.__name__)), faults[:5]
