"""``nn.Module``: registration, state dicts, traversal, conversion, copies."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import Any

import pytest

import jtorch as torch
from jtorch import nn


def net() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.BatchNorm1d(3), c=nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU())))


def test_first_weights_are_those_of_torch() -> None:
    torch.manual_seed(0)
    weight = nn.Linear(3, 2).weight
    expected = torch.tensor([[-0.00432252, 0.30971584, -0.47518533], [-0.4248946, -0.22236897, 0.15482073]])
    assert torch.allclose(weight, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (lambda m: setattr(m, "weight", 3), TypeError, "cannot assign 'int' as parameter 'weight' (torch.nn.Parameter or None expected)"),
        (lambda m: m.register_parameter("a.b", None), KeyError, "parameter name can"),
        (lambda m: m.register_buffer("weight", None), KeyError, "attribute 'weight' already exists"),
        (lambda m: m.add_module("x", 3), TypeError, "int is not a Module subclass"),
        (lambda m: m.missing, AttributeError, "'Linear' object has no attribute 'missing'"),
        (lambda m: m.get_submodule("a.b"), AttributeError, "Linear has no attribute `a`"),
        (lambda m: m.to(torch.int32), TypeError, "nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=torch.int32"),
        (lambda m: nn.Module()(1), NotImplementedError, 'Module [Module] is missing the required "forward" function'),
    ],
)
def test_errors(act: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        act(nn.Linear(2, 2))
    assert text in str(caught.value)


def test_assignment_before_init() -> None:
    class Early(nn.Module):
        def __init__(self) -> None:
            self.x = nn.Parameter(torch.ones(1))

    with pytest.raises(AttributeError, match="cannot assign parameters before Module.__init__"):
        Early()


def test_shared_tensors_are_listed_once() -> None:
    m = net()
    m.c.tied = m.a.weight
    assert [n for n, _ in m.named_parameters()] == ["a.weight", "a.bias", "b.weight", "b.bias", "c.0.weight"]
    assert [n for n, _ in m.named_parameters(remove_duplicate=False)][4] == "c.tied"
    assert "c.tied" in m.state_dict()
    assert copy.deepcopy(m).c.tied is not m.a.weight


def test_load_state_dict_tells_what_is_wrong() -> None:
    m = net()
    state = m.state_dict()
    assert repr(m.load_state_dict(state)) == "<All keys matched successfully>"
    state["extra"] = torch.ones(1)
    del state["a.bias"]
    state["a.weight"] = torch.ones(4, 4)
    with pytest.raises(RuntimeError) as caught:
        m.load_state_dict(state)
    assert str(caught.value) == (
        'Error(s) in loading state_dict for Sequential:\n\tMissing key(s) in state_dict: "a.bias". \n\t'
        'Unexpected key(s) in state_dict: "extra". \n\tsize mismatch for a.weight: copying a param with shape torch.Size([4, 4]) from '
        "checkpoint, the shape in current model is torch.Size([3, 2])."
    )


def test_loading_keeps_dtype_and_assigning_takes_it() -> None:
    m = net()
    doubled = {k: v.double() if v.is_floating_point() else v for k, v in m.state_dict().items()}
    m.load_state_dict(doubled)
    assert m.a.weight.dtype == torch.float32
    m.load_state_dict(doubled, assign=True)
    assert m.a.weight.dtype == torch.float64
    assert isinstance(m.a.weight, nn.Parameter)


def test_conversion_keeps_the_parameters_themselves() -> None:
    m = net()
    weight = m.a.weight
    m.double()
    assert m.a.weight is weight
    assert weight.dtype == torch.float64
    assert m.b.num_batches_tracked.dtype == torch.int64
    m.float()(torch.ones(4, 2)).sum().backward()
    m.half()
    assert weight.grad.dtype == torch.float16
    m.zero_grad()
    assert weight.grad is None


def test_meta_modules() -> None:
    m = nn.Linear(2, 3, device="meta")
    assert m.weight.is_meta
    with pytest.raises(NotImplementedError, match="to_empty"):
        m.to("cpu")
    assert not m.to_empty(device="cpu").weight.is_meta


def test_copies_and_pickles() -> None:
    m = net()
    m.c.tied = m.a.weight
    for n in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        assert repr(n) == repr(m)
        assert n.c.tied is n.a.weight
        assert torch.equal(n.a.weight, m.a.weight)


def test_non_persistent_buffers_stay_out() -> None:
    m = nn.Module()
    m.register_buffer("kept", torch.ones(1))
    m.x = nn.Buffer(torch.ones(1), persistent=False)
    assert list(m.state_dict()) == ["kept"]
    m.x = torch.zeros(1)
    assert [n for n, _ in m.named_buffers()] == ["kept", "x"]


def test_extra_state() -> None:
    class Counted(nn.Module):
        n = 0

        def get_extra_state(self) -> int:
            return self.n

        def set_extra_state(self, state: int) -> None:
            self.n = state

    a, b = Counted(), Counted()
    a.n = 7
    assert list(a.state_dict()) == ["_extra_state"]
    b.load_state_dict(a.state_dict())
    assert b.n == 7


def test_train_and_eval_reach_all() -> None:
    m = net().eval()
    assert not any(x.training for x in m.modules())
    assert all(x.training for x in m.train().modules())


def test_parameters_print_and_compute_as_tensors() -> None:
    p = nn.Parameter(torch.ones(2))
    assert repr(p) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert type(p * 2) is torch.Tensor
    assert p.is_leaf
