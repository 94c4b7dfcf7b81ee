"""Hooks of modules: their order, what they may change, and when they are called."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import jtorch as torch
from jtorch import nn


def test_forward_hooks_in_order() -> None:
    log: list[Any] = []
    m = nn.Identity()
    m.register_forward_pre_hook(lambda mod, args: log.append("pre second"))
    m.register_forward_pre_hook(lambda mod, args: log.append("pre first") or args[0] + 1, prepend=True)
    handle = m.register_forward_hook(lambda mod, args, out: log.append("post") or out * 2)
    assert m(torch.tensor([1.0])).tolist() == [4.0]
    assert log == ["pre first", "pre second", "post"]
    handle.remove()
    assert m(torch.tensor([1.0])).tolist() == [2.0]


def test_hooks_with_keyword_arguments() -> None:
    class Add(nn.Module):
        def forward(self, a: Any, *, b: float) -> Any:
            return a + b

    m = Add()
    m.register_forward_pre_hook(lambda mod, args, kwargs: (args, {"b": kwargs["b"] + 1}), with_kwargs=True)
    m.register_forward_hook(lambda mod, args, kwargs, out: out * kwargs["b"], with_kwargs=True)
    assert m(torch.tensor(1.0), b=1.0).item() == 6.0


def test_always_called_hooks_see_the_failure() -> None:
    class Fails(nn.Module):
        def forward(self) -> None:
            raise ValueError("no")

    log: list[Any] = []
    m = Fails()
    m.register_forward_hook(lambda mod, args, out: log.append("usual"))
    m.register_forward_hook(lambda mod, args, out: log.append(("always", out)), always_call=True)
    with pytest.raises(ValueError, match="no"):
        m()
    assert log == [("always", None)]


def test_backward_hooks_see_and_change_gradients() -> None:
    log: list[Any] = []
    m = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        m.weight.copy_(torch.tensor([[2.0, 3.0]]))
    m.register_full_backward_pre_hook(lambda mod, go: log.append("pre") or (go[0] * 10,))
    m.register_full_backward_hook(lambda mod, gi, go: log.append((gi[0].tolist(), go[0].tolist())) or (gi[0] + 1,))
    x = torch.ones(1, 2, requires_grad=True)
    m(x).backward()
    assert log == ["pre", ([[20.0, 30.0]], [[10.0]])]
    assert x.grad.tolist() == [[21.0, 31.0]]
    assert m.weight.grad.tolist() == [[10.0, 10.0]]


def test_backward_hooks_without_input_gradients() -> None:
    log: list[Any] = []
    m = nn.Linear(2, 1)
    m.register_full_backward_hook(lambda mod, gi, go: log.append((gi, go[0].tolist())))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        m(torch.ones(1, 2)).backward()
    assert log == [((None,), [[1.0]])]
    assert "Full backward hook is firing" in str(caught[0].message)


def test_global_hooks() -> None:
    log: list[str] = []
    handle = nn.modules.module.register_module_forward_hook(lambda mod, args, out: log.append(type(mod).__name__))
    nn.Sequential(nn.ReLU(), nn.Tanh())(torch.ones(1))
    handle.remove()
    nn.ReLU()(torch.ones(1))
    assert log == ["ReLU", "Tanh", "Sequential"]


def test_kinds_of_backward_hooks_do_not_mix() -> None:
    m = nn.ReLU()
    m.register_full_backward_hook(lambda *a: None)
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full backward hooks on a single Module"):
        m.register_backward_hook(lambda *a: None)


def test_state_dict_hooks() -> None:
    log: list[Any] = []
    m = nn.Linear(1, 1)
    m.register_state_dict_pre_hook(lambda mod, prefix, keep: log.append(("pre", prefix)))
    m.register_state_dict_post_hook(lambda mod, sd, prefix, meta: sd.pop("bias"))
    with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
        m.state_dict()
    n = nn.Linear(1, 1)
    n.register_load_state_dict_pre_hook(lambda mod, sd, *rest: sd.setdefault("bias", torch.ones(1)))
    n.register_load_state_dict_post_hook(lambda mod, keys: keys.unexpected_keys.clear())
    assert repr(n.load_state_dict({"weight": torch.ones(1, 1), "odd": torch.ones(1)})) == "<All keys matched successfully>"
    assert log == [("pre", "")]
