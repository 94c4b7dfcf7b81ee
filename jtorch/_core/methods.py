"""What a Tensor has besides operators: its properties, conversions, graph and memory."""

from __future__ import annotations

from typing import Any

from collections import OrderedDict

import jax
import numpy as np

from jtorch import _device, _dtypes, _types
from jtorch._engine.call import T, call_of, value
from jtorch._engine.sparse import SparseAval
from jtorch._engine.state import GRAD, state
from jtorch._engine.trace import force
from jtorch._registry import lookup

from . import backward as _backward
from . import sparse
from .bind import _all_ints
from .convert import cast, format_strides, resize, to, with_strides
from .create import require_grad
from .dispatch import apply_multi, edge_of
from .inplace import assign, check_writable
from .handles import RemovableHandle
from .node import AccumulateGrad, hooks_of
from .overrides import _DEFAULT, DisableTorchFunctionSubclass, has_override, override
from .storage import data_ptr, host_view, looked_at, numpy_of, share_with_host
from .tensor import PLAIN, Tensor, alias_of, meta_of
from .viewing import take_view
from .views import aval_of, is_contiguous, layout, read, strides_of

_clone = call_of(lookup("torch.clone"), (T, value(None)))


def _method(fn: Any) -> Any:
    setattr(Tensor, fn.__name__, fn)
    return fn


def _property(fn: Any) -> Any:
    setattr(Tensor, fn.__name__, property(fn))
    return fn


# --- shape, type, place -----------------------------------------------------------------------------------------


@_property
def shape(self: Tensor) -> _types.Size:
    return tuple.__new__(_types.Size, aval_of(self).shape)


@_property
def dtype(self: Tensor) -> _dtypes.dtype:
    return aval_of(self).dtype


@_property
def device(self: Tensor) -> _device.device:
    return aval_of(self).device


@_property
def layout_(self: Tensor) -> Any:
    return aval_of(self).layout


Tensor.layout = Tensor.layout_  # type: ignore[attr-defined]
del Tensor.layout_  # type: ignore[attr-defined]


@_property
def ndim(self: Tensor) -> int:
    return len(aval_of(self).shape)


@_property
def itemsize(self: Tensor) -> int:
    return aval_of(self).dtype.itemsize


@_property
def nbytes(self: Tensor) -> int:
    return numel(self) * aval_of(self).dtype.itemsize


@_method
def size(self: Tensor, dim: int | None = None) -> Any:
    s = aval_of(self).shape
    if dim is None:
        return tuple.__new__(_types.Size, s)
    n = max(len(s), 1)
    if not s or not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})" if s else f"Dimension specified as {dim} but tensor has no dimensions"
        )
    return s[dim]


@_method
def dim(self: Tensor) -> int:
    return len(aval_of(self).shape)


Tensor.ndimension = Tensor.dim  # type: ignore[attr-defined]


@_method
def numel(self: Tensor) -> int:
    n = 1
    for d in aval_of(self).shape:
        n *= d
    return n


Tensor.nelement = Tensor.numel  # type: ignore[attr-defined]


@_method
def element_size(self: Tensor) -> int:
    return aval_of(self).dtype.itemsize


@_method
def stride(self: Tensor, dim: int | None = None) -> Any:
    s = strides_of(self) if aval_of(self).__class__ is not SparseAval else sparse.strides(self)
    if dim is None:
        return s
    n = max(len(s), 1)
    if not -n <= dim < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    return s[dim]


@_method
def storage_offset(self: Tensor) -> int:
    return layout(self)[2]


@_method
def is_contiguous_(self: Tensor, memory_format: Any = None) -> bool:
    if aval_of(self).__class__ is SparseAval:
        return sparse.is_contiguous(self)
    sh, st, _ = layout(self)
    if memory_format is None or memory_format.name in ("contiguous_format", "preserve_format"):
        return is_contiguous(sh, st)
    n = 4 if memory_format.name == "channels_last" else 5
    if len(sh) != n:
        return False
    want = format_strides(sh, memory_format)
    return all(a == b or d == 1 for a, b, d in zip(st, want, sh, strict=True))


