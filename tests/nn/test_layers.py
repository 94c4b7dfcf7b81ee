"""Layers: what a module adds to the operators beneath it."""

from __future__ import annotations

import inspect
import warnings

import pytest

import jtorch as torch
from jtorch import nn


def test_every_class_is_documented() -> None:
    for name in nn.modules.__all__:
        assert inspect.getdoc(getattr(nn, name)), name


def test_lazy_layers_become_their_class() -> None:
    m = nn.Sequential(nn.LazyConv2d(3, 2), nn.Flatten(), nn.LazyLinear(2))
    assert m(torch.ones(1, 2, 3, 3)).shape == (1, 2)
    assert [type(x) for x in m] == [nn.Conv2d, nn.Flatten, nn.Linear]
    assert m[0].in_channels == 2
    assert m[2].in_features == 12
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter"):
        _ = nn.LazyLinear(2).weight.shape


def test_batch_norm_counts_and_averages() -> None:
    m = nn.BatchNorm1d(2, momentum=None)
    m(torch.tensor([[0.0, 2.0], [2.0, 4.0]]))
    m(torch.tensor([[4.0, 4.0], [6.0, 8.0]]))
    assert m.num_batches_tracked.item() == 2
    assert m.running_mean.tolist() == [3.0, 4.5]
    m.eval()
    assert torch.allclose(m(torch.tensor([[3.0, 4.5]])), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="expected 4D input"):
        nn.BatchNorm2d(2)(torch.ones(2, 2))


def test_embedding_padding_row() -> None:
    e = nn.Embedding(4, 3, padding_idx=-1)
    assert e.padding_idx == 3
    assert e.weight[3].tolist() == [0.0, 0.0, 0.0]
    e(torch.tensor([3, 1])).sum().backward()
    assert e.weight.grad.sum(1).tolist() == [0.0, 3.0, 0.0, 0.0]
    assert not nn.Embedding.from_pretrained(torch.ones(2, 2)).weight.requires_grad


def test_transposed_convolution_to_a_size() -> None:
    m = nn.ConvTranspose1d(1, 1, 3, stride=2)
    assert m(torch.ones(1, 1, 4)).shape == (1, 1, 9)
    assert m(torch.ones(1, 1, 4), output_size=[10]).shape == (1, 1, 10)
    with pytest.raises(ValueError, match="valid sizes range"):
        m(torch.ones(1, 1, 4), output_size=[12])


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_packed_sequences_are_the_unpadded_ones(kind: type) -> None:
    torch.manual_seed(0)
    m = kind(2, 3, bidirectional=True)
    parts = [torch.randn(n, 2) for n in (2, 4, 1)]
    packed = nn.utils.rnn.pack_sequence(parts, enforce_sorted=False)
    out, _ = m(packed)
    for part, got in zip(parts, nn.utils.rnn.unpack_sequence(out), strict=True):
        assert torch.allclose(m(part)[0], got, atol=1e-6)


def test_attention_weights_and_masks() -> None:
    torch.manual_seed(0)
    m = nn.MultiheadAttention(4, 2, batch_first=True)
    x = torch.randn(2, 3, 4)
    out, weights = m(x, x, x, key_padding_mask=torch.tensor([[False, False, True], [False, False, False]]))
    assert out.shape == (2, 3, 4)
    assert weights[0, :, 2].tolist() == [0.0, 0.0, 0.0]
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3))
    assert m(x, x, x, need_weights=False)[1] is None
    assert m(x, x, x, average_attn_weights=False)[1].shape == (2, 2, 3, 3)


def test_encoder_says_why_it_is_not_nested() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 1)
    assert "encoder_layer.self_attn.batch_first was not True" in str(caught[0].message)


def test_adaptive_softmax_is_a_distribution() -> None:
    torch.manual_seed(0)
    m = nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3, 6], div_value=2.0)
    x = torch.randn(5, 4)
    log_probs = m.log_prob(x)
    assert torch.allclose(log_probs.exp().sum(1), torch.ones(5), atol=1e-5)
    target = torch.tensor([0, 3, 9, 5, 7])
    assert torch.allclose(m(x, target).output, log_probs.gather(1, target[:, None])[:, 0], atol=1e-5)
    with pytest.raises(RuntimeError, match=r"Target values should be in \[0, 9\]"):
        m(x, target + 9)


def test_sync_batch_norm_conversion_shares_tensors() -> None:
    m = nn.Sequential(nn.Conv1d(1, 2, 1), nn.BatchNorm1d(2))
    s = nn.SyncBatchNorm.convert_sync_batchnorm(m)
    assert isinstance(s[1], nn.SyncBatchNorm)
    assert list(s.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"]


def test_data_parallel_passes_through() -> None:
    m = nn.DataParallel(nn.Linear(2, 1))
    assert list(m.state_dict()) == ["module.weight", "module.bias"]
    assert torch.equal(m(torch.ones(1, 2)), m.module(torch.ones(1, 2)))


def test_causal_bias() -> None:
    bias = nn.attention.bias.causal_lower_right(2, 3)
    assert bias._materialize().tolist() == [[True, True, False], [True, True, True]]
    q, k = torch.randn(1, 1, 2, 4), torch.randn(1, 1, 3, 4)
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        out = nn.functional.scaled_dot_product_attention(q, k, k, bias)
    expected = nn.functional.scaled_dot_product_attention(q, k, k, bias._materialize())
    assert torch.allclose(out, expected)


def test_flex_attention_has_the_gradient_of_masked_attention() -> None:
    from jtorch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 2, 6, 4, requires_grad=True) for _ in range(3))
    block = create_block_mask(lambda b, h, i, j: i >= j, None, None, 6, 6, BLOCK_SIZE=4)
    assert block.to_dense().tolist() == [[[[1, 0], [1, 1]]]]
    found = torch.autograd.grad(flex_attention(q, k, v, block_mask=block).sin().sum(), (q, k, v))
    plain = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    for a, b in zip(found, torch.autograd.grad(plain.sin().sum(), (q, k, v)), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
