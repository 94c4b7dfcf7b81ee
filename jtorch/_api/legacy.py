"""What torch keeps from its past: methods on Python callables, removed decompositions with their advice, old norms, one-off conversions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from jtorch._core.dispatch.checked_arguments import number_argument
from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.torch_function import has_override, override
from jtorch._core.storage.bare_tensor import Tensor as _Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._core.tensor.derived_functions import function_for
from jtorch._core.tensor.method_decorators import read_only
from jtorch._errors import not_implemented, warn
from jtorch._namespace import torch

Tensor = Any
torch.resize_as_, torch.as_strided_ = _Tensor.resize_as_, _Tensor.as_strided_  # type: ignore[attr-defined]


# --- Python functions over elements -------------------------------------------------------------------------------


def _each(name: str, tensors: Sequence[Tensor], fn: Callable[..., Any]) -> Tensor:
    target = tensors[0]
    if target.requires_grad:
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    if target.device.type != "cpu":
        raise TypeError(f"{name} is only implemented on CPU tensors")
    for t, which in zip(tensors[1:], ("x", "y") if len(tensors) == 3 else ("other",), strict=False):
        if t.dtype is not target.dtype:
            raise TypeError(f"{name}: expected torch.{target.dtype.legacy}Tensor for '{which}' (got torch.{t.dtype.legacy}Tensor)")
    lists = [t.expand_as(target).reshape(-1).tolist() for t in tensors]
    if not callable(fn):
        raise TypeError(f"'{type(fn).__name__}' object is not callable")
    values = [fn(*xs) for xs in zip(*lists, strict=True)]
    for v in values:
        if isinstance(v, (str, bytes, list, tuple, dict)):
            raise TypeError(f"must be real number, not {type(v).__name__}")
    with torch.no_grad():
        target.copy_(torch.tensor(values, dtype=target.dtype).reshape(target.shape))
    return target


@compose("Tensor")
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element by ``callable(element)``, one Python call for each."""
    return _each("apply_", (self,), callable)


