"""Reductions and scans: types of results, empty inputs, nan, positions, shared gradients."""

from __future__ import annotations

import math

import pytest

import jtorch as torch
import jtorch.masked as masked

NAN, INF = math.nan, math.inf


def grad_of(fn, values):
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    fn(x).sum().backward()
    return x.grad.tolist()


def test_types_of_sums() -> None:
    for kind in (torch.bool, torch.uint8, torch.int32):
        assert torch.ones(3, dtype=kind).sum().dtype is torch.int64
        assert torch.ones(3, dtype=kind).cumsum(0).dtype is torch.int64
    assert torch.tensor([1.5, 2.5]).sum(dtype=torch.int64).item() == 3
    assert torch.full((4096,), 1.0, dtype=torch.bfloat16).sum().item() == 4096.0
    assert torch.ones(2, dtype=torch.uint8).all().dtype is torch.uint8
    with pytest.raises(RuntimeError, match="could not infer output dtype. Input dtype must be either"):
        torch.ones(2, dtype=torch.int64).mean()
    out = torch.empty((), dtype=torch.int32)
    assert torch.sum(torch.tensor([1.5, 2.5]), 0, out=out).item() == 3


def test_dims() -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    assert x.sum((0, -1)).tolist() == [60.0, 92.0, 124.0]
    assert x.sum(()).item() == 276.0
    assert x.amax((0, 2), keepdim=True).shape == (1, 3, 1)
    assert torch.all(x > 0, dim=()).shape == (2, 3, 4)
    with pytest.raises(IndexError, match=r"Dimension out of range \(expected to be in range of \[-3, 2\], but got 3\)"):
        x.sum(3)
    with pytest.raises(RuntimeError, match="dim 0 appears multiple times in the list of dims"):
        x.amax((0, -3))


def test_empty_inputs() -> None:
    e = torch.empty(0, 3)
    assert e.sum().item() == 0
    assert e.prod(0).tolist() == [1.0, 1.0, 1.0]
    assert math.isnan(e.mean().item())
    assert math.isnan(e.median().item())
    assert e.max(1).values.shape == (0,)
    assert e.logsumexp(0).tolist() == [-INF] * 3
    with pytest.raises(RuntimeError, match="Expected reduction dim to be specified for input.numel"):
        e.max()
    with pytest.raises(IndexError, match=r"max\(\): Expected reduction dim 0 to have non-zero size."):
        e.max(0)
    with pytest.raises(IndexError, match=r"argmin\(\): Expected reduction dim to be specified"):
        e.argmin()


def test_positions_of_extremes() -> None:
    x = torch.tensor([[1.0, 3.0, 3.0], [NAN, 0.0, NAN]])
    assert x.max(1).indices.tolist() == [1, 0]
    assert x.argmin(1).tolist() == [0, 0]
    assert x.argmax().item() == 3
    values, indices = torch.tensor([1.0, 3.0, 3.0, 2.0]).cummax(0)
    assert values.tolist() == [1.0, 3.0, 3.0, 3.0]
    assert indices.tolist() == [0, 1, 2, 2]
    assert str(torch.tensor([1, 2]).max(0)).startswith("torch.return_types.max(\nvalues=tensor(2)")


def test_nan_in_order_statistics() -> None:
    x = torch.tensor([3.0, NAN, 1.0, 2.0])
    value, index = x.median(0)
    assert math.isnan(value.item())
    assert index.item() == 1
    assert x.nanmedian(0).values.item() == 2.0
    assert torch.tensor([4.0, 1.0, 3.0, 2.0]).median().item() == 2.0
    assert torch.tensor([2, 2, 1, 1, 3]).mode().values.item() == 1
    assert torch.quantile(torch.tensor([0.0, 1.0, 2.0, 3.0]), 0.25).item() == 0.75
    assert math.isnan(torch.quantile(x, 0.5).item())
    assert torch.nanquantile(x, 0.5).item() == 2.0
    with pytest.raises(RuntimeError, match="selected number k out of range for dimension 0"):
        x.kthvalue(5)


@pytest.mark.filterwarnings("ignore:var")  # of one element
def test_shared_gradients() -> None:
    assert grad_of(torch.max, [1.0, 2.0, 2.0]) == [0.0, 0.5, 0.5]
    assert grad_of(lambda x: x.amax(0), [2.0, 2.0]) == [0.5, 0.5]
    assert grad_of(lambda x: x.max(0).values, [2.0, 2.0]) == [1.0, 0.0]
    assert grad_of(torch.prod, [0.0, 2.0, 3.0]) == [6.0, 0.0, 0.0]
    assert grad_of(torch.prod, [0.0, 0.0, 3.0]) == [0.0, 0.0, 0.0]
    assert grad_of(lambda x: x.cumprod(0), [0.0, 2.0, 3.0]) == [9.0, 0.0, 0.0]
    assert grad_of(torch.std, [2.0, 2.0]) == [0.0, 0.0]
    assert all(math.isnan(g) for g in grad_of(torch.var, [2.0]))
    assert grad_of(lambda x: x.norm(), [0.0, 0.0]) == [0.0, 0.0]
    assert grad_of(torch.nansum, [NAN, 1.0]) == [0.0, 1.0]


