"""What a tensor says of itself: shape, type and place, and its elements to Python and numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jtorch._errors import not_implemented, warn_once
from jtorch._core.dispatch.checked_arguments import checked_format, checked_number
from jtorch._core.tensor.creation import from_numpy
from jtorch._engine.values.lanes import LOOKED_AT
from jtorch._engine.values.placed import PlacedAval
from jtorch._engine.values.placed import in_use as placing_in_use
from jtorch._engine.values.values import to_device
from jtorch._core.tensor.tensor_repr import show
from jtorch import _device, _dtypes, _types
from jtorch._engine.values.sparse_values import SparseAval
from jtorch._engine.values.thread_state import GRAD, state
from jtorch._engine.recording.trace import force

from jtorch._core.graph import sparse_values
from jtorch._core.dispatch.conversion import format_strides
from jtorch._core.tensor.method_decorators import method, prop, read_only
from jtorch._core.dispatch.torch_function import has_override, override
from jtorch._core.storage.host_memory import data_ptr, host_view, share_with_host
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, elements, flips_of, is_contiguous, layout, read, strides_of
from jtorch._core.storage.write_counts import origin_of


# --- shape, type, place -----------------------------------------------------------------------------------------


@prop
def shape(self: Tensor) -> _types.Size:
    """The sizes of the dims, a ``torch.Size``."""
    return tuple.__new__(_types.Size, aval_of(self).shape)


@prop
def dtype(self: Tensor) -> _dtypes.dtype:
    """The element type."""
    return aval_of(self).dtype


@prop
def device(self: Tensor) -> _device.device:
    """Where the elements are."""
    return aval_of(self).device


@prop
def layout_(self: Tensor) -> Any:
    """``torch.strided`` or one of the sparse layouts."""
    return aval_of(self).layout


Tensor.layout = Tensor.layout_  # type: ignore[method-assign,attr-defined]
del Tensor.layout_  # type: ignore[attr-defined]


@prop
def ndim(self: Tensor) -> int:
    """The number of dims."""
    return len(aval_of(self).shape)


@prop
def itemsize(self: Tensor) -> int:
    """Bytes of one element."""
    return aval_of(self).dtype.itemsize


@prop
def nbytes(self: Tensor) -> int:
    """Bytes of all elements."""
    return numel(self) * aval_of(self).dtype.itemsize


@method
def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of one dim. IndexError for a dim that is not there."""
    s = aval_of(self).shape
    if dim is None:
        return tuple.__new__(_types.Size, s)
    dim = checked_number("size", "dim", int, dim, " (position 1)")
    n = max(len(s), 1)
    if not s or not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})" if s else f"Dimension specified as {dim} but tensor has no dimensions"
        )
    return s[dim]


@method
def dim(self: Tensor) -> int:
    """The number of dims."""
    return len(aval_of(self).shape)


Tensor.ndimension = Tensor.dim  # type: ignore[method-assign]


@method
def numel(self: Tensor) -> int:
    """The number of elements."""
    n = 1
    for d in aval_of(self).shape:
        n *= d
    return n


Tensor.nelement = Tensor.numel  # type: ignore[method-assign]


@method
def element_size(self: Tensor) -> int:
    """Bytes of one element."""
    return aval_of(self).dtype.itemsize


@method
def stride(self: Tensor, dim: int | None = None) -> Any:
    """How far apart neighbours along each dim (or one dim) are, in elements."""
    s = strides_of(self) if aval_of(self).__class__ is not SparseAval else sparse_values.strides(self)
    if dim is None:
        return s
    dim = checked_number("stride", "dim", int, dim, " (position 1)")
    n = max(len(s), 1)
    if not -n <= dim < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    return s[dim]


@method
def storage_offset(self: Tensor) -> int:
    """Where the first element lies in the storage, in elements."""
    return layout(self)[2]


