"""Where the rules for ``__torch_dispatch__`` are kept: what public functions come to in torch's library (``decompositions.py`` has them all)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of

from .offering import off

__all__ = ["HIDDEN", "RULES", "each", "made", "rule", "shape_of"]

RULES: dict[str, Callable[..., Any]] = {}
"""A public function's name to what it comes to. A rule that answers NotImplemented leaves the call to the operator of that name."""

# What torch's library does not hear of, or turns its ears off for.
HIDDEN = frozenset((
    "numpy", "tolist", "__repr__", "__str__", "__array__", "__format__", "__reduce_ex__", "__deepcopy__", "numpy_T", "is_contiguous", "stride", "size", "dim", "numel",
    "storage_offset", "element_size", "data_ptr", "untyped_storage", "storage", "register_hook", "retain_grad", "requires_grad_", "from_numpy", "is_floating_point",
    "is_complex", "is_tensor", "result_type", "can_cast", "__len__", "nelement", "ndimension", "get_device", "__hash__", "is_same_size", "_is_view", "is_conj", "is_neg",
    "manual_seed", "is_shared", "share_memory_", "register_post_accumulate_grad_hook", "__setstate__", "__dlpack__", "__dlpack_device__", "as_subclass",
    "is_nonzero_", "dim_order", "is_inference", "is_signed", "has_names", "type_",
    *[f"{n}.__get__" for n in (
        "shape", "dtype", "device", "layout", "ndim", "grad", "requires_grad", "grad_fn", "is_leaf", "is_cuda", "is_cpu", "is_meta", "is_sparse", "is_quantized", "names",
        "retains_grad", "_version", "_base", "output_nr", "itemsize", "nbytes", "is_mkldnn", "is_mps", "is_xpu", "is_nested", "is_sparse_csr", "_grad",
    )],
))  # fmt: skip


def rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares a rule for functions of these names."""

    def declare(fn: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            RULES[name] = fn
        return fn

    return declare


def shape_of(x: Tensor) -> tuple[int, ...]:
    """The sizes, without asking anybody."""
    return aval_of(x).shape


def each(value: Any, n: int) -> list[int]:
    """One number for each of ``n`` dims."""
    return [value] * n if isinstance(value, int) else list(value) * (n if len(value) == 1 else 1)


def made(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function gives while nobody listens."""
    with off():
        return fn(*args, **kwargs)