Tensor.is_contiguous = is_contiguous_  # type: ignore[attr-defined]
del Tensor.is_contiguous_  # type: ignore[attr-defined]


@_method
def data_ptr_(self: Tensor) -> int:
    if aval_of(self).__class__ is SparseAval:
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")
    n = numel(self)
    return data_ptr(self._s) + layout(self)[2] * aval_of(self).dtype.itemsize if n else 0


Tensor.data_ptr = data_ptr_  # type: ignore[attr-defined]
del Tensor.data_ptr_  # type: ignore[attr-defined]


@_method
def get_device(self: Tensor) -> int:
    where = aval_of(self).device
    return -1 if where.index is None else where.index


for _name, _test in {
    "is_floating_point": lambda d: d.is_floating_point, "is_complex": lambda d: d.is_complex, "is_signed": lambda d: d.is_signed,
}.items():  # fmt: skip

    def _of_dtype(self: Tensor, _test: Any = _test) -> bool:
        return bool(_test(aval_of(self).dtype))

    _of_dtype.__name__ = _name
    setattr(Tensor, _name, _of_dtype)

for _kind in ("cuda", "xla", "mps", "meta", "cpu", "xpu", "ipu", "hpu", "mtia", "maia", "vulkan"):
    setattr(Tensor, f"is_{_kind}", property(lambda self, k=_kind: aval_of(self).device.type == k))
for _flag in ("is_quantized", "is_mkldnn", "is_nested"):
    setattr(Tensor, _flag, property(lambda self: False))
for _flag, _named in (("is_sparse", "sparse_coo"), ("is_sparse_csr", "sparse_csr")):
    setattr(Tensor, _flag, property(lambda self, _wanted=_types.CONSTANTS[_named]: aval_of(self).layout is _wanted))


@_method
def is_same_size(self: Tensor, other: Tensor) -> bool:
    return aval_of(self).shape == aval_of(other).shape


@_method
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    return self._s is tensor._s and layout(self) == layout(tensor)


# --- the graph --------------------------------------------------------------------------------------------------


def _get_requires_grad(self: Tensor) -> bool:
    return self._edge is not None


def _set_requires_grad(self: Tensor, yes: bool) -> None:
    if self._edge is not None and self._edge.__class__ is not AccumulateGrad:
        if not yes:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        return
    if yes:
        if aval_of(self).dtype.category < 2:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if self._meta is not None and self._meta.inference and not state.mode & 2:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        require_grad(self)
    else:
        self._edge = None


Tensor.requires_grad = property(_get_requires_grad, _set_requires_grad)  # type: ignore[attr-defined]