def test_variance_and_its_corrections() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=torch.float64)
    assert x.var(0).tolist() == [2.0, 4.5]
    assert x.var(0, unbiased=False).tolist() == [1.0, 2.25]
    assert x.var(0, correction=0).tolist() == [1.0, 2.25]
    assert x.var(False).item() == 2.1875
    s, m = torch.std_mean(x, 1, correction=0)
    assert s.tolist() == [0.5, 1.0]
    assert m.tolist() == [1.5, 4.0]
    with pytest.raises(RuntimeError, match="std and var only support floating point and complex dtypes"):
        torch.tensor([1, 2]).var()


def test_softmax_of_infinities() -> None:
    x = torch.tensor([[-INF, 0.0], [-INF, -INF]])
    out = x.softmax(1)
    assert out[0].tolist() == [0.0, 1.0]
    assert all(math.isnan(v) for v in out[1].tolist())
    with pytest.raises(NotImplementedError, match='"softmax_lastdim_kernel_impl" not implemented for \'Long\''):
        torch.tensor([1, 2]).softmax(0)
    assert torch.tensor([1, 1]).softmax(0, dtype=torch.float64).tolist() == [0.5, 0.5]


def test_histograms_and_bins() -> None:
    assert torch.histc(torch.tensor([0.0, 1.0, 2.0, 2.0]), bins=2).tolist() == [1.0, 3.0]
    assert torch.bincount(torch.tensor([0, 2, 2]), minlength=4).tolist() == [1, 0, 2, 0]
    assert torch.bincount(torch.tensor([0, 1, 1]), torch.tensor([1.0, 2.0, 3.0])).tolist() == [1.0, 5.0]
    hist, edges = torch.histogram(torch.tensor([0.0, 1.0, 2.0]), 2, range=(0.0, 2.0), density=True)
    assert edges.tolist() == [0.0, 1.0, 2.0]
    assert hist.tolist() == pytest.approx([1 / 3, 2 / 3])
    grid = torch.histogramdd(torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), (2, 2))
    assert grid.hist.tolist() == [[0.0, 1.0], [1.0, 1.0]]
    bounds = torch.tensor([1, 3, 5])
    assert torch.bucketize(torch.tensor([1, 2, 6]), bounds).tolist() == [0, 1, 3]
    assert torch.searchsorted(bounds, 3, right=True).item() == 2
    with pytest.raises(RuntimeError, match="bincount only supports 1-d non-negative integral inputs"):
        torch.bincount(torch.tensor([-1]))


def test_covariance_differences_and_integrals() -> None:
    x = torch.tensor([[1.0, 2.0, 4.0], [3.0, 1.0, 0.0]], dtype=torch.float64)
    assert torch.cov(x).tolist() == [pytest.approx([7 / 3, -13 / 6]), pytest.approx([-13 / 6, 7 / 3])]
    assert torch.corrcoef(x)[0, 0].item() == pytest.approx(1.0)
    with pytest.raises(RuntimeError, match="fweights cannot be negative"):
        torch.cov(x, fweights=torch.tensor([1, -1, 1]))
    assert torch.diff(torch.tensor([1, 4, 9, 16]), n=2).tolist() == [2, 2]
    assert torch.diff(torch.tensor([True, False, False])).tolist() == [True, False]
    assert torch.trapezoid(torch.tensor([1, 2, 3]), dx=2).item() == 8.0
    assert torch.cumulative_trapezoid(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 3.0])).tolist() == [1.5, 6.5]
    (g,) = torch.gradient(torch.tensor([1.0, 2.0, 4.0, 8.0]))
    assert g.tolist() == [1.0, 1.5, 3.0, 4.0]


def test_equal_and_allclose_are_python_bools() -> None:
    a = torch.tensor([1.0, 2.0])
    assert torch.equal(a, a.clone()) is True
    assert torch.equal(a, torch.ones(3)) is False
    assert torch.allclose(a, a + 1e-9) is True
    with pytest.raises(RuntimeError, match="Float did not match Double"):
        torch.allclose(a, a.to(torch.float64))


def test_masked_reductions() -> None:
    x, m = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[True, False], [False, False]])
    assert masked.sum(x, 1, mask=m).tolist() == [1.0, 0.0]
    assert masked.amax(x, 1, mask=m).tolist() == [1.0, -INF]
    mean = masked.mean(x, 1, mask=m).tolist()
    assert mean[0] == 1.0
    assert math.isnan(mean[1])
    assert masked.argmax(x, 1, mask=~m).tolist() == [1.0, 1.0]
    assert masked.normalize(x, 2.0, 1, mask=m).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    with pytest.raises(NotImplementedError, match="MaskedTensor"):
        masked.MaskedTensor(x, m)