@method
def is_contiguous_(self: Tensor, memory_format: Any = None) -> bool:
    """Whether the elements lie one after another in the order of ``memory_format`` (default: row-major)."""
    if aval_of(self).__class__ is SparseAval:
        return sparse_values.is_contiguous(self)
    sh, st, _ = layout(self)
    if memory_format is None or checked_format("is_contiguous", memory_format).name in ("contiguous_format", "preserve_format"):
        return is_contiguous(sh, st) or 0 in sh
    n = 4 if memory_format.name == "channels_last" else 5
    if len(sh) != n:
        return False
    want = format_strides(sh, memory_format)
    return all(a == b or d == 1 for a, b, d in zip(st, want, sh, strict=True))


Tensor.is_contiguous = is_contiguous_  # type: ignore[method-assign]
del Tensor.is_contiguous_  # type: ignore[attr-defined]


@method
def data_ptr_(self: Tensor) -> int:
    """The address of the first element; 0 if there is none."""
    if aval_of(self).__class__ is SparseAval:
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")
    n = numel(self)
    return data_ptr(self._s) + layout(self)[2] * aval_of(self).dtype.itemsize if n else 0


Tensor.data_ptr = data_ptr_  # type: ignore[method-assign]
del Tensor.data_ptr_  # type: ignore[attr-defined]


@method
def get_device(self: Tensor) -> int:
    """The index of the device; -1 on the cpu."""
    where = aval_of(self).device
    return -1 if where.index is None else where.index


_says = {"is_floating_point": "is one of the floating-point types", "is_complex": "is complex", "is_signed": "has negative numbers"}
for _name, _test in {
    "is_floating_point": lambda d: d.is_floating_point, "is_complex": lambda d: d.is_complex, "is_signed": lambda d: d.is_signed,
}.items():  # fmt: skip

    def _of_dtype(self: Tensor, _test: Any = _test) -> bool:
        return bool(_test(aval_of(self).dtype))

    _of_dtype.__name__ = _name
    _of_dtype.__doc__ = f"Whether the element type {_says[_name]}."
    setattr(Tensor, _name, _of_dtype)


def _is_on(kind: str) -> Callable[[Tensor], bool]:
    return lambda self: bool(aval_of(self).device.type == kind)


def _is_laid_out(wanted: Any) -> Callable[[Tensor], bool]:
    return lambda self: aval_of(self).layout is wanted


for _kind in ("cuda", "xla", "mps", "meta", "cpu", "xpu", "ipu", "hpu", "mtia", "maia", "vulkan"):
    setattr(Tensor, f"is_{_kind}", read_only(f"is_{_kind}", _is_on(_kind)))
for _flag in ("is_quantized", "is_mkldnn", "is_nested"):
    setattr(Tensor, _flag, read_only(_flag, lambda self: False))
for _flag, _named in (("is_sparse", "sparse_coo"), ("is_sparse_csr", "sparse_csr")):
    setattr(Tensor, _flag, read_only(_flag, _is_laid_out(_types.CONSTANTS[_named])))


@method
def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether the shapes are the same."""
    return aval_of(self).shape == aval_of(other).shape


@method
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the same view of the same memory."""
    return origin_of(self._s) is origin_of(tensor._s) and layout(self) == layout(tensor)




# --- to Python and numpy ----------------------------------------------------------------------------------------


@method
def item(self: Tensor) -> Any:
    """The only element as a Python number."""
    a = aval_of(self)
    if a.shape and numel(self) != 1:
        raise RuntimeError(f"a Tensor with {numel(self)} elements cannot be converted to Scalar")
    if a.device is _device.META:
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    found = elements(self)
    return found.item() if found.dtype.kind in "biufc" else float(found.item())