@_method
def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Change whether this leaf requires grad, in place."""
    if bool(requires_grad) == (self._edge is not None):
        return self
    _set_requires_grad(self, requires_grad)
    return self


@_property
def is_leaf(self: Tensor) -> bool:
    return self._edge is None or edge_of(self).__class__ is AccumulateGrad


@_property
def grad_fn(self: Tensor) -> Any:
    if self._edge is None and (self._meta is None or self._meta.base is None):
        return None
    edge = edge_of(self)
    return None if edge.__class__ is AccumulateGrad else edge


def _get_grad(self: Tensor) -> Any:
    if self._grad is None and self._edge is not None and not self.is_leaf and not (self._meta is not None and self._meta.retains):  # type: ignore[attr-defined]
        import warnings

        warnings.warn(
            "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be populated during autograd.backward(). "
            "If you indeed want the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. "
            "If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more informations.",
            stacklevel=2,
        )
    return self._grad


def _set_grad(self: Tensor, g: Any) -> None:
    if g is None:
        self._grad = None
        return
    if not isinstance(g, Tensor):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(g).__name__}")
    if g is self:
        raise RuntimeError("can't assign Variable as its own grad")
    a, b = aval_of(self), aval_of(g)
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{_ctype(b.dtype)}' to a tensor with grad_dtype '{_ctype(a.dtype)}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's dtype). "
            "You can set the tensor's grad_dtype attribute with a specific dtype, or None to allow any dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its gradient may break downstream systems that assume they match."
        )
    if a.device is not b.device:
        raise RuntimeError(f"attempting to assign a gradient with device type '{b.device}' to a tensor with device type '{a.device}'. Please ensure that the gradient and the tensor are on the same device")
    if a.shape != b.shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(b.shape)}' to a tensor of size '{list(a.shape)}'. Please ensure that the gradient and the tensor are the same size"
        )
    self._grad = g


def _ctype(kind: _dtypes.dtype) -> str:
    return {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16"}.get(kind.name, kind.name)


def _del_grad(self: Tensor) -> None:
    self._grad = None


Tensor.grad = property(_get_grad, _set_grad, _del_grad)  # type: ignore[attr-defined]


@_property
def output_nr(self: Tensor) -> int:
    return self._nr


@_property
def _version(self: Tensor) -> int:
    return self._s.version


@_property
def retains_grad(self: Tensor) -> bool:
    return bool(self._meta is not None and self._meta.retains)


@_method
def is_inference(self: Tensor) -> bool:
    return bool(self._meta is not None and self._meta.inference)


@_property
def _base(self: Tensor) -> Any:
    return self._meta.base if self._meta is not None and self._view is not None else None


@_method
def _is_view(self: Tensor) -> bool:
    return self._meta is not None and self._meta.base is not None


@_method
def retain_grad(self: Tensor) -> None:
    """Keep the gradient of this non-leaf in ``.grad`` too."""
    if self._edge is None:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self.is_leaf:  # type: ignore[attr-defined]
        return
    import weakref

    meta_of(self).retains = True
    hooks_of(edge_of(self)).retain[self._nr] = weakref.ref(self)


@_method
def register_hook(self: Tensor, hook: Any) -> Any:
    """Call ``hook(grad)`` when the gradient of this tensor is there; what it returns goes on instead."""
    if self._edge is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    table = hooks_of(edge_of(self)).tensor.setdefault(self._nr, OrderedDict())
    handle = RemovableHandle(table)
    table[handle.id] = hook
    return handle


@_method
def register_post_accumulate_grad_hook(self: Tensor, hook: Any) -> Any:
    """Call ``hook(leaf)`` after its gradient was accumulated."""
    if self._edge is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if self._edge.__class__ is not AccumulateGrad:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    table = hooks_of(self._edge).acc
    handle = RemovableHandle(table)
    table[handle.id] = hook
    return handle


@_method
def backward(self: Tensor, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None) -> None:
    """Accumulate the gradients of this tensor into the leaves of its graph. Source: torch.Tensor.backward."""
    if has_override((self,), {}):
        return override(Tensor.backward, (self,), {"gradient": gradient, "retain_graph": retain_graph, "create_graph": create_graph, "inputs": inputs})  # type: ignore[no-any-return,attr-defined]
    if inputs is not None:
        inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if not inputs:
            raise RuntimeError("'inputs' argument to backward() cannot be empty.")
    _backward.backward([self], [gradient], retain_graph, create_graph, inputs)
    return None


@_method
def detach(self: Tensor) -> Tensor:
    """The same memory outside of the graph."""
    t = alias_of(self._s, self._view)
    if self._meta is not None and self._meta.inference:
        meta_of(t).inference = True
    return t


@_method
def detach_(self: Tensor) -> Tensor:
    if self._meta is not None and self._meta.base is not None and self._edge is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence detach_() cannot be called on these gradients. "
            "To fix this error, please refer to the Optimizer.zero_grad() function in torch/optim/optimizer.py as a solution."
        )
    self._edge, self._nr = None, 0
    return self


def _set_data(self: Tensor, new: Tensor) -> None:
    if not isinstance(new, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(new).__name__}")
    self._s, self._view = new._s, new._view


Tensor.data = property(detach, _set_data)  # type: ignore[attr-defined]


def set_(self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Tensor:
    """Make this tensor use the memory of ``source``."""
    from .memory import UntypedStorage, tensor_on

    if isinstance(source, Tensor) and size is None:
        self._s, self._view = source._s, source._view
        return self
    s = source._s if isinstance(source, Tensor) else source._untyped_storage._s if hasattr(source, "_untyped_storage") else source._s if isinstance(source, UntypedStorage) else None
    if s is None:
        raise TypeError("set_(): argument 'source' must be a Tensor or a storage")
    other = tensor_on(s, aval_of(self).dtype, storage_offset, size, stride)
    self._s, self._view = other._s, other._view
    return self


Tensor.set_ = set_  # type: ignore[attr-defined]


# --- to Python and numpy ----------------------------------------------------------------------------------------


@_method
def item(self: Tensor) -> Any:
    """The only element as a Python number."""
    if numel(self) != 1:
        raise RuntimeError(f"a Tensor with {numel(self)} elements cannot be converted to Scalar")
    v = read(self)
    array = force(v)
    if isinstance(array, jax.core.Tracer):
        raise RuntimeError("the value of this tensor is not known while jax traces the function: .item(), bool() and print need a value")
    if v.aval.device.type == "meta":
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    found = looked_at(array).reshape(-1)[0]
    return found.item() if found.dtype.kind in "biufc" and found.dtype.itemsize != 2 or found.dtype.kind in "iub" else _half(found)


def _half(x: Any) -> Any:
    return float(x)


@_method
def tolist(self: Tensor) -> Any:
    if aval_of(self).__class__ is SparseAval:
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")
    a = numpy_of(read(self))
    if a.dtype.kind not in "biufc":
        a = a.astype(np.float32)
    return a.tolist()


@_method
def numpy(self: Tensor, *, force: bool = False) -> np.ndarray:
    """A numpy array on the same memory (cpu tensors outside of a graph). TypeError/RuntimeError as torch's."""
    if force:
        return self.detach().cpu().resolve_conj().resolve_neg().numpy()  # type: ignore[attr-defined,no-any-return]
    a = aval_of(self)
    if a.device.type != "cpu":
        raise TypeError(f"can't convert {a.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.")
    if self._edge is not None:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if a.dtype.np.kind not in "biufc":
        raise TypeError(f"Got unsupported ScalarType {a.dtype.legacy}")
    if a.__class__ is SparseAval:
        raise TypeError(f"can't convert {sparse.SHORT[a.layout.name]} layout tensor to numpy. Use Tensor.to_dense() first.")
    memory = share_with_host(self._s)
    if self._view is None:
        return memory
    sh, st, offset = layout(self)
    return host_view(memory, sh, st, offset, a.dtype.np)


