"""Convolutions that are computed in another form on the cpu (jtorch/_ops/_conv_rewrites.py): values and derivatives of two orders, in float64."""

import numpy as np
import pytest
import torch

import jtorch

# The kernel is larger than the input, gradients are more than the input, three dims, and transposed: kernels smaller than strides, larger, no multiple of them, past the end.
PLAIN = [
    ((2, 3, 2, 2), (4, 3, 3, 3), {"padding": 1}),
    ((2, 3, 1, 5), (2, 3, 3, 3), {"padding": 1, "stride": (1, 2)}),
    ((2, 2, 4, 4), (3, 2, 2, 2), {"padding": 1}),
    ((2, 2, 5), (3, 2, 3), {"padding": 4, "dilation": 2}),
    ((1, 1, 150), (2, 1, 140), {"padding": 1}),
    ((2, 2, 4, 3, 3), (3, 2, 2, 3, 3), {"padding": (0, 1, 1), "stride": (2, 1, 1)}),
    ((2, 2, 3, 2, 1), (2, 1, 2, 3, 1), {"padding": (1, 1, 0), "dilation": (2, 1, 1), "groups": 2}),
]
TRANSPOSED = [
    ((2, 3, 4), (3, 2, 5), {"stride": 3, "padding": 2, "output_padding": 2}),
    ((2, 3, 3, 4), (3, 2, 2, 1), {"stride": 2, "output_padding": 1}),
    ((2, 2, 3, 3), (2, 3, 3, 3), {"stride": (2, 1), "padding": 1}),
    ((1, 2, 3, 3), (2, 1, 4, 4), {"stride": 2, "padding": 3}),
    ((2, 2, 2, 3, 2), (2, 2, 2, 2, 3), {"stride": (2, 1, 2), "padding": (0, 1, 1)}),
]
LONG = (PLAIN[2], PLAIN[4], TRANSPOSED[2], TRANSPOSED[4])  # their forms are those of others
CASES = [
    pytest.param(name, *case, marks=pytest.mark.slow if case in LONG else ()) for name, cases in (("conv", PLAIN), ("conv_transpose", TRANSPOSED)) for case in cases
]


def outcome(lib, name, shape, weights, options):
    r = np.random.RandomState(0)
    leaves = [lib.tensor(r.randn(*s)).requires_grad_() for s in (shape, weights)]
    y = getattr(lib.nn.functional, f"{name}{len(shape) - 2}d")(*leaves, **options)
    grads = lib.autograd.grad((y * y.cos()).sum(), leaves, create_graph=True)
    return [t.detach().numpy() for t in (y, *grads, *lib.autograd.grad(sum(g.sin().sum() for g in grads), leaves))]


@pytest.mark.parametrize(("name", "shape", "weights", "options"), CASES)
def test_values_and_derivatives(name, shape, weights, options):
    for ours, theirs in zip(*(outcome(lib, name, shape, weights, options) for lib in (jtorch, torch)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_results_that_would_be_empty(dims):
    def refused(lib):
        with pytest.raises(RuntimeError) as caught:
            getattr(lib.nn.functional, f"conv_transpose{dims}d")(lib.ones(2, 1, *[2] * dims).double(), lib.ones(1, 3, *[2] * dims).double(), padding=2)  # of float32 oneDNN speaks of itself
        return str(caught.value)

    assert refused(jtorch) == refused(torch)
