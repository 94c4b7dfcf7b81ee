"""Functions of complex numbers on their branch cuts, where the sign of a zero says the side, and where a part is not finite: beside real torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import jtorch

PARTS = [0.0, -0.0, 1.0, -3.0, math.inf, -math.inf, math.nan]
FINITE = [complex(a, b) for a in PARTS[:4] for b in PARTS[:4]]
EVERY = [complex(a, b) for a in PARTS for b in PARTS]


def _values(library: Any, name: str, given: list[complex]) -> np.ndarray:
    return np.array(getattr(library, name)(library.tensor(given, dtype=library.complex128)).numpy())


@pytest.mark.parametrize("name", ["sqrt", "rsqrt", "log", "asin", "acos", "asinh", "acosh", "atan", "atanh"])
def test_sides_of_branch_cuts(name: str) -> None:
    """At infinities of the function only the modulus is looked at."""
    given = [z for z in FINITE if z not in (0j, 1j, 1 + 0j, -1 + 0j)] if name in ("rsqrt", "atan", "atanh") else [z for z in FINITE if z or name != "log"]
    theirs, ours = (_values(library, name, given) for library in (torch, jtorch))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15, err_msg=str(given))


@pytest.mark.parametrize("name", ["exp", "log", "log2", "log10"])
def test_parts_that_are_not_finite(name: str) -> None:
    """Zeros have torch's signs, too."""
    theirs, ours = (_values(library, name, EVERY) for library in (torch, jtorch))
    for a, b in ((theirs.real, ours.real), (theirs.imag, ours.imag)):
        np.testing.assert_allclose(b, a, rtol=1e-12, err_msg=str(EVERY))
        np.testing.assert_array_equal(np.signbit(b[b == 0]), np.signbit(a[b == 0]))


SUMS = [
    [complex(-math.inf, math.inf), complex(-math.inf, -math.inf), complex(-math.inf, 0)], [complex(math.inf, 1), complex(2, math.inf), 3], [complex(-math.inf, 3), complex(-math.inf, 1), 5],
    [complex(math.nan, 1), 1, 2], [complex(1, math.nan), 2, complex(math.inf, 0)], [1, complex(-math.inf, math.inf), 1], [complex(math.inf, 0), complex(math.inf, 0), 1],
    [complex(math.inf, 3), complex(math.inf, -3), 1], [complex(-math.inf, 0), complex(-math.inf, 0), complex(math.inf, 0)], [0.5 + 1j, -1 + 2j, 0.25],
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(SUMS)))
def test_sums_of_exponentials(at: int) -> None:
    def made(library: Any) -> list[np.ndarray]:
        t = library.tensor(SUMS[at], dtype=library.complex128)
        return [np.array(x.numpy()) for x in (library.logcumsumexp(t, 0), library.logsumexp(t, 0), library.logaddexp(t[:-1], t[1:]))]

    for ours, theirs in zip(made(jtorch), made(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", ["sqrt", "asin", "acos", "asinh", "acosh", "exp", "log", "log2"])
def test_derivatives_on_the_cut(name: str) -> None:
    def gradient(library: Any) -> np.ndarray:
        z = library.tensor([complex(-3, -0.0), complex(-3, 0.0), complex(0.0, -3), complex(-0.0, 3), complex(0.5, -1)], dtype=library.complex128, requires_grad=True)
        getattr(library, name)(z).backward(library.tensor([1, 1j, 1 + 1j, 2, 3j], dtype=library.complex128))
        return np.array(z.grad.numpy())

    np.testing.assert_allclose(gradient(jtorch), gradient(torch), rtol=1e-12, atol=1e-15)