@_method
def __array__(self: Tensor, dtype: Any = None, copy: Any = None) -> np.ndarray:
    if has_override((self,), {}):
        return override(Tensor.__array__, (self,), {"dtype": dtype})  # type: ignore[no-any-return]
    if self._edge is not None:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    a = numpy(self)
    return a if dtype is None else a.astype(dtype, copy=False)


def __array_wrap__(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    from .create import from_numpy

    if array.dtype == bool:
        array = array.astype("uint8")
    return from_numpy(np.ascontiguousarray(array))


Tensor.__array_wrap__ = __array_wrap__  # type: ignore[attr-defined]
Tensor.__array_priority__ = 1000  # type: ignore[attr-defined]


@_method
def __jax_array__(self: Tensor) -> Any:
    """The jax.Array of this tensor, so that jax functions take it as it is."""
    return to_jax(self)


def to_jax(t: Tensor) -> Any:
    """The jax.Array (or tracer) behind a tensor; numpy data goes to the device first."""
    v = read(t)
    array = force(v)
    if isinstance(array, np.ndarray):
        from jtorch._engine.values import jax_device

        array = v.array = jax.device_put(array, jax_device(v.aval.device), may_alias=False)
    return array


def _scalar_guard(self: Tensor, what: str) -> Any:
    n = numel(self)
    if n != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    if self._edge is not None:
        import warnings

        warnings.warn(
            "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\nConsider using tensor.detach() first.", stacklevel=3
        ) if what == "float" else None
    return item(self)


@_method
def __bool__(self: Tensor) -> bool:
    n = numel(self)
    if n == 0:
        raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
    if n > 1:
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
    return bool(item(self))


@_method
def __float__(self: Tensor) -> float:
    return float(_scalar_guard(self, "float"))


@_method
def __int__(self: Tensor) -> int:
    return int(_scalar_guard(self, "int"))


@_method
def __complex__(self: Tensor) -> complex:
    return complex(_scalar_guard(self, "complex"))


@_method
def __index__(self: Tensor) -> int:
    if aval_of(self).dtype.category > 1 or numel(self) != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(item(self))


@_method
def __len__(self: Tensor) -> int:
    s = aval_of(self).shape
    if not s:
        raise TypeError("len() of a 0-d tensor")
    return s[0]


@_method
def __iter__(self: Tensor) -> Any:
    if not aval_of(self).shape:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))  # type: ignore[attr-defined]


