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
        if eye.seen:
            faults.append(f"{at}: did {eye.seen[:3]}")
    return faults


def test_mutants() -> None:
    files = [archive()]
    jtorch.jit.weights_of(io.BytesIO(files[0]))
    assert not (faults := attacked(files, jtorch.jit.weights_of, 60, "archive")), faults[:5]
