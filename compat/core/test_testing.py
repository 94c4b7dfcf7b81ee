"""``torch.testing``: the same verdicts, texts and numbers as torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jtorch
from compat.core.test_snippets import printed

_VALUES = """
x = torch.tensor([1., 2., 3.]); nan = torch.tensor([float("nan")]); A = torch.testing.assert_close
def t(*args, **kw):
    try: A(*args, **kw); print("close")
    except Exception as e: print(type(e).__name__, e)
"""
CASES = {
    "tensors": "t(x, x); t(x, x + 1); t(x, torch.tensor([1., 2., 4.])); t(torch.tensor(1.), torch.tensor(2.)); t(x.reshape(3, 1), x.reshape(3, 1) + torch.tensor([[0], [0], [1.]]))",
    "numbers": "t(1., 2.); t(1, 2); t(1, 1.); t(1 + 1j, 1.); t(True, False); t(1., 1. + 1e-9); t(None, None); t(None, 3); t(1., 0.)",
    "trees": "t([1., 2], [1., 3]); t({'a': x}, {'a': x + 1}); t([x, [x]], [x, [x + 1]]); t([1], [1, 2]); t({'a': 1}, {'b': 1}); t({'a': {0: 1}}, {'a': {0: 2}})",
    "attributes": "t(x, x.double()); t(x, x.double(), check_dtype=False); t(x, x[None]); t(x.expand(2, 3), x.expand(2, 3).contiguous(), check_stride=True)",
    "kinds that do not go together": "t('a', 'b'); t(x, [1., 2., 3.], msg=None) if False else None",
    "exact types": "t(x.long(), x.long() + 1); t(x > 1, x > 2); t(x.bool(), x.long(), check_dtype=False); t(torch.zeros(0), torch.zeros(0))",
    "tolerances": "t(x, x + 1, rtol=0.1, atol=0); t(x, x + 1, rtol=0.1); t(x, x + 1, atol=2, rtol=0); t(x, x + 1e-6)",
    "messages": "t(x, x + 1, msg='hi'); t(x, x + 1, msg=lambda m: 'M ' + m)",
    "not numbers": "t(nan, nan); t(nan, nan, equal_nan=True); t(torch.tensor([float('inf')]), torch.tensor([1.])); t(torch.tensor([1., 0]), torch.tensor([0., 0]))",
    "complex": "t(x + 0j, x + 1j)",
    "halves": "t(x.half(), (x * 1.0005).half()); t(x.bfloat16(), (x * 1.1).bfloat16())",
}


@pytest.mark.parametrize("name", CASES)
def test_assert_close_says_what_torch_says(name: str) -> None:
    program = _VALUES + CASES[name]
    assert printed(jtorch, program) == printed(torch, program)


def test_assert_close_takes_numpy() -> None:
    texts = []
    for library in (torch, jtorch):
        with pytest.raises(AssertionError) as error:
            library.testing.assert_close(np.ones(2), np.ones(2) * 2)
        texts.append(str(error.value))
    assert texts[0] == texts[1]


MADE: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((3, 4), {"dtype": "float32"}), ((3, 4), {"dtype": "int64"}), ((5,), {"dtype": "bool"}), ((4,), {"dtype": "complex64"}),
    ((2, 3), {"dtype": "float32", "low": -1, "high": 2.5, "noncontiguous": True}), ((6,), {"dtype": "uint8", "exclude_zero": True}),
    ((2, 3), {"dtype": "float64", "requires_grad": True}), (((2, 2),), {"dtype": "bfloat16"}), ((3,), {"dtype": "int8", "low": -1000, "high": 5}),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "options"), MADE)
def test_make_tensor_gives_torchs_numbers(shape: tuple[Any, ...], options: dict[str, Any]) -> None:
    found = []
    for library in (torch, jtorch):
        library.manual_seed(3)
        t = library.testing.make_tensor(*shape, device="cpu", **{**options, "dtype": getattr(library, options["dtype"])})
        found.append((t.tolist(), t.stride(), t.requires_grad, str(t.dtype)))
    assert found[0] == found[1]


@pytest.mark.parametrize("options", [{"low": 3, "high": 1}, {"low": float("nan")}, {"dtype": "int64", "requires_grad": True}, {"low": 300, "high": 400, "dtype": "uint8"}])
def test_make_tensor_refuses_what_torch_refuses(options: dict[str, Any]) -> None:
    texts = []
    for library in (torch, jtorch):
        with pytest.raises(ValueError, match=".") as error:
            library.testing.make_tensor(2, device="cpu", **{**options, "dtype": getattr(library, options.get("dtype", "float32"))})
        texts.append(str(error.value))
    assert texts[0] == texts[1]


SPARSE = """
d, others = torch.tensor([[1., 0.], [0., 2.]]), [torch.tensor(x) for x in ([[1., 0.], [0., 2.]], [[1., 0.], [2., 0.]], [[1., 0.], [0., 3.]], [[1., 1.], [0., 2.]])]
def said(a, b, **given):
    try: return torch.testing.assert_close(a, b, **given)
    except AssertionError as error: return str(error)
r = [said(make(d), make(o)) for make in (lambda x: x.to_sparse(), lambda x: x.to_sparse_csr(), lambda x: x.to_sparse_csc(), lambda x: x.to_sparse_bsr((1, 1)), lambda x: x.to_sparse_bsc((1, 1))) for o in others]
r += [said(d.to_sparse(), d, check_layout=False), said(d.to_sparse(1), d.to_sparse()), said([d.to_sparse()], [others[2].to_sparse()])]
r.append(said(torch.sparse_coo_tensor([[0, 0]], [1., 1.], (2,)), torch.sparse_coo_tensor([[0]], [2.], (2,)).coalesce()))
"""


def test_sparse_tensors_are_compared_by_their_parts() -> None:
    from compat.core.test_what_torch_takes import executed, outcome

    run = executed(SPARSE)
    assert outcome(jtorch, run) == outcome(torch, run)
