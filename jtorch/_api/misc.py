"""Questions about tensors, switches that XLA does not need, and Python's own constants."""

from __future__ import annotations

import math
from typing import Any

from jtorch._core.dispatch.checked_arguments import tensor_argument
from jtorch._core.dispatch.composites import compose
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._core.tensor import print_format
from jtorch._dtypes import C_NAMES
from jtorch._errors import warn_always
from jtorch._namespace import torch

from ._drawing import internal

torch.set_printoptions = print_format.set_printoptions
for _name, _value in {"inf": math.inf, "nan": math.nan, "pi": math.pi, "e": math.e, "newaxis": None}.items():
    setattr(torch, _name, _value)


@compose("torch")
def is_floating_point(input: Tensor) -> bool:
    """Whether the element type is one of the floating-point types."""
    return aval_of(input).dtype.is_floating_point


@compose("torch")
def is_complex(input: Tensor) -> bool:
    """Whether the element type is complex."""
    return aval_of(input).dtype.is_complex


@compose("torch")
def is_signed(input: Tensor) -> bool:
    """Whether the element type has negative numbers."""
    return aval_of(input).dtype.is_signed


@compose("torch")
def _assert(condition: Any, message: str) -> None:
    """``assert`` as a function, which tracers record."""
    assert condition, message


@compose("torch")
def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not zero. RuntimeError for other sizes."""
    n = input.numel()  # type: ignore[attr-defined]
    if n != 1:
        raise RuntimeError(f"Boolean value of Tensor with {'no values' if n == 0 else 'more than one value'} is ambiguous")
    return bool(input.item())  # type: ignore[attr-defined]


Tensor.is_nonzero = torch.is_nonzero  # type: ignore[attr-defined]


@compose("torch")
def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return bool(input.is_inference())  # type: ignore[attr-defined]


@compose("torch")
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether the shapes are the same."""
    return aval_of(input).shape == aval_of(other).shape


@compose("torch")
def numel(input: Tensor) -> int:
    """The number of elements."""
    return int(tensor_argument("numel", "input", 1, input).numel())  # type: ignore[attr-defined]


@compose("torch")
def get_device(input: Tensor) -> int:
    """The index of the device; -1 on the cpu."""
    return int(input.get_device())  # type: ignore[attr-defined]


@compose("torch")
def detach(input: Tensor) -> Tensor:
    """As ``Tensor.detach``: the same memory outside of the graph."""
    return input.detach()  # type: ignore[attr-defined,no-any-return]


@compose("torch")
def detach_(input: Tensor) -> Tensor:
    """As ``Tensor.detach_``: take the tensor out of the graph."""
    return input.detach_()  # type: ignore[attr-defined,no-any-return]


def is_storage(obj: Any) -> bool:
    """Whether ``obj`` is a storage."""
    return isinstance(obj, (torch.UntypedStorage, torch.TypedStorage))


_threads = [0, 0]


def get_num_threads() -> int:
    """The number of cores: XLA's own thread pool uses them all."""
    import os

    return _threads[0] or os.cpu_count() or 1


def set_num_threads(num: int) -> None:
    """Remembered; XLA sizes its own pool (``XLA_FLAGS``) when it starts."""
    if num <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    _threads[0] = num


def get_num_interop_threads() -> int:
    """What ``set_num_interop_threads`` was given, or ``get_num_threads()``."""
    return _threads[1] or get_num_threads()


def set_num_interop_threads(num: int) -> None:
    """Remembered; XLA sizes its own pools."""
    _threads[1] = num


_deterministic = [False, False]


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """XLA's programs on cpu and TPU give the same bits each time; on GPU set ``XLA_FLAGS=--xla_gpu_deterministic_ops=true``."""
    _deterministic[:] = [mode, warn_only]


def are_deterministic_algorithms_enabled() -> bool:
    """Whether ``use_deterministic_algorithms(True)`` was called."""
    return _deterministic[0]


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether deterministic algorithms are asked for with warnings only."""
    return _deterministic[1]


def set_deterministic_debug_mode(debug_mode: Any) -> None:
    """``"default"`` or 0, ``"warn"`` or 1, ``"error"`` or 2: another way to say ``use_deterministic_algorithms``."""
    _deterministic[:] = [debug_mode not in (0, "default"), debug_mode in (1, "warn")]


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2: default, warn, error."""
    return 0 if not _deterministic[0] else 1 if _deterministic[1] else 2


def set_flush_denormal(mode: bool) -> bool:
    """False: XLA does not switch the processor's mode."""
    return False


def set_warn_always(b: bool) -> None:
    """Whether warnings that are given once are given each time."""
    warn_always[0] = b


def is_warn_always_enabled() -> bool:
    """What ``set_warn_always`` was given."""
    return warn_always[0]


def compiled_with_cxx11_abi() -> bool:
    """True, as torch's own wheels say. Nothing here is compiled from C++."""
    return True


for _fn in (
    is_storage, get_num_threads, set_num_threads, get_num_interop_threads, set_num_interop_threads, use_deterministic_algorithms,
    are_deterministic_algorithms_enabled, is_deterministic_algorithms_warn_only_enabled, set_deterministic_debug_mode, get_deterministic_debug_mode,
    set_flush_denormal, set_warn_always, is_warn_always_enabled, compiled_with_cxx11_abi,
):  # fmt: skip
    setattr(torch, _fn.__name__, _fn)
torch.zero_ = Tensor.zero_  # type: ignore[attr-defined]


@compose("torch")
def _assert_async(input: Tensor, assert_msg: str | None = None) -> None:
    """RuntimeError, where a value is next waited for, unless the one element of ``input`` is true."""
    internal("assert_async", input, assert_msg)


@compose("torch")
def _assert_tensor_metadata(a: Tensor, size: Any = None, stride: Any = None, dtype: Any = None, *, device: Any = None, layout: Any = None) -> None:
    """RuntimeError where ``a`` is of another size, stride, type, device or layout than is given, as graphs that were exported check."""
    kind = a.dtype
    here = {  # torch prints the wanted type by the name of its classes, and the other by C++'s
        "sizes": (size and list(size), list(a.shape)), "strides": (stride and list(stride), list(a.stride()) if stride is not None else None),
        "dtype": (dtype and dtype.legacy, kind.legacy), "device": (device and str(torch.device(device)), str(a.device)), "layout": (layout and _LAYOUTS.get(str(layout)), _LAYOUTS.get(str(a.layout))),
    }  # fmt: skip
    for what, (wanted, found) in here.items():
        if wanted is not None and wanted != found:
            raise RuntimeError(f"Tensor {what} mismatch! Expected: {wanted}, Got: {C_NAMES.get(kind.name, kind.name) if what == 'dtype' else found}")


_LAYOUTS = {"torch.strided": "Strided", "torch.sparse_coo": "Sparse", "torch.sparse_csr": "SparseCsr", "torch.sparse_csc": "SparseCsc", "torch.sparse_bsr": "SparseBsr", "torch.sparse_bsc": "SparseBsc"}


@compose("torch")
def _assert_scalar(self: Any, assert_msg: str) -> None:
    """RuntimeError with the text unless the number is true."""
    if not self:
        raise RuntimeError(assert_msg)