@_method
def __reversed__(self: Tensor) -> Tensor:
    return self if not aval_of(self).shape else self.flip(0)  # type: ignore[attr-defined,no-any-return]


@_method
def __contains__(self: Tensor, element: Any) -> bool:
    if isinstance(element, (Tensor, int, float, complex, bool, np.generic)):
        return bool((self == element).any())  # type: ignore[attr-defined]
    raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")


@_method
def __hash__(self: Tensor) -> int:
    return id(self)


@_method
def __format__(self: Tensor, spec: str) -> str:
    if has_override((self,), {}):
        return override(Tensor.__format__, (self, spec), {})  # type: ignore[no-any-return]
    if not aval_of(self).shape and type(self) is Tensor:
        return format(item(self), spec)
    return object.__format__(self, spec)


@_method
def __dir__(self: Tensor) -> list[str]:
    return sorted(n for n in {*dir(type(self)), *self.__dict__} if not n[0].isdigit())


# --- copies and conversions -------------------------------------------------------------------------------------


@_method
def clone(self: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy, in the graph; the layout is kept unless ``memory_format`` says otherwise."""
    if has_override((self,), {}):
        return override(Tensor.clone, (self,), {"memory_format": memory_format})  # type: ignore[no-any-return,attr-defined]
    out: Tensor = apply_multi(_clone, (self,))
    if memory_format is not None and memory_format.name != "preserve_format":
        with_strides(out, format_strides(aval_of(out).shape, memory_format))
    return out


@_method
def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """This tensor if it is laid out so, else a copy that is."""
    if is_contiguous_(self, memory_format):
        return self
    return clone(self, memory_format=memory_format or _types.CONSTANTS["contiguous_format"])


@_method
def to_(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Another element type, device or layout: ``to(dtype)``, ``to(device, dtype)``, ``to(other)``."""
    if has_override((self,), kwargs):
        return override(Tensor.to, (self, *args), kwargs)  # type: ignore[no-any-return,attr-defined]
    kind, where = kwargs.pop("dtype", None), kwargs.pop("device", None)
    copy = kwargs.pop("copy", False)
    kwargs.pop("non_blocking", None)
    fmt = kwargs.pop("memory_format", None)
    other = kwargs.pop("other", None)
    if kwargs:
        raise TypeError(f"to() received an invalid combination of arguments - got unexpected keyword {sorted(kwargs)}")
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
    elif rest and (rest[0] is None or isinstance(rest[0], (_device.device, str)) or (isinstance(rest[0], int) and not isinstance(rest[0], bool))):
        where = rest.pop(0)
        if rest and isinstance(rest[0], _dtypes.dtype):
            kind = rest.pop(0)
    elif rest and (isinstance(rest[0], _dtypes.dtype) or rest[0] in (float, int, bool)):
        kind = rest.pop(0)
    elif rest and not isinstance(rest[0], bool):
        raise TypeError(f"to() received an invalid combination of arguments - got ({type(rest[0]).__name__}), but expected one of:\n * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = None)\n * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = None)\n * (Tensor tensor, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = None)\n")
    if rest:
        rest.pop(0)  # non_blocking
    if rest:
        copy = rest.pop(0)
    if rest:
        raise TypeError(f"to() takes at most 4 positional arguments ({len(args)} given)")
    if other is not None:
        kind, where = kind or aval_of(other).dtype, where if where is not None else aval_of(other).device
    kind = {float: _dtypes.float64, int: _dtypes.int64, bool: _dtypes.bool_}.get(kind, kind)
    return to(self, kind, where, copy, fmt)


Tensor.to = to_  # type: ignore[attr-defined]
del Tensor.to_  # type: ignore[attr-defined]


@_method
def type_as(self: Tensor, other: Tensor) -> Tensor:
    return to(self, aval_of(other).dtype, aval_of(other).device)


@_method
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    return to(self, None, _device.CPU, memory_format=memory_format)


@_method
def cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    return to(self, None, _device.device("cuda", device) if isinstance(device, int) else device or _device.device("cuda", 0), memory_format=memory_format)


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False, **kwargs: Any) -> Any:
    """The legacy type name ("torch.FloatTensor"), or this tensor in another type."""
    if dtype is None:
        a = aval_of(self)
        if a.__class__ is SparseAval:
            return sparse.type_name(a)
        return f"torch.{'cuda.' if a.device.type == 'cuda' else ''}{a.dtype.legacy}Tensor"
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2].removesuffix("Tensor")
        for kind in _dtypes.ALL.values():
            if kind.legacy == name:
                return cast(self, kind)
        raise ValueError(f"invalid type: '{dtype}'")
    return cast(self, getattr(dtype, "dtype", dtype))


