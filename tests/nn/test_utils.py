"""``nn.init`` and ``nn.utils``."""

from __future__ import annotations

import math

import pytest

import jtorch as torch
from jtorch import nn
from jtorch.nn.utils import parametrizations, parametrize, prune
from jtorch.nn.utils.stateless import _functional_call


def test_fans_and_gains() -> None:
    assert nn.init._calculate_fan_in_and_fan_out(torch.empty(4, 3, 2, 2)) == (12, 16)
    assert nn.init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    with pytest.raises(ValueError, match="Unsupported nonlinearity x"):
        nn.init.calculate_gain("x")
    with pytest.raises(ValueError, match="Fan in and fan out can not be computed"):
        nn.init.xavier_uniform_(torch.empty(3))


def test_initialisers_keep_their_promises() -> None:
    torch.manual_seed(0)
    w = nn.init.orthogonal_(torch.empty(3, 5))
    assert torch.allclose(w @ w.T, torch.eye(3), atol=1e-5)
    t = nn.init.trunc_normal_(torch.empty(200), a=-0.5, b=0.1)
    assert t.min().item() >= -0.5
    assert t.max().item() <= 0.1
    s = nn.init.sparse_(torch.empty(10, 4), 0.3)
    assert (s == 0).sum(0).tolist() == [3, 3, 3, 3]
    d = nn.init.dirac_(torch.empty(2, 2, 3))
    assert d[:, :, 1].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    with pytest.warns(FutureWarning, match="nn.init.normal` is now deprecated"):
        nn.init.normal(torch.empty(2))


def test_clipping() -> None:
    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, -4.0])
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 5.0
    assert torch.allclose(p.grad, torch.tensor([0.6, -0.8]))
    nn.utils.clip_grad_value_(p, 0.7)
    assert torch.allclose(p.grad, torch.tensor([0.6, -0.7]))
    p.grad = torch.tensor([math.inf, 0.0])
    with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
        nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)


def test_parameters_as_a_vector() -> None:
    m = nn.Linear(2, 1)
    nn.utils.vector_to_parameters(torch.tensor([1.0, 2.0, 3.0]), m.parameters())
    assert m.weight.tolist() == [[1.0, 2.0]]
    assert nn.utils.parameters_to_vector(m.parameters()).tolist() == [1.0, 2.0, 3.0]


def test_padding_and_packing() -> None:
    parts = [torch.tensor([1.0, 2.0]), torch.tensor([3.0])]
    assert nn.utils.rnn.pad_sequence(parts, batch_first=True).tolist() == [[1.0, 2.0], [3.0, 0.0]]
    packed = nn.utils.rnn.pack_sequence(parts[::-1], enforce_sorted=False)
    assert packed.data.tolist() == [1.0, 3.0, 2.0]
    assert packed.batch_sizes.tolist() == [2, 1]
    padded, lengths = nn.utils.rnn.pad_packed_sequence(packed)
    assert padded.tolist() == [[3.0, 1.0], [0.0, 2.0]]
    assert lengths.tolist() == [1, 2]


def test_parametrizations() -> None:
    torch.manual_seed(0)
    m = parametrizations.orthogonal(nn.Linear(3, 3))
    assert list(m.state_dict()) == ["bias", "parametrizations.weight.original", "parametrizations.weight.0.base"]
    assert torch.allclose(m.weight @ m.weight.T, torch.eye(3), atol=1e-5)
    parametrize.remove_parametrizations(m, "weight")
    assert type(m) is nn.Linear
    assert isinstance(m.weight, nn.Parameter)
    n = parametrizations.weight_norm(nn.Linear(2, 2))
    with parametrize.cached():
        assert n.weight is n.weight
    with pytest.raises(RuntimeError, match="Serialization of parametrized modules"):
        n.__getstate__()


def test_spectral_norm_is_one() -> None:
    torch.manual_seed(0)
    m = parametrizations.spectral_norm(nn.Linear(4, 3), n_power_iterations=20)
    assert abs(torch.linalg.matrix_norm(m.weight, 2).item() - 1) < 1e-3


def test_pruning_and_its_end() -> None:
    m = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        m.weight.copy_(torch.tensor([[1.0, -4.0], [3.0, 2.0]]))
    prune.l1_unstructured(m, "weight", 2)
    assert m.weight.tolist() == [[0.0, -4.0], [3.0, 0.0]]
    assert sorted(m.state_dict()) == ["weight_mask", "weight_orig"]
    prune.remove(m, "weight")
    assert list(m.state_dict()) == ["weight"]
    with pytest.raises(ValueError, match="should be smaller than the number of parameters to prune=4"):
        prune.l1_unstructured(m, "weight", 5)


def test_fused_layers_compute_the_same() -> None:
    torch.manual_seed(0)
    conv, bn = nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3)
    x = torch.randn(4, 2, 5)
    bn(conv(x))
    conv.eval()
    bn.eval()
    assert torch.allclose(nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-5)


def test_call_with_other_parameters() -> None:
    m = nn.Linear(2, 1)
    other = {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}
    assert _functional_call(m, other, torch.ones(1, 2)).tolist() == [[2.0]]
    assert isinstance(m.weight, nn.Parameter)
    with pytest.raises(RuntimeError, match="Missing key"):
        _functional_call(m, {"bias": torch.zeros(1)}, torch.ones(1, 2), strict=True)