@method
def tolist(self: Tensor) -> Any:
    """The elements as nested lists of Python numbers; a number if there are no dims."""
    if aval_of(self).__class__ is SparseAval:
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")
    if placing_in_use and self._s.value.aval.__class__ is PlacedAval:
        raise RuntimeError(".tolist() is not supported for tensor subclasses, got DTensor")
    a = elements(self)
    if a.dtype.kind not in "biufc":
        a = a.astype(np.float32)
    return a.tolist()


@method
def numpy(self: Tensor, *, force: bool = False) -> np.ndarray:
    """A numpy array on the same memory (cpu tensors outside of a graph). TypeError/RuntimeError as torch's."""
    if force:
        return self.detach().cpu().resolve_conj().resolve_neg().numpy()
    a = aval_of(self)
    if a.device.type != "cpu":
        raise TypeError(f"can't convert {a.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.")
    if self._edge is not None and state.mode & GRAD:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if placing_in_use and self._s.value.aval.__class__ is PlacedAval:
        raise RuntimeError(".numpy() is not supported for tensor subclasses.")
    if a.dtype.memory.kind not in "biufc":
        raise TypeError(f"Got unsupported ScalarType {a.dtype.legacy}")
    if a.__class__ is SparseAval:
        raise TypeError(f"can't convert {sparse_values.SHORT[a.layout.name]} layout tensor to numpy. Use Tensor.to_dense() first.")
    if flips := flips_of(self):
        what = "conjugate" if flips & 1 else "negative"
        raise RuntimeError(f"Can't call numpy() on Tensor that has {what} bit set. Use tensor.resolve_{what[:4] if flips & 1 else 'neg'}().numpy() instead.")
    memory = share_with_host(self._s)
    if self._view is None:
        return memory
    sh, st, offset = layout(self)
    return host_view(memory, sh, st, offset, a.dtype.memory)


@method
def __array__(self: Tensor, dtype: Any = None, copy: Any = None) -> np.ndarray:
    if has_override((self,), {}):
        return override(Tensor.__array__, (self,), {"dtype": dtype})
    if self._edge is not None and state.mode & GRAD:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    a = numpy(self)
    return a if dtype is None else a.astype(dtype, copy=False)


__array__.jtorch_public = __array__  # type: ignore[attr-defined]  # it asks by itself