Tensor.type = type_  # type: ignore[attr-defined]

for _name, _to in {
    "float": _dtypes.float32, "double": _dtypes.float64, "half": _dtypes.float16, "bfloat16": _dtypes.bfloat16, "int": _dtypes.int32,
    "long": _dtypes.int64, "short": _dtypes.int16, "char": _dtypes.int8, "byte": _dtypes.uint8, "bool": _dtypes.bool_,
    "cfloat": _dtypes.complex64, "cdouble": _dtypes.complex128, "chalf": _dtypes.complex32,
}.items():  # fmt: skip

    def _cast_method(self: Tensor, memory_format: Any = None, _to: Any = _to) -> Tensor:
        return to(self, _to, memory_format=memory_format)

    _cast_method.__name__ = _name
    setattr(Tensor, _name, _cast_method)


@_method
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Write the elements of ``src`` (broadcast, cast, moved) into this tensor."""
    from .convert import to_device
    from .create import as_tensor

    if not isinstance(src, Tensor):
        if not isinstance(src, (int, float, bool, complex, np.generic)):
            raise TypeError(f"copy_(): argument 'src' (position 1) must be Tensor, not {src.__class__.__name__}")
        src = as_tensor(src)
    check_writable(self)
    a = aval_of(self)
    if aval_of(src).device is not a.device:
        src = to_device(src, a.device)
    if aval_of(src) is a and src._edge is None and (self._edge is None or not state.mode & GRAD):
        return assign(self, src) if src is not self else self
    return assign(self, apply_multi(call_of(lookup("internal.copy"), (T, T)), (detach(self), src)))


@_method
def resize_(self: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Change the size; the memory keeps its elements in order."""
    shape = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else tuple(sizes)
    if self._edge is not None:
        raise RuntimeError("cannot resize variables that require grad")
    resize(self, tuple(int(s) for s in shape))
    return self


