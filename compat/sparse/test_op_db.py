"""Operators of op_db on sparse tensors: the same values, types, layouts and coalescedness as torch, or the same exception's type."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db, unary_ufuncs

import jtorch.sparse  # noqa: F401
from compat import bridge

ARRAY = torch.tensor([[0, 0.5, 0], [-0.25, 0, 0.75]])
CASES = [("sparse_csr", torch.float32), *[pytest.param("sparse_coo", d, marks=pytest.mark.slow) for d in (torch.float32, torch.int64)]]  # the samples below are of both
# What jtorch computes where torch raises, or the other way round, and why.
DIFFERENT = {
    "nn.functional.tanhshrink": "torch has no sparse - sparse for CSR that starts from a pointwise function; here there is one",
    "nan_to_num": "torch has it for COO only; it keeps zeros in every layout",
}
SPARSE = [o for o in op_db if o.supports_sparse or o.supports_sparse_csr or o.supports_sparse_csc]
# Sparse forms that jtorch declines by name.
DECLINED = ("masked.",)


def _same(theirs: Any, ours: Any) -> None:
    assert (str(ours.layout), str(ours.dtype)) == (str(theirs.layout), str(theirs.dtype))
    dense = theirs if theirs.layout is torch.strided else theirs.to_dense()
    torch.testing.assert_close(
        torch.from_numpy(np.array(bridge.back(ours))), torch.from_numpy(np.array(bridge.forth(dense))), equal_nan=True
    )
    if theirs.layout is torch.sparse_coo:
        assert (ours.is_coalesced(), ours._nnz()) == (theirs.is_coalesced(), theirs._nnz())


def _attempt(fn: Any, *args: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return fn(*args), None
        except Exception as error:
            return None, error


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("layout", "dtype"), CASES)
def test_pointwise(layout: str, dtype: Any) -> None:
    values = (ARRAY * 4).to(dtype) if dtype is torch.int64 else ARRAY.to(dtype)
    x = values.to_sparse(layout=getattr(torch, layout))
    wrong = []
    for op in unary_ufuncs:
        if op.variant_test_name or op.name.startswith(("jiterator", "_refs")) or op.name in DIFFERENT:
            continue
        theirs, raised = _attempt(op.op, x)
        ours, raised_too = _attempt(bridge.Translator()(op.op), bridge.tensor(x))
        if raised is not None:
            if not isinstance(raised_too, (type(raised), NotImplementedError)):
                wrong.append(f"{op.name}: torch {raised!r}, jtorch {raised_too!r}")
            continue
        error = raised_too or _attempt(_same, theirs, ours)[1]
        if error is not None:
            wrong.append(f"{op.name}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", ["sparse_coo", "sparse_csr", "sparse_csc"])
def test_samples_of_op_db(layout: str) -> None:
    wrong = []
    for op in SPARSE:
        supported = op.supports_sparse if layout == "sparse_coo" else getattr(op, f"supports_{layout}")
        if not supported or op.name.startswith(DECLINED):
            continue
        try:
            samples = list(itertools.islice(op.sample_inputs_sparse(getattr(torch, layout), "cpu", torch.float32), 10))
        except Exception:
            continue  # torch makes no sparse samples of it
        for sample in samples:
            theirs, raised = _attempt(lambda s=sample, f=op.op: f(s.input, *s.args, **s.kwargs))
            if raised is not None:
                continue
            fn, args, kwargs = (bridge.Translator()(v) for v in (op.op, sample.args, sample.kwargs))
            ours, error = _attempt(lambda s=sample, f=fn, a=args, k=kwargs: f(bridge.tensor(s.input), *a, **k))
            if error is not None and "dense dims" in str(error):
                continue  # compressed layouts with dense dims are not carried
            if op.name.startswith("rand") and error is None:
                error = None if str(ours.layout) == str(theirs.layout) else AssertionError(str(ours.layout))
            else:
                error = error or _attempt(_same, theirs, ours)[1]
            if error is not None:
                wrong.append(f"{op.name} {sample.args} {sample.kwargs}: {error!r}")
    assert not wrong, "\n".join(wrong)
