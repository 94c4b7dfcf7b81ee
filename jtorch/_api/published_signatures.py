"""The signatures that torch publishes for functions that are written here with ``*args``, since they are called in several forms: what ``help`` and the type stubs show of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.tensor.described_signature import described_forms
from jtorch._namespace import torch
from jtorch._registry import Param, Signature
from jtorch._registry.signature import parse

__all__ = ["publish"]

_KIND = "dtype? dtype=None, layout? layout=None, device? device=None, bool requires_grad=False"
_NEW = f"*, Tensor? out=None, {_KIND}, bool pin_memory=False"
_NAMED = "any? names=None"
_DRAWN = f"*, Generator? generator=None, Tensor? out=None, {_KIND}, bool pin_memory=False"
_SPARSE = "int[]? size=None, *, dtype? dtype=None, device? device=None, bool pin_memory=False, bool requires_grad=False, bool? check_invariants=None"
_MOVED = "bool non_blocking=False, bool copy=False, *, memory_format? memory_format=None"
_CELLS = "Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional"

FUNCTIONS = (
    f"zeros(int[] size, {_NEW}, memory_format? memory_format=None, {_NAMED})", f"ones(int[] size, {_NEW}, memory_format? memory_format=None, {_NAMED})",
    f"empty(int[] size, {_NEW}, memory_format? memory_format=None, {_NAMED})",
    f"rand(int[] size, {_DRAWN}, {_NAMED})", f"randn(int[] size, {_DRAWN}, {_NAMED})",
    f"arange(Number end, {_NEW})", f"arange(Number start, Number end, Number step=1, {_NEW})",
    f"randint(int high, int[] size, {_DRAWN})", f"randint(int low, int high, int[] size, {_DRAWN})",
    f"lstm(Tensor input, Tensor[] hx, {_CELLS}, bool batch_first)", f"lstm(Tensor data, Tensor batch_sizes, Tensor[] hx, {_CELLS})",
    *(form for name in ("gru", "rnn_tanh", "rnn_relu")
      for form in (f"{name}(Tensor input, Tensor hx, {_CELLS}, bool batch_first)", f"{name}(Tensor data, Tensor batch_sizes, Tensor hx, {_CELLS})")),
    f"randint_like(Tensor input, int high, *, Generator? generator=None, {_KIND}, bool pin_memory=False, memory_format? memory_format=None)",
    f"randint_like(Tensor input, int low, int high, *, Generator? generator=None, {_KIND}, bool pin_memory=False, memory_format? memory_format=None)",
    f"randint_like(Tensor input, Tensor high, *, Generator? generator=None, {_KIND}, bool pin_memory=False, memory_format? memory_format=None)",
    *(f"{name}_copy(Tensor input{taken}, *, Tensor? out=None)" for name, taken in {
        "alias": "", "detach": "", "indices": "", "values": "", "crow_indices": "", "col_indices": "", "ccol_indices": "", "row_indices": "",
        "as_strided": ", int[] size, int[] stride, int? storage_offset=None", "expand": ", int[] size, *, bool implicit=False", "unfold": ", int dimension, int size, int step",
        "unbind": ", int dim=0", "split": ", int split_size, int dim=0", "split_with_sizes": ", int[] split_sizes, int dim=0",
        "slice": ", int dim=0, int? start=None, int? end=None, int step=1", "narrow": ", int dim, int start, int length",
    }.items()),
    "view_copy(Tensor input, int[] size, *, Tensor? out=None)", "view_copy(Tensor input, dtype dtype, *, Tensor? out=None)",
    f"sparse_csr_tensor(any crow_indices, any col_indices, any values, {_SPARSE})", f"sparse_bsr_tensor(any crow_indices, any col_indices, any values, {_SPARSE})",
    f"sparse_csc_tensor(any ccol_indices, any row_indices, any values, {_SPARSE})", f"sparse_bsc_tensor(any ccol_indices, any row_indices, any values, {_SPARSE})",
)  # fmt: skip
METHODS = (
    "broadcast_to(Tensor self, int[] size)", "reshape(Tensor self, int[] shape)", "view(Tensor self, int[] size)", "view(Tensor self, dtype dtype)",
    "resize(Tensor self, int[] sizes)", "resize_(Tensor self, int[] size, *, memory_format? memory_format=None)",
    f"new_empty(Tensor self, int[] size, *, {_KIND}, bool pin_memory=False)", f"new_ones(Tensor self, int[] size, *, {_KIND}, bool pin_memory=False)",
    f"new_zeros(Tensor self, int[] size, *, {_KIND}, bool pin_memory=False)",
    f"to(Tensor self, device? device=None, dtype? dtype=None, {_MOVED})", f"to(Tensor self, dtype dtype, {_MOVED})", f"to(Tensor self, Tensor tensor, {_MOVED})",
    "to_sparse(Tensor self, *, layout? layout=None, int[2]? blocksize=None, int? dense_dim=None)", "to_sparse(Tensor self, int sparse_dim)",
    "to_sparse_csr(Tensor self, int? dense_dim=None)", "to_sparse_csc(Tensor self, int? dense_dim=None)",
    "to_sparse_bsr(Tensor self, int[2] blocksize, int? dense_dim=None)", "to_sparse_bsc(Tensor self, int[2] blocksize, int? dense_dim=None)",
)  # fmt: skip
_OUT = Param("out", "Tensor", True, None, True)


def _derived() -> Iterator[tuple[Any, str, list[Signature]]]:
    """``x_copy`` and ``x_`` of a view ``x`` take what it takes."""
    for space, suffix, more in ((torch, "_copy", (_OUT,)), (Tensor, "_", ())):
        for name in [n for n in vars(space) if n.endswith(suffix) and not n.startswith("_")]:
            ops = getattr(getattr(Tensor if space is Tensor else torch, name.removesuffix(suffix), None), "jtorch_ops", None)
            if ops is not None and ops[0].view and not hasattr(vars(space)[name], "jtorch_ops") and not any(f.startswith(f"{name}(") for f in FUNCTIONS):
                yield space, name, [replace(s, params=(*s.params, *more)) for o in ops for s in o.signatures]


def publish() -> None:
    """Let them show what torch publishes: ``__signature__``, and each form in ``jtorch_forms``."""
    forms: dict[tuple[Any, str], list[Signature]] = {(space, name): found for space, name, found in _derived()}
    for space, texts in ((torch, FUNCTIONS), (Tensor, METHODS)):
        for text in texts:
            forms.setdefault((space, text.partition("(")[0]), []).append(parse(text))
    for (space, name), found in forms.items():
        fn = vars(space)[name]
        result = fn.__annotations__.get("return", "Tensor")
        if result == "Any":
            result = "tuple[Tensor, ...]" if name.startswith(("unbind", "split")) else "Tensor"
        fn.__signature__ = described_forms(found, space is Tensor, result)
        fn.jtorch_forms = tuple(found)
