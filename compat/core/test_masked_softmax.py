"""``torch._masked_softmax``: values, gradients, the shapes of masks, and what it refuses."""

from __future__ import annotations

from typing import Any

import torch

import jtorch


def run(library: Any, shape: tuple[int, ...], mask: tuple[int, ...], *more: Any, every: int = 3, dtype: str = "float32") -> Any:
    x = (library.arange(float(torch.Size(shape).numel())).reshape(shape) % 7).to(getattr(library, dtype))
    marked = library.arange(torch.Size(mask).numel()).reshape(mask) % every == 0
    x.requires_grad_(dtype.startswith("float") and len(mask) == len(shape))  # torch's own backward knows no smaller masks
    try:
        out = library._masked_softmax(x, marked, *more)
        return (out,) if not x.requires_grad else (out, *library.autograd.grad(out.pow(2).sum(), x), out.grad_fn.name())
    except (RuntimeError, IndexError) as e:
        return type(e), str(e)


CASES: list[tuple[Any, ...]] = [
    ((2, 5), (2, 5)), ((2, 5), (2, 5), 0), ((3,), (3,)), ((2, 5), (1, 5)), ((2, 5), (2, 5), 0, 7), ((2, 5), (2, 5), 4),
    ((2, 3, 4, 4), (4, 4), 3, 0), ((2, 3, 4, 4), (2, 4), 3, 1), ((2, 3, 4, 4), (2, 3, 4, 4), 1), ((2, 3, 4, 4), (4, 4)), ((2, 3, 4, 4), (2, 4), 3, 0),
    ((2, 3, 4, 4), (4, 4), 3, 1), ((2, 3, 4, 4), (4, 4), 3, 2), ((2, 3, 4, 4), (4, 4), 3, 3),
]  # fmt: skip


def test_like_torch() -> None:
    assert [t[0] for t in CASES if isinstance(run(torch, *t)[0], torch.Tensor)] == [c[0] for c in (*CASES[:3], CASES[4], *CASES[6:9])]
    for case in CASES:
        ours, theirs = run(jtorch, *case), run(torch, *case)
        assert len(ours) == len(theirs), (case, ours, theirs)
        for a, b in zip(ours, theirs, strict=True):
            if isinstance(b, torch.Tensor):
                torch.testing.assert_close(torch.from_numpy(a.detach().numpy()), b.detach())
            else:
                assert a == b, case


def test_a_row_that_is_masked() -> None:
    for library in (torch, jtorch):
        out = run(library, (2, 2), (2, 2), every=1)[0]
        assert bool(out.isnan().all())


def test_types() -> None:
    for dtype in ("int64", "complex64"):
        assert run(jtorch, (2, 5), (2, 5), dtype=dtype) == run(torch, (2, 5), (2, 5), dtype=dtype)
    for library in (torch, jtorch):
        try:
            library._masked_softmax(library.ones(2), library.ones(2))
        except RuntimeError as e:
            assert str(e) == "Mask should be a boolean tensor"
        else:
            raise AssertionError("no error")
