"""Containers: indexing, changing, printing."""

from __future__ import annotations

import pytest

import jtorch as torch
from jtorch import nn


def seq() -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())


def names(modules: object) -> list[str]:
    return [type(m).__name__ for m in modules]  # type: ignore[attr-defined]


def test_sequential_as_a_list() -> None:
    s = seq()
    assert names(s[1:]) == ["Tanh", "Sigmoid"]
    assert names([s[-1]]) == ["Sigmoid"]
    assert names(s + seq()) == names(s) * 2 == names(s * 2) == names(2 * s)
    s.insert(1, nn.GELU()).append(nn.ELU()).extend([nn.SiLU()])
    assert names(s) == ["ReLU", "GELU", "Tanh", "Sigmoid", "ELU", "SiLU"]
    del s[0]
    s.pop(-1)
    s[0] = nn.Mish()
    assert list(s._modules) == ["0", "1", "2", "3"]
    assert names(s) == ["Mish", "Tanh", "Sigmoid", "ELU"]
    with pytest.raises(IndexError, match="index 9 is out of range"):
        s[9]


def test_module_list_prints_repeats_once() -> None:
    m = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])
    assert repr(m) == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"
    m.insert(1, nn.GELU())
    assert names(m) == ["ReLU", "GELU", "ReLU", "Tanh"]


def test_module_dict() -> None:
    m = nn.ModuleDict({"b": nn.ReLU()})
    m["a"] = nn.Tanh()
    assert list(m) == ["b", "a"]
    assert names([m.pop("b")]) == ["ReLU"]
    with pytest.raises(TypeError, match="should be called with an iterable"):
        m.update(3)  # type: ignore[arg-type]


def test_parameter_list_and_dict() -> None:
    pl = nn.ParameterList([torch.ones(2, 3), 5])
    assert repr(pl) == "ParameterList(\n    (0): Parameter containing: [torch.float32 of size 2x3]\n    (1): Object of type: int\n)"
    assert len(list(pl.parameters())) == 1
    pd = nn.ParameterDict({"b": torch.ones(2), "a": torch.zeros(1)})
    assert list(pd) == ["a", "b"]
    assert repr(pd).splitlines()[1] == "    (a): Parameter containing: [torch.FloatTensor of size 1]"
    assert set(pd.state_dict()) == {"a", "b"}