@compose("Tensor")
def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace each element by ``callable(element, tensor's element)``."""
    return _each("map_", (self, tensor), callable)


@compose("Tensor")
def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """Replace each element by ``callable(element, x's element, y's element)``."""
    return _each("map2_", (self, x, y), callable)


# --- shapes and memory --------------------------------------------------------------------------------------------


@compose("Tensor")
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Write the main diagonal; ``wrap`` goes on below a tall matrix after a row's pause."""
    fill_value = number_argument("fill_diagonal_", "fill_value", " (position 1)", fill_value)
    if self.dim() < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.dim() > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    if self.numel() == 0:
        return self
    if self.dim() == 2 and wrap and self.size(0) > self.size(1):
        n = self.size(1)
        rows = np.array([r for r in range(self.size(0)) if r % (n + 1) < n])
        self[torch.from_numpy(rows), torch.from_numpy(rows % (n + 1))] = fill_value
        return self
    step = min(self.shape)
    self.as_strided((step,), (sum(self.stride()),), self.storage_offset()).fill_(fill_value)
    return self


_parted = function_for("internal.unsafe_split_with_sizes")


@compose("torch Tensor")
def unsafe_split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """As ``split_with_sizes``, with pieces that may be written each on its own."""
    torch.split_with_sizes(input.detach(), split_sizes, dim)  # the errors
    return tuple(_parted(input, tuple(split_sizes), dim % max(input.dim(), 1)))


@compose("Tensor")
def dim_order(self: Tensor, *, ambiguity_check: bool | list[Any] = False) -> tuple[int, ...]:
    """The dims from the slowest to the fastest in memory."""
    if not isinstance(ambiguity_check, bool) and not (isinstance(ambiguity_check, list) and all(isinstance(f, torch.memory_format) for f in ambiguity_check)):
        raise TypeError("The ambiguity_check argument must be a bool or a list of memory formats.")
    if self.is_sparse:
        raise AttributeError(f"Can't get dim order on sparse type: {self.type()} Use Tensor.to_dense() first.")
    stride = self.stride()
    order = tuple(sorted(range(self.dim()), key=lambda d: (-stride[d], d)))
    if ambiguity_check and (len(set(stride)) < len(stride) or 1 in self.shape):
        fits = [f for f in ambiguity_check if _fits(self, f)] if isinstance(ambiguity_check, list) else []
        if len(fits) != 1:
            raise RuntimeError("The tensor does not have unique dim order, or cannot map to exact one of the given memory formats.")
    return order


def _fits(x: Tensor, memory_format: Any) -> bool:
    dims = {torch.channels_last: 4, torch.channels_last_3d: 5}.get(memory_format)
    return (dims is None or x.dim() == dims) and x.is_contiguous(memory_format=memory_format)


def _deprecated_resize(self: Tensor, name: str, *sizes: int) -> Tensor:
    warn(f"non-inplace {name} is deprecated")
    n = math.prod(sizes)
    if n != self.numel():
        raise RuntimeError(
            f"requested resize to {'x'.join(map(str, sizes))} ({n} elements in total), but the given tensor has a size of "
            f"{'x'.join(map(str, self.shape))} ({self.numel()} elements). autograd's resize can only change the shape of a given tensor, "
            "while preserving the number of elements. "
        )
    return self.contiguous().view(*sizes)


@compose("Tensor")
def resize(self: Tensor, *sizes: Any) -> Tensor:
    """Deprecated: ``reshape``."""
    return _deprecated_resize(self, "resize", *(sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes))


@compose("Tensor")
def resize_as(self: Tensor, tensor: Tensor) -> Tensor:
    """Deprecated: ``reshape(tensor.shape)``."""
    return _deprecated_resize(self, "resize_as", *tensor.shape)


@compose("Tensor")
def module_load(self: Tensor, other: Tensor, assign: bool = False) -> Tensor:
    """What ``load_state_dict`` puts in this parameter's place: a copy into it, or the other itself."""
    return other.detach() if assign else self.copy_(other).detach()


@compose("Tensor")
def record_stream(self: Tensor, stream: Any) -> None:
    """XLA keeps memory until the work that reads it is done: nothing to say to it. RuntimeError for what is no stream."""
    if not (isinstance(stream, torch.Stream) or type(stream).__name__ == "Stream"):
        raise RuntimeError("unknown parameter type")


@compose("torch Tensor")
def dequantize(input: Any) -> Any:
    """Tensors in float32 (quantised ones are not carried)."""
    if isinstance(input, (tuple, list)):
        return tuple(t.to(torch.float32) for t in input)
    return input.to(torch.float32)


@compose("torch Tensor")
def is_distributed(input: Tensor) -> bool:
    """Always False, as in torch: a relic."""
    return False


def _getter(name: str, read: Callable[[Tensor], Any], write: Callable[..., Any] | None = None) -> None:
    def get(self: Tensor) -> Any:
        if has_override((self,), {}):
            return override(vars(_Tensor)[name].__get__, (self,), {})
        return read(self)

    get.__name__ = name
    setattr(_Tensor, name, read_only(name, get) if write is None else property(get, write, write))


def _volatile(self: Tensor, value: Any = None) -> bool:
    warn("volatile was removed (Variable.volatile is always False)")
    return False


_getter("volatile", _volatile, _volatile)
_getter("name", lambda self: None)


def _grad_dtype(self: Tensor) -> Any:
    if not self.is_leaf:
        raise RuntimeError("grad_dtype can only be accessed on leaf tensors.")
    return self.dtype


def _set_grad_dtype(self: Tensor, kind: Any) -> None:
    if not self.is_leaf:
        raise RuntimeError("grad_dtype can only be set on leaf tensors.")
    if kind is not self.dtype:
        not_implemented("gradients of another type than their tensor's", "convert .grad in a hook of Tensor.register_post_accumulate_grad_hook")


_Tensor.grad_dtype = property(_grad_dtype, _set_grad_dtype)  # type: ignore[attr-defined]


def _storage_type(self: Tensor) -> Any:
    from jtorch.storage import LEGACY

    return LEGACY[aval_of(self).dtype.name]


@compose("Tensor")
def storage_type(self: Tensor) -> Any:
    """The class of ``self.storage()``: ``torch.FloatStorage``."""
    return _storage_type(self)


@compose("Tensor")
def const_data_ptr(self: Tensor) -> int:
    """``data_ptr`` for who only reads."""
    return int(self.data_ptr())


def __setstate__(self: Tensor, state: Any) -> None:
    """What old files call: (type-less data, requires_grad, hooks)."""
    if not self.is_leaf:
        raise RuntimeError("__setstate__ can be only called on leaf Tensors")
    if len(state) == 4:
        self.set_(*state)
        return
    if len(state) == 5:
        self.data = state[0]
        state = (state[3], state[4], state[2])
    self.requires_grad_(state[0])


_Tensor.__setstate__ = __setstate__  # type: ignore[attr-defined]
_Tensor.__idiv__ = lambda self, other: self.__itruediv__(other)  # type: ignore[attr-defined]
_Tensor.__long__ = lambda self: int(self)  # type: ignore[attr-defined,call-overload]
_Tensor.__nonzero__ = lambda self: bool(self)  # type: ignore[attr-defined]


# --- conversions by name, from before Tensor.to ---------------------------------------------------------------------


def _cast(name: str, kind: str) -> None:
    def call(input: Tensor, non_blocking: bool = False) -> Tensor:
        return input.to(getattr(torch, kind), non_blocking=non_blocking)  # type: ignore[attr-defined,no-any-return]

    call.__name__ = call.__qualname__ = f"_cast_{name}"
    call.__doc__ = f"``input.to(torch.{kind})``."
    setattr(torch, call.__name__, call)


for _name, _kind in {"Byte": "uint8", "Char": "int8", "Double": "float64", "Float": "float32", "Half": "float16", "Int": "int32", "Long": "int64", "Short": "int16"}.items():
    _cast(_name, _kind)


@compose("torch")
def _has_compatible_shallow_copy_type(input: Tensor, from_: Tensor) -> bool:
    """Whether ``input.data = from_`` keeps the kind of tensor: both dense, or both sparse."""
    return input.layout is from_.layout  # type: ignore[attr-defined,no-any-return]


# --- what is gone, with torch's advice ----------------------------------------------------------------------------

_GONE = "This function was deprecated since version 1.9 and is now removed. "
_REMOVED = {
    "eig": "`torch.linalg.eig` returns complex tensors of dtype `cfloat` or `cdouble` rather than real tensors mimicking complex tensors.\n\n"
    "L, _ = torch.eig(A) should be replaced with:\nL_complex = torch.linalg.eigvals(A)\n\nand\n\n"
    "L, V = torch.eig(A, eigenvectors=True) should be replaced with:\nL_complex, V_complex = torch.linalg.eig(A)",
    "symeig": "The default behavior has changed from using the upper triangular portion of the matrix by default to using the lower triangular "
    "portion.\n\nL, _ = torch.symeig(A, upper=upper) should be replaced with:\nL = torch.linalg.eigvalsh(A, UPLO='U' if upper else 'L')\n\nand\n\n"
    "L, V = torch.symeig(A, eigenvectors=True) should be replaced with:\nL, V = torch.linalg.eigh(A, UPLO='U' if upper else 'L')",
    "solve": "`torch.solve` is deprecated in favor of `torch.linalg.solve`. `torch.linalg.solve` has its arguments reversed and does not return the "
    "LU factorization.\n\nTo get the LU factorization see `torch.lu`, which can be used with `torch.lu_solve` or `torch.lu_unpack`.\n"
    "X = torch.solve(B, A).solution should be replaced with:\nX = torch.linalg.solve(A, B)",
    "lstsq": "`torch.lstsq` is deprecated in favor of `torch.linalg.lstsq`.\n`torch.linalg.lstsq` has reversed arguments and does not return the QR "
    "decomposition in the returned tuple (although it returns other information about the problem).\n\nTo get the QR decomposition consider using "
    "`torch.linalg.qr`.\n\nThe returned solution in `torch.lstsq` stored the residuals of the solution in the last m - n columns of the returned "
    "value whenever m > n. In torch.linalg.lstsq, the residuals are in the field 'residuals' of the returned named tuple.\n\n"
    "The unpacking of the solution, as in\nX, _ = torch.lstsq(B, A).solution[:A.size(1)]\nshould be replaced with:\n"
    "X = torch.linalg.lstsq(A, B).solution",
}  # fmt: skip


def _removed(name: str, text: str) -> None:
    def call(self: Tensor, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(_GONE + text)

    call.__name__, call.__doc__ = name, f"Removed: see ``torch.linalg``; raises torch's advice on {name}."
    setattr(_Tensor, name, call)
    if name in ("eig", "lstsq", "matrix_rank", "solve", "symeig"):
        setattr(torch, name, call)


for _name, _text in _REMOVED.items():
    _removed(_name, _text)


@compose("Tensor")
def reinforce(self: Tensor, reward: Any) -> NoReturn:
    """Removed: ``torch.distributions`` has ``log_prob``."""
    raise RuntimeError(
        "reinforce() was removed.\nUse torch.distributions instead.\nSee https://pytorch.org/docs/main/distributions.html\n\nInstead of:\n\n"
        "probs = policy_network(state)\naction = probs.multinomial()\nnext_state, reward = env.step(action)\naction.reinforce(reward)\n"
        "action.backward()\n\nUse:\n\nprobs = policy_network(state)\n# NOTE: categorical is equivalent to what used to be called multinomial\n"
        "m = torch.distributions.Categorical(probs)\naction = m.sample()\nnext_state, reward = env.step(action)\n"
        "loss = -m.log_prob(action) * reward\nloss.backward()\n"
    )


# --- norms that torch.linalg replaced -----------------------------------------------------------------------------


@compose("torch")
def nuclear_norm(input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The sum of singular values."""
    if isinstance(dim, bool):
        dim, keepdim = None, dim
    return torch.linalg.matrix_norm(input, "nuc", (-2, -1) if dim is None else tuple(dim), keepdim, out=out)


@compose("torch")
def frobenius_norm(input: Tensor, dim: Any = (), keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The root of the sum of squares over up to two dims."""
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) > 2:
        raise RuntimeError(f"Expected at most 2 dimensions, but got {len(dims)} dimensions instead.")
    return torch.linalg.vector_norm(input, 2.0, dims or None, keepdim, out=out)


@compose("torch")
def native_norm(input: Tensor, p: float = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> NoReturn:
    """torch has it for sparse tensors only."""
    raise NotImplementedError("Could not run 'aten::native_norm' with arguments from the 'CPU' backend: it is for sparse tensors, use torch.norm")
