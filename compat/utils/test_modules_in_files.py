"""Whole modules in files: every class of torch.nn crosses both ways, and what modules hold besides tensors does too."""

from __future__ import annotations

import functools
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import jtorch
from compat import bridge
from compat.moduledb.checks import cases, database


def crossed(obj: Any, source: Any, target: Any, **options: Any) -> Any:
    """What ``target`` loads of what ``source`` saved."""
    stream = io.BytesIO()
    source.save(obj, stream, **options)
    stream.seek(0)
    return target.load(stream, weights_only=False)


def alike(theirs: Any, ours: Any) -> None:
    assert type(theirs).__name__ == type(ours).__name__ and repr(theirs) == repr(ours)
    assert theirs.training == ours.training
    mine = ours.state_dict()
    assert list(theirs.state_dict()) == list(mine)
    for key, value in theirs.state_dict().items():
        if isinstance(value, torch.Tensor) and type(value) is torch.Tensor:
            np.testing.assert_array_equal(value.detach().numpy(), mine[key].detach().numpy())


@pytest.mark.filterwarnings("ignore")  # of the constructors
@pytest.mark.parametrize("name", database())
def test_every_class_crosses(name: str) -> None:
    theirs, ours = functools.reduce(getattr, name.split("."), torch), bridge.resolve(name)
    made = cases(name, torch.float32, True, 1)
    if not made:
        pytest.skip("module_db makes no example of it")
    case, carry = made[0], bridge.Translator()
    m, n = theirs(*case.args, **case.kwargs), ours(*carry(case.args), **carry(case.kwargs))
    alike(m, crossed(m, torch, jtorch))
    alike(crossed(n, jtorch, torch, _use_new_zipfile_serialization=False), n)
    alike(m, crossed(m, torch, jtorch, _use_new_zipfile_serialization=False))


def test_recurrent_modules_run_after_crossing() -> None:
    for kind in ("RNN", "LSTM", "GRU"):
        ours = getattr(jtorch.nn, kind)(2, 3, num_layers=2, bidirectional=True)
        x = np.ones((4, 1, 2), np.float32)
        theirs = crossed(ours, jtorch, torch)
        np.testing.assert_allclose(theirs(torch.from_numpy(x))[0].detach().numpy(), ours(jtorch.from_numpy(x))[0].detach().numpy(), rtol=1e-5, atol=1e-6)
        again = crossed(theirs, torch, jtorch)
        assert [id(w) for w in again._flat_weights] == [id(p) for p in again.parameters()]


def normed(lib: Any, how: str) -> Any:
    return getattr(lib.nn.utils, how)(lib.nn.Linear(3, 2))


@pytest.mark.parametrize("how", ["spectral_norm", "weight_norm"])
def test_old_norms_cross(how: str) -> None:
    x = np.ones((1, 3), np.float32)
    with pytest.warns() if how == "weight_norm" else _nothing():
        m, n = normed(torch, how), normed(jtorch, how)
    ours, theirs = crossed(m, torch, jtorch).eval(), crossed(n, jtorch, torch).eval()
    np.testing.assert_allclose(m.eval()(torch.from_numpy(x)).detach().numpy(), ours(jtorch.from_numpy(x)).detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(n.eval()(jtorch.from_numpy(x)).detach().numpy(), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-5)


class _nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *error: Any) -> None: ...


FUNCTIONS = (
    "relu", "tanh", "sigmoid", "conv2d", "Tensor.relu", "Tensor.add", "nn.functional.gelu", "nn.functional.relu", "nn.functional.softplus", "nn.functional.linear",
    "nn.functional.silu", "nn.functional.one_hot", "nn.functional.avg_pool2d", "linalg.norm", "linalg.svd", "fft.fft", "fft.irfft", "special.erf", "special.logit",
    "add", "matmul", "nn.init.xavier_uniform_", "stack",
)  # fmt: skip


@pytest.mark.parametrize("path", FUNCTIONS)
def test_functions_cross(path: str) -> None:
    theirs, ours = (functools.reduce(getattr, path.split("."), lib) for lib in (torch, jtorch))
    assert crossed([theirs], torch, jtorch)[0] is ours
    found = crossed([ours], jtorch, torch)[0]
    x = torch.ones(2, 2)
    assert found is theirs or found == theirs or path.startswith("Tensor.") and torch.equal(found(x, *[x] * (path == "Tensor.add")), theirs(x, *[x] * (path == "Tensor.add")))


def test_modules_that_hold_functions() -> None:
    m = torch.nn.TransformerEncoderLayer(4, 2, 8, activation=torch.nn.functional.gelu, dropout=0.0, batch_first=True).eval()
    n = crossed(m, torch, jtorch).eval()
    x = np.random.RandomState(0).randn(1, 3, 4).astype(np.float32)
    np.testing.assert_allclose(m(torch.from_numpy(x)).detach().numpy(), n(jtorch.from_numpy(x)).detach().numpy(), rtol=1e-4, atol=1e-5)


class Marked:
    """Holds a tensor with attributes; its class is in a module that both libraries import."""


def test_tensors_with_attributes_cross() -> None:
    for source, target in ((torch, jtorch), (jtorch, torch)):
        tensor, parameter = source.ones(2), source.nn.Parameter(source.ones(3))
        tensor.note, parameter.note, parameter._kept = "x", [1, 2], 3
        for legacy in (False, True):
            a, b = crossed([tensor, parameter], source, target, _use_new_zipfile_serialization=not legacy)
            assert type(a) is target.Tensor and a.note == "x" and a.tolist() == [1, 1]
            assert type(b) is target.nn.Parameter and b.note == [1, 2] and b._kept == 3 and b.requires_grad
        stream = io.BytesIO()
        source.save(tensor, stream)
        stream.seek(0)
        assert target.load(stream).note == "x"  # weights_only too


class Sub(torch.Tensor):
    """A subclass of torch's tensor, by a name that in the other library's file means its own."""


def test_subclasses_keep_type_and_attributes() -> None:
    class_of = {torch: Sub, jtorch: SubHere}
    for lib in (torch, jtorch):
        made = lib.ones(2).as_subclass(class_of[lib])
        made.note = 3
        again = crossed(made, lib, lib)
        assert type(again) is class_of[lib] and again.note == 3
        assert type(pickle.loads(pickle.dumps(made))) is class_of[lib]


class SubHere(jtorch.Tensor):
    """The same of jtorch's."""

    __slots__ = ("depth",)


def test_slots_of_subclasses_are_saved() -> None:
    made = jtorch.ones(2).as_subclass(SubHere)
    made.depth = 7
    assert crossed(made, jtorch, jtorch).depth == 7
