"""``python -m jtorch --check``: every call of a program again under real torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

import jtorch
from jtorch._checker import calls

PROGRAM = """
import torch
from torch import nn
torch.manual_seed(0)
m = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
o = torch.optim.AdamW(m.parameters(), lr=1e-2)
x, y = torch.randn(16, 4), torch.randint(0, 2, (16,))
for i in range(2):
    o.zero_grad()
    nn.functional.cross_entropy(m(x), y).backward()
    o.step()
a = torch.arange(6.0).view(2, 3)
b = a[0]
b.mul_(2)
a[1] = b + 1
values, places = a.sort(descending=True)
try:
    torch.randn(3, 2) @ torch.randn(4)
except RuntimeError:
    print("caught")
"""


def test_a_whole_program(tmp_path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "jtorch", "--check", str(tmp_path / "program.py")], capture_output=True, text=True, timeout=500
    )
    assert (done.returncode, done.stdout) == (0, "caught\n"), done.stderr
    assert "none differ" in done.stderr and "could not be compared" not in done.stderr


@pytest.fixture(scope="module")
def checking():
    found = calls.Checking()
    yield found
    found._to.close()
    found._process.wait(60)
    found._from.close()


def planted(checking, monkeypatch, name, wrong, *args, **kwargs):
    """Call ``wrong`` as if it were torch's ``name``."""
    monkeypatch.setattr(calls, "_name", lambda func: name)
    checking.differing.clear()
    try:
        checking.__torch_function__(wrong, (), args, kwargs)
    except ValueError:
        pass
    return checking.differing.total()


X = jtorch.tensor([[1.0, 2.0], [3.0, 4.0]])


def raises(*_):
    raise ValueError("no")


@pytest.mark.parametrize(("name", "wrong", "args"), [
    ("torch.sin", jtorch.cos, (X,)),
    ("torch.sin", lambda x: jtorch.sin(x).double(), (X,)),
    ("torch.sin", lambda x: jtorch.sin(x)[None], (X,)),
    ("torch.sin", lambda x: jtorch.sin(x).t(), (X,)),
    ("torch.sin", lambda x: jtorch.sin(x).requires_grad_(), (X,)),
    ("torch.sin", raises, (X,)),
    ("torch.mm", lambda x, y: x, (X, jtorch.ones(3))),
    ("torch.Tensor.size", lambda x, d: 3, (X, 1)),
    ("torch.sort", lambda x: (x, x.long()), (X,)),
    ("torch.Tensor.add_", lambda x, y: x.add_(y).mul_(2), (X.clone(), X)),
])  # fmt: skip
def test_a_planted_difference_is_found(checking, monkeypatch, capfd, name, wrong, args) -> None:
    assert planted(checking, monkeypatch, name, wrong, *args) == 1
    said = capfd.readouterr().err
    assert "test_checker.py" in said and name in said


def test_a_planted_gradient_is_found(checking, monkeypatch, capfd) -> None:
    w = jtorch.ones(3, requires_grad=True)
    monkeypatch.setattr(calls, "_name", lambda func: "torch.Tensor.mul")
    y = checking.__torch_function__(jtorch.Tensor.mul, (), (w, 3.0))
    monkeypatch.setattr(calls, "_name", lambda func: "torch.sum")
    total = checking.__torch_function__(jtorch.sum, (), (y,))
    assert planted(checking, monkeypatch, "torch.Tensor.backward", lambda t: (t * 2).backward(), total) == 1
    assert "gradient" in capfd.readouterr().err


def test_what_differed_is_known_afterwards(checking, monkeypatch) -> None:
    assert planted(checking, monkeypatch, "torch.sin", lambda x: jtorch.sin(x)[None], X) == 1
    monkeypatch.setattr(calls, "_name", lambda func: "torch.sin")
    made = checking.__torch_function__(lambda x: jtorch.sin(x)[None], (), (X,))
    mixed = checking.__torch_function__(lambda x: (jtorch.sin(x), object()), (), (X,))[0]
    before = checking.skipped.total()
    monkeypatch.setattr(calls, "_name", lambda func: "torch.cos")
    checking.differing.clear()
    checking.__torch_function__(jtorch.cos, (), (made,))
    checking.__torch_function__(jtorch.cos, (), (mixed,))
    assert not checking.differing and checking.skipped.total() == before
