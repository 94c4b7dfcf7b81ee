"""The text of arrays, without torch."""

from __future__ import annotations

import numpy as np
import pytest

from jtorch import _dtypes
from jtorch._core.tensor import print_format


def text(array: np.ndarray, grad: str | None = None) -> str:
    return print_format.tensor_repr(array, _dtypes.from_np(array.dtype), None, grad, False, _dtypes.float32)


CASES = [
    (np.array([1.0, 2.5], np.float32), "tensor([1.0000, 2.5000])"),
    (np.array([1.0, 2.0], np.float32), "tensor([1., 2.])"),
    (np.array([1.0, 2.0]), "tensor([1., 2.], dtype=torch.float64)"),
    (np.array([1e-5, 1.0], np.float32), "tensor([1.0000e-05, 1.0000e+00])"),
    (np.array([np.nan, np.inf, 1.0], np.float32), "tensor([nan, inf, 1.])"),
    (np.array(3), "tensor(3)"),
    (np.array([True, False]), "tensor([ True, False])"),
    (np.zeros((0, 3), np.float32), "tensor([], size=(0, 3))"),
    (np.zeros(0, np.int64), "tensor([], dtype=torch.int64)"),
    (np.array([1 + 2j], np.complex64), "tensor([1.+2.j])"),
    (np.arange(2000), "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"),
    (np.eye(2, dtype=np.float32), "tensor([[1., 0.],\n        [0., 1.]])"),
]


@pytest.mark.parametrize(("array", "expected"), CASES, ids=range(len(CASES)))
def test_texts(array: np.ndarray, expected: str) -> None:
    assert text(array) == expected


def test_grad_fn_goes_to_a_new_line() -> None:
    shown = text(np.ones(16, np.float32) + 0.5, "MulBackward0")
    assert shown.splitlines()[-1] == "       grad_fn=<MulBackward0>)" or shown.endswith("grad_fn=<MulBackward0>)")
    assert max(map(len, shown.splitlines())) <= 82