@_method
def resize_as_(self: Tensor, other: Tensor, memory_format: Any = None) -> Tensor:
    return resize_(self, aval_of(other).shape)


@_method
def is_shared(self: Tensor) -> bool:
    return False


@_method
def share_memory_(self: Tensor) -> Tensor:
    return self


@_method
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    return self


@_method
def is_pinned(self: Tensor, device: Any = None) -> bool:
    return False


for _same in ("resolve_conj", "resolve_neg"):
    setattr(Tensor, _same, lambda self: self)
for _no in ("is_conj", "is_neg"):
    setattr(Tensor, _no, lambda self: False)


# --- views whose arguments need a word --------------------------------------------------------------------------


def _sizes(args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> tuple[int, ...]:
    given = kwargs.get(name, kwargs.get("size", kwargs.get("shape", args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args)))
    if isinstance(given, (tuple, list)) and _all_ints(given):
        return tuple(int(g) for g in given)
    bad = next((x for x in (given if isinstance(given, (tuple, list)) else (given,)) if not _all_ints((x,))), given)
    raise TypeError(f"{name}(): argument 'size' (position 1) must be tuple of ints, but found element of type {bad.__class__.__name__} at pos 0")


_view_op = lookup("internal.view")


@_method
def view(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The same memory in another shape (``view(2, 3)``) or element type (``view(torch.int32)``)."""
    if has_override((self,), {}):
        return override(Tensor.view, (self, *args), kwargs)  # type: ignore[no-any-return,attr-defined]
    kind = kwargs.get("dtype", args[0] if args else None)
    if isinstance(kind, _dtypes.dtype):
        op = lookup("internal.view_dtype")
        old = aval_of(self).dtype
        if kind is old:
            return take_view(lookup("internal.alias"), call_of(lookup("internal.alias"), (T,)), self, (), ())
        return take_view(op, call_of(op, (T, value(kind), value(old.itemsize))), self, (kind, old.itemsize), ())
    if not args and not kwargs:
        raise TypeError("view() received an invalid combination of arguments - got (), but expected one of:\n * (torch.dtype dtype)\n * (tuple of ints size)\n")
    size = _sizes(args, kwargs, "view")
    return take_view(_view_op, call_of(_view_op, (T, value(size))), self, (size,), ())


def reshape(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The same elements in another shape: a view if memory allows, else a copy."""
    if has_override((input,), {}):
        return override(Tensor.reshape, (input, *args), kwargs)  # type: ignore[no-any-return,attr-defined]
    from jtorch._ops.views import infer_size, view_strides

    if aval_of(input).__class__ is SparseAval:
        raise RuntimeError("reshape is not implemented for sparse tensors")
    size = infer_size(_sizes(args, kwargs, "reshape"), numel(input), aval_of(input).shape)
    sh, st, _ = layout(input)
    if view_strides(sh, st, size) is not None:
        return take_view(_view_op, call_of(_view_op, (T, value(size))), input, (size,), ())
    out: Tensor = apply_multi(call_of(lookup("internal.reshape_copy"), (T, value(size))), (input,))
    return out


Tensor.reshape = reshape  # type: ignore[attr-defined]


@_method
def unsafe_view(self: Tensor, *size: Any) -> Tensor:
    return view(self, *size)


def _in_place_view(name: str) -> None:
    def call(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        new = getattr(self, name)(*args, **kwargs)
        if self._edge.__class__ is AccumulateGrad and state.mode & GRAD:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        if self._edge is not None and self._edge.__class__ is not AccumulateGrad:
            self._edge, self._nr = new._edge, new._nr
        self._s, self._view = new._s, new._view
        self._s.version += 1
        return self

    call.__name__ = name + "_"
    setattr(Tensor, name + "_", call)


for _v in ("transpose", "t", "squeeze", "unsqueeze", "swapaxes", "swapdims"):
    _in_place_view(_v)


# --- subclasses, copying, pickling ------------------------------------------------------------------------------


@classmethod  # type: ignore[misc]
def __torch_function__(cls: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Results of functions on a subclass have that subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
    if cls in PLAIN or getattr(func, "__name__", "") in _KEEP:
        return result
    return _as_class(result, cls)


_KEEP = frozenset(("__get__", "__set__", "numpy", "item", "tolist"))


def _as_class(result: Any, cls: Any) -> Any:
    if isinstance(result, Tensor) and not isinstance(result, cls):
        return result.as_subclass(cls)  # type: ignore[attr-defined]
    if result.__class__ in (tuple, list):
        return result.__class__(_as_class(r, cls) for r in result)
    return result


Tensor.__torch_function__ = __torch_function__  # type: ignore[attr-defined]
_DEFAULT[0] = __torch_function__.__func__  # type: ignore[attr-defined]


@_method
def as_subclass(self: Tensor, cls: Any) -> Any:
    """The same tensor as an instance of a subclass."""
    t = cls.__new__(cls) if cls.__new__ is object.__new__ else object.__new__(cls)
    t._s, t._view, t._edge, t._nr, t._grad, t._meta = self._s, self._view, self._edge, self._nr, None, self._meta
    return t


@staticmethod  # type: ignore[misc]
def _make_subclass(cls: Any, data: Tensor, require_grad: bool = False, **_: Any) -> Any:
    t = alias_of(data._s, data._view, cls)
    if require_grad:
        _set_requires_grad(t, True)
    return t


Tensor._make_subclass = _make_subclass  # type: ignore[attr-defined]


@_method
def __deepcopy__(self: Tensor, memo: Any) -> Any:
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:  # type: ignore[attr-defined]
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
        )
    import copy

    from .views import copied

    s = memo.get(("storage", id(self._s)))
    if s is None:
        with _no_grad():
            s = apply_multi(_clone, (alias_of(self._s, None),))._s
        memo["storage", id(self._s)] = s
    out = alias_of(s, copied(self._view), self.__class__)
    if self._edge is not None:
        require_grad(out)
    if self._grad is not None:
        out._grad = copy.deepcopy(self._grad, memo)
    memo[id(self)] = out
    out.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return out


def _no_grad() -> Any:
    from .modes import no_grad

    return no_grad()


@_method
def __repr__(self: Tensor, *, tensor_contents: Any = None) -> str:
    if has_override((self,), {}):
        return override(Tensor.__repr__, (self,), {})  # type: ignore[no-any-return]
    from .show import show

    return show(self)


@_method
def __cuda_array_interface__(self: Tensor) -> Any:
    raise AttributeError(
        "Can't get __cuda_array_interface__ on non-CUDA tensor type: exchange arrays with torch.utils.dlpack, which JAX supports on every device"
    )


Tensor.__cuda_array_interface__ = property(Tensor.__cuda_array_interface__)  # type: ignore[attr-defined]


@_method
def __dlpack__(self: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None) -> Any:
    """The DLPack capsule of this tensor's array."""
    if self._edge is not None:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return to_jax(contiguous(self)).__dlpack__(stream=stream) if stream is not None else to_jax(contiguous(self)).__dlpack__()


@_method
def __dlpack_device__(self: Tensor) -> Any:
    return to_jax(self).__dlpack_device__()


Tensor.__hash__ = __hash__  # type: ignore[method-assign,assignment]
Tensor.jax = lambda self: to_jax(self)  # type: ignore[attr-defined]