def __array_wrap__(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    if array.dtype == bool:
        array = array.astype("uint8")
    return from_numpy(array)


Tensor.__array_wrap__ = __array_wrap__  # type: ignore[method-assign]
Tensor.__array_priority__ = 1000  # type: ignore[attr-defined]


@method
def __jax_array__(self: Tensor) -> Any:
    """The jax.Array of this tensor, so that jax functions take it as it is."""
    return to_jax(self)


def to_jax(t: Tensor) -> Any:
    """The jax.Array (or tracer) behind a tensor; numpy data goes to the device first."""
    v = read(t)
    if v.aval.dtype is _dtypes.complex32:
        not_implemented("JAX's arrays of complex32", "give JAX torch.view_as_real(t), or complex64")
    array = force(v)
    if isinstance(array, np.ndarray):
        array = v.array = to_device(array, v.aval.device)
    return array


def _scalar_guard(self: Tensor, what: str) -> Any:
    n = numel(self)
    if n != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    if self._edge is not None:

        warn_once(
            "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\nConsider using tensor.detach() first.",
        ) if what == "float" else None
    return item(self)


def _real_part(x: Any, kind: str) -> Any:
    """A number as a real one, where that loses nothing."""
    if x.__class__ is not complex:
        return x
    if x.imag:
        raise RuntimeError(f"value cannot be converted to type {kind} without overflow")
    return x.real


@method
def __bool__(self: Tensor) -> bool:
    if aval_of(self).shape:
        n = numel(self)
        if n == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        if n > 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
    watch = state.observed
    if watch is not None:
        truth = watch.look(self)
        if truth is not None:
            return truth  # type: ignore[no-any-return]
    try:
        return bool(item(self))
    except RuntimeError as error:
        if error.args == (LOOKED_AT,):
            raise RuntimeError(
                "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't support that yet, please file an issue at "
                "https://github.com/pytorch/pytorch/issues ."
            ) from None
        raise


@method
def __float__(self: Tensor) -> float:
    return float(_real_part(_scalar_guard(self, "float"), "double"))


@method
def __int__(self: Tensor) -> int:
    return int(_real_part(_scalar_guard(self, "int"), "int64_t"))


@method
def __complex__(self: Tensor) -> complex:
    return complex(_scalar_guard(self, "complex"))


@method
def __index__(self: Tensor) -> int:
    if aval_of(self).dtype.category > 1 or numel(self) != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(item(self))


@method
def __len__(self: Tensor) -> int:
    s = aval_of(self).shape
    if not s:
        raise TypeError("len() of a 0-d tensor")
    return s[0]


@method
def __iter__(self: Tensor) -> Any:
    if not aval_of(self).shape:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


@method
def __reversed__(self: Tensor) -> Tensor:
    return self if not aval_of(self).shape else self.flip(0)


@method
def __contains__(self: Tensor, element: Any) -> bool:
    if isinstance(element, (Tensor, int, float, complex, bool, np.generic)):
        return bool((self == element).any())
    raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")


@method
def __hash__(self: Tensor) -> int:
    return id(self)


@method
def __format__(self: Tensor, spec: str) -> str:
    if has_override((self,), {}):
        return override(Tensor.__format__, (self, spec), {})  # type: ignore[no-any-return]
    if not aval_of(self).shape and type(self) is Tensor and not (placing_in_use and self._s.value.aval.__class__ is PlacedAval):
        return format(item(self), spec)
    return object.__format__(self, spec)


@method
def __dir__(self: Tensor) -> list[str]:
    hidden = {"volatile"} if self.is_cuda and not self.is_sparse else {"volatile", "__cuda_array_interface__"}
    return sorted(n for n in {*dir(type(self)), *self.__dict__} - hidden if not n[0].isdigit())


# --- to print and to other libraries ------------------------------------------------------------------------------------


@method
def __repr__(self: Tensor, *, tensor_contents: Any = None) -> str:
    if has_override((self,), {}):
        return override(Tensor.__repr__, (self,), {"tensor_contents": tensor_contents})  # type: ignore[no-any-return]
    return show(self, tensor_contents)


@method
def __cuda_array_interface__(self: Tensor) -> Any:
    raise AttributeError(
        "Can't get __cuda_array_interface__ on non-CUDA tensor type: exchange arrays with torch.utils.dlpack, which JAX supports on every device"
    )


Tensor.__cuda_array_interface__ = property(Tensor.__cuda_array_interface__)  # type: ignore[method-assign,assignment]


@method
def __dlpack__(self: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None) -> Any:
    """The DLPack capsule of this tensor's memory, which it shares on the cpu where numpy has the element type."""
    if self._edge is not None:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if flips_of(self) & 1:
        raise BufferError("Can't export tensors with the conjugate bit set")
    if stream is not None and type(stream) is not int:
        raise TypeError("stream must be ``int`` or ``none``")
    a = aval_of(self)
    if a.device is _device.CPU and stream is not None:
        if stream != -1:
            raise AssertionError("stream should be None on cpu.")
        stream = None
    if a.device is _device.CPU and a.dtype.memory.kind in "biufc":
        asked = {"max_version": max_version, "dl_device": dl_device, "copy": copy}
        return self.numpy().__dlpack__(**{k: v for k, v in asked.items() if v is not None})
    found = to_jax(self.contiguous())
    return found.__dlpack__(stream=stream) if stream is not None else found.__dlpack__()


@method
def __dlpack_device__(self: Tensor) -> Any:
    return to_jax(self).__dlpack_device__()


Tensor.__hash__ = __hash__  # type: ignore[method-assign,method-assign]
Tensor.jax = to_jax  # type: ignore[method-assign,assignment]
