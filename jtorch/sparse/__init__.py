"""``torch.sparse``: sparse tensors. Source: https://docs.pytorch.org/docs/stable/sparse.html

What carries them. A sparse tensor is a ``torch.Tensor`` (``type(t) is torch.Tensor``) whose storage holds a sparse value: its layout and
its parts, which are ordinary tensors. COO has ``indices`` (sparse dims, n) and ``values`` (n, dense dims); CSR, CSC, BSR and BSC have where
each row or column begins, the other index, and values, with batch dims in front where there are any. An operator that meets such a value is
run by a function of ``jtorch/_api/sparse_*.py`` on the parts; dense tensors do not pay for it, since dispatch learns of it only where it
knows no entry.

What computes. Values are recorded like everything else and their sums and products are JAX's ``BCOO`` and ``BCSR``
(``jtorch/_ops/sparse.py``), so a program with a sparse product in it is one XLA program. How *many* places a result has depends on indices,
and XLA has no such arrays: indices are computed by numpy on the host. Hence

- what keeps the places (arithmetic with numbers and dense tensors, pointwise functions of a coalesced tensor, products with dense matrices,
  ``to_dense``, ``sparse_mask``, ``softmax``) compiles once;
- what finds new places (``to_sparse`` of a dense tensor, ``coalesce``, sparse + sparse, sparse @ sparse, ``sum`` over dims,
  ``index_select``) looks at the indices, and another number of places is another program.

``nn.Embedding(sparse=True)`` gives its gradient one place for each index looked up, so batches of one size share a program, whichever rows
they read: ``SGD``, ``SparseAdam`` and ``Adagrad`` add up the rows that are there several times inside the program, and the rows of
``padding_idx`` are left out of the gradient when somebody looks at it. (``SGD`` with momentum keeps a sparse buffer that grows with the
rows it has seen, as torch's does: each new size compiles.)

Gradients. They are sparse where torch's are: of ``to_dense``, ``values``, ``torch.sparse.mm``, ``torch.sparse.sum``, the pointwise
functions and ``embedding(sparse=True)``; dense where a sparse leaf meets ``torch.mm``, ``sum`` or an addition to a dense tensor. A dense
operator between a sparse gradient and its leaf gets it dense, where torch would have to have a sparse kernel. Second derivatives work
through all of them.

What raises. Operators without a sparse form raise ``NotImplementedError("Could not run 'aten::...' with arguments from the 'SparseCPU'
backend")``, as torch does; ``to_dense()`` is the way on. Not here (compat/gaps.toml has the list): semi-structured tensors, compressed
tensors with dense dims, ``torch.masked`` on sparse tensors. Indices are not checked unless ``check_invariants=True`` or
:class:`check_sparse_tensor_invariants` says so, as in torch; an index out of range is then dropped or clamped where torch would read
foreign memory or raise.
"""

from __future__ import annotations

from typing import Any

from jtorch._api.declined import declined
from jtorch._api.sparse_make import check_sparse_tensor_invariants, spdiags
from jtorch._api.sparse_matmul import sampled_addmm, sparse_addmm as addmm, sparse_mm as mm
from jtorch._api.sparse_reduce import sparse_log_softmax as log_softmax, sparse_softmax as softmax, sparse_sum as sum
from jtorch._public import torch

__all__ = [
    "addmm", "as_sparse_gradcheck", "check_sparse_tensor_invariants", "log_softmax", "mm", "sampled_addmm", "softmax", "spdiags", "sum",
    "SparseSemiStructuredTensor", "SparseSemiStructuredTensorCUSPARSELT", "SparseSemiStructuredTensorCUTLASS", "to_sparse_semi_structured",
]  # fmt: skip

for _fn, _public in ((addmm, "addmm"), (mm, "mm"), (log_softmax, "log_softmax"), (softmax, "softmax"), (sum, "sum")):
    _fn.__name__ = _fn.__qualname__ = _public


def _decline(name: str, parameters: str, instead: str) -> None:
    globals()[name] = declined(name, parameters, instead, "torch.sparse")


_decline("as_sparse_gradcheck", "(gradcheck)", "check a function of the values: gradcheck compares dense gradients")


class _Legacy(type):
    """The older classes of sparse tensors: made of indices, values and a size, and asked by ``isinstance``."""

    dtype: Any

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        checked = check_sparse_tensor_invariants.is_enabled()  # said, so that there is no warning of what is not checked: torch has none here
        if not kwargs and all(isinstance(n, int) for n in args):  # sizes, or nothing at all
            return torch.sparse_coo_tensor(args or (0,), dtype=cls.dtype, check_invariants=checked)
        return torch.sparse_coo_tensor(*args, dtype=cls.dtype, **{"check_invariants": checked, **kwargs})

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, torch.Tensor) and instance.is_sparse and instance.dtype == cls.dtype


for _kind, _dtype in {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64",
}.items():  # fmt: skip
    globals()[f"{_kind}Tensor"] = _Legacy(f"{_kind}Tensor", (), {"dtype": getattr(torch, _dtype), "__module__": "torch.sparse", "__doc__": f"Sparse tensors of {_dtype}."})

_HALVES = "2:4 sparsity names a layout of NVIDIA's kernels that XLA does not emit; multiply by a mask, or use to_sparse_bsr"
_decline("to_sparse_semi_structured", "(original_tensor, transposed=False, alg_id=0)", _HALVES)
for _kind in ("", "CUTLASS", "CUSPARSELT"):
    _decline(f"SparseSemiStructuredTensor{_kind}", "(*args, **kwargs)", _HALVES)
