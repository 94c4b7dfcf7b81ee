"""The harness itself: real torch passes against itself, and planted mistakes are caught."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from compat import bridge
from compat.compare import compare
from compat.opdb.checks import OpChecks, Options
from compat.run_both import Printed, difference

FEW = Options(samples=3, gradients=2, second=1, variants=2, errors=5)


@pytest.fixture
def against(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Puts another library in jtorch's place."""

    def use(library: Any) -> None:
        monkeypatch.setattr(bridge, "jtorch", lambda: library)

    yield use


@pytest.mark.parametrize("name", ["add", "cat", "sort", "index_put", "nn.functional.dropout", "polygamma.polygamma_n_1", "zero_", "einsum"])
def test_torch_agrees_with_itself(name: str, against: Any) -> None:
    against(torch)
    record = OpChecks(name, FEW).run()
    assert record.status == "pass", record.details


class _Wrong(types.ModuleType):
    """torch with one function replaced."""

    def __init__(self, **changes: Any) -> None:
        super().__init__("wrong")
        self.__dict__.update(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@pytest.mark.parametrize(
    ("check", "wrong"),
    [
        ("values", lambda x, **k: torch.sin(x, **k) * 1.001),
        ("dtype", lambda x, **k: torch.sin(x).double()),
        ("shape", lambda x, **k: torch.sin(x).unsqueeze(0)),
        ("structure", lambda x, **k: (torch.sin(x),)),
        ("requires_grad", lambda x, **k: torch.sin(x).detach()),
        ("gradient", lambda x, **k: torch.sin(x.detach()) + 0 * x),
        ("second", lambda x, **k: torch.sin(x.detach()) + (x - x.detach()) * torch.cos(x.detach())),
        ("out", lambda x, out=None: torch.sin(x)),
    ],
)
def test_a_planted_mistake_is_caught(check: str, wrong: Any, against: Any) -> None:
    against(_Wrong(sin=wrong))
    record = OpChecks("sin", FEW).run()
    assert check in record.failures(), record.as_json()


def test_a_missing_function_is_said() -> None:
    with pytest.raises(bridge.Missing):
        bridge.resolve("no_such_function")


def test_tensors_keep_their_strides(against: Any) -> None:
    against(torch)
    base = torch.arange(24.0).view(2, 3, 4)
    for t in (base, base.permute(2, 0, 1), base[:, ::2], base[0, 1], base.expand(5, 2, 3, 4), torch.tensor(3), torch.zeros(0, 3)):
        carried = bridge.tensor(t)
        assert torch.equal(carried, t) and (carried.stride() == t.stride() or not t.numel())
        assert t.numel() == 0 or carried.data_ptr() != t.data_ptr()


def test_nan_and_negative_zero(against: Any) -> None:
    against(torch)
    nan = torch.tensor([float("nan"), 1.0])
    assert compare(nan, nan.clone()) is None
    assert compare(nan, torch.zeros(2)) is not None


def test_digits() -> None:
    a, b = Printed("loss 1.23456 at 3\n"), Printed("loss 1.23461 at 3\n")
    assert difference(a, b) is not None and difference(a, b, 4) is None
    assert difference(a, Printed("loss 1.24 at 3\n"), 4) is not None
    assert difference(a, Printed("cost 1.23456 at 3\n"), 4) is not None
