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


def slopes(loss: Any, a: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The gradient of a loss by differences, as torch has it: of complex numbers along both parts."""
    out = np.zeros_like(a)
    for at in np.ndindex(*a.shape):
        for way in (1, 1j) if np.iscomplexobj(a) else (1,):
            moved = a.copy()
            moved[at] += way * step
            up = loss(moved)
            moved[at] -= 2 * way * step
            out[at] += way * (up - loss(moved)) / (2 * step)
    return out


def weights(shape: tuple[int, ...]) -> np.ndarray:
    return np.linspace(1, 2, int(np.prod(shape))).reshape(shape)


# The singular values of the identity are equal: the derivative of its svd is not defined, that of its polar decomposition is.
@pytest.mark.parametrize("a", [drawn((4, 3), "float64"), drawn((4, 3), "complex128"), np.eye(3)], ids=["real", "complex", "identity"])
def test_polar_decomposition(a: np.ndarray) -> None:
    x = torch.from_numpy(np.stack([a, a + 1])).requires_grad_()
    found = torch.linalg.polar(x)
    for i, b in enumerate((a, a + 1)):
        u, h = scipy.linalg.polar(b)
        np.testing.assert_allclose(found.U[i].detach().numpy(), u, atol=1e-12)
        np.testing.assert_allclose(found.H[i].detach().numpy(), h, atol=1e-12)

    def loss(b: np.ndarray) -> Any:
        return sum((weights(r.shape) * abs(r + 1)).sum() for r in scipy.linalg.polar(b))

    sum((torch.from_numpy(weights(r.shape[1:])) * (r[0] + 1).abs()).sum() for r in found).backward()
    np.testing.assert_allclose(x.grad[0].numpy(), slopes(loss, a), rtol=1e-6, atol=1e-7)  # differences are as good as that


@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_square_roots_of_symmetric_matrices(kind: str) -> None:
    a = drawn((3, 3), kind)
    a = a @ np.conj(a.T) + np.eye(3)
    x = torch.from_numpy(np.stack([a + np.triu(np.ones((3, 3)), 1), np.eye(3).astype(a.dtype)])).requires_grad_()  # the lower triangle is read
    found = torch.linalg.matrix_sqrth(x)
    np.testing.assert_allclose(found[0].detach().numpy(), scipy.linalg.sqrtm(a), atol=1e-12)

    def loss(b: np.ndarray) -> Any:
        return (weights((3, 3)) * abs(scipy.linalg.sqrtm((b + np.conj(b.T)) / 2) + 1)).sum()

    (torch.from_numpy(weights((3, 3))) * (found + 1).abs()).sum().backward()
    for i, b in enumerate((a, np.eye(3).astype(a.dtype))):
        np.testing.assert_allclose(x.grad[i].numpy(), slopes(loss, b), rtol=1e-6, atol=1e-7)


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
