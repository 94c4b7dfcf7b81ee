"""What torch.linalg has had since 2.14, beside scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg

import jtorch as torch


def drawn(shape: tuple[int, ...], kind: str) -> Any:
    r = np.random.RandomState(0)
    return r.randn(*shape) + (1j * r.randn(*shape) if kind == "complex128" else 0)


@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_polar_decomposition(kind: str) -> None:
    a = drawn((2, 4, 3), kind)
    found = torch.linalg.polar(torch.from_numpy(a))
    for i in range(2):
        u, h = scipy.linalg.polar(a[i])
        np.testing.assert_allclose(found.U[i].numpy(), u, atol=1e-12)
        np.testing.assert_allclose(found.H[i].numpy(), h, atol=1e-12)
    assert torch.autograd.gradcheck(torch.linalg.polar, (torch.from_numpy(a[:1]).requires_grad_(),))
    # the singular values of the identity are equal: the derivative of the svd is not defined, this one is
    assert torch.autograd.gradcheck(torch.linalg.polar, (torch.eye(3, dtype=torch.float64).requires_grad_(),))


@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_square_roots_of_symmetric_matrices(kind: str) -> None:
    a = drawn((2, 3, 3), kind)
    a = a @ np.conj(np.swapaxes(a, -1, -2)) + np.eye(3)
    found = torch.linalg.matrix_sqrth(torch.from_numpy(a + np.triu(np.ones((3, 3)), 1)))  # the lower triangle is read
    for i in range(2):
        np.testing.assert_allclose(found[i].numpy(), scipy.linalg.sqrtm(a[i]), atol=1e-12)

    def symmetric(x: Any) -> Any:
        return torch.linalg.matrix_sqrth((x + x.mH) / 2)

    assert torch.autograd.gradcheck(symmetric, (torch.from_numpy(a[:1]).requires_grad_(),))
    assert torch.autograd.gradcheck(symmetric, (torch.eye(3, dtype=torch.float64).requires_grad_(),))


def test_errors() -> None:
    for call, text in (
        (lambda: torch.linalg.polar(torch.ones(2, 3)), "linalg.polar: input must have at least as many rows as columns, but got 2 by 3 matrices"),
        (lambda: torch.linalg.polar(torch.ones(3)), "linalg.polar: The input tensor A must have at least 2 dimensions."),
        (lambda: torch.linalg.matrix_sqrth(torch.ones(2, 3)), "linalg.matrix_sqrth: A must be batches of square matrices, but they are 2 by 3 matrices"),
        (lambda: torch.linalg.polar(torch.full((2, 2), float("nan"))).U.sum().item(), "linalg.svd: The algorithm failed to converge"),
    ):
        with pytest.raises(RuntimeError) as e:
            call()
        assert str(e.value).startswith(text)
