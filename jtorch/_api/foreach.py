"""``torch._foreach_*``: one function over the tensors of lists, which optimizers of libraries call. Here each is the function itself, tensor by tensor: the
trace that they are recorded in is compiled as a whole, so nothing is gained by a call for all of them and nothing lost without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.inplace import is_captured, kernel_writes
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._namespace import torch

_UNARY = (
    "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"
).split()
_BINARY = {"add": True, "sub": True, "mul": False, "div": False, "maximum": False, "minimum": False, "clamp_max": False, "clamp_min": False, "pow": False}  # takes alpha?
_WITH_TENSOR = ("add", "mul", "div")  # take one 0-dim tensor for all


def _list(name: str, value: Any, place: int = 1) -> Sequence[Tensor]:
    """The argument, checked to be a list of tensors that is not empty."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"_foreach_{name}(): argument {place} must be tuple of Tensors, not {type(value).__name__}")
    if not value:
        raise RuntimeError("Tensor list must have at least one tensor.")
    for i, x in enumerate(value):
        if not isinstance(x, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument {place - 1}, but got {type(x).__name__}")
    return value


def _same_length(first: Sequence[Any], *others: Sequence[Any]) -> None:
    for other in others:
        if len(other) != len(first):
            raise RuntimeError(f"Tensor lists must have the same number of tensors, got {len(first)} and {len(other)}")


def _numbers(count: int, value: Any, what: str = "scalars") -> Sequence[Any]:
    """One number for each tensor, from a number, a list of them or a tensor of them."""
    if isinstance(value, Tensor):
        if value.dim() != 1 or len(value) != count:  # type: ignore[attr-defined]
            raise RuntimeError(f"Expected length of scalars to match input of length {count} but got {value.numel()} instead.")  # type: ignore[attr-defined]
        return value.tolist()  # type: ignore[attr-defined,no-any-return]
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise RuntimeError("Tensor list must have same number of elements as scalar list.")
    return value


def _others(name: str, tensors: Sequence[Tensor], other: Any) -> Sequence[Any]:
    """The second operand of each tensor."""
    if isinstance(other, (list, tuple)):
        if other and isinstance(other[0], Tensor):
            _same_length(tensors, _list(name, other, 2))
            return other
        return _numbers(len(tensors), other)
    if isinstance(other, Tensor) and name in _WITH_TENSOR:
        if other.dim():  # type: ignore[attr-defined]
            raise RuntimeError(f"scalar tensor expected to be 0 dim but it has {other.dim()} dimensions and {other.numel()} elements.")  # type: ignore[attr-defined]
        return [other] * len(tensors)
    if isinstance(other, (bool, int, float, complex)):
        return [other] * len(tensors)
    raise TypeError(f"_foreach_{name}() received an invalid combination of arguments - got ({type(tensors).__name__}, {type(other).__name__})")


def _written(tensors: Any, write: Callable[[], Any]) -> Any:
    """The list after ``write``. What ``torch.func`` captured is written without a history, as in torch, which looks for it at operators on one tensor."""
    if isinstance(tensors, (list, tuple)) and tensors and all([isinstance(x, Tensor) and is_captured(x) for x in tensors]):
        with torch.no_grad(), kernel_writes():
            write()
    else:
        write()
    return tensors


def _publish(name: str, work: Callable[..., list[Tensor]], inplace: bool = True) -> None:
    """``_foreach_name``, and ``_foreach_name_`` that writes the results into the first list."""

    def out_of_place(self: Any, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        return tuple(work(self, *args, **kwargs))

    def in_place(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _written(self, lambda: work(self, *args, _inplace=True, **kwargs))

    out_of_place.__doc__ = f"``torch.{name}`` over lists of tensors: a tuple of results."
    in_place.__doc__ = f"``Tensor.{name}_`` over lists of tensors."
    for fn, public in ((out_of_place, f"_foreach_{name}"), *(((in_place, f"_foreach_{name}_"),) if inplace else ())):
        fn.__name__ = fn.__qualname__ = public
        compose("torch")(fn)


def _unary(name: str) -> Callable[..., list[Tensor]]:
    fn, write = getattr(torch, name), getattr(Tensor, f"{name}_")
    return lambda self, _inplace=False: [(write if _inplace else fn)(x) for x in _list(name, self)]


def _binary(name: str, with_alpha: bool) -> Callable[..., list[Tensor]]:
    tensor_of = {"clamp_max": torch.minimum, "clamp_min": torch.maximum}.get(name, getattr(torch, name))
    number_of = {"maximum": torch.clamp_min, "minimum": torch.clamp_max}.get(name, getattr(torch, name))

    def work(self: Any, other: Any = None, *, alpha: Any = 1, _inplace: bool = False, **named: Any) -> list[Tensor]:
        other = next((named.pop(key) for key in ("scalar", "scalars", "exponent") if key in named), other)
        if named:
            raise TypeError(f"_foreach_{name}() got an unexpected keyword argument '{next(iter(named))}'")
        if name == "pow" and isinstance(self, (bool, int, float, complex)):
            return [torch.pow(self, x) for x in _list(name, other, 2)]
        tensors = _list(name, self)
        extra = {"alpha": alpha} if with_alpha and not (isinstance(alpha, (int, float)) and alpha == 1) else {}
        done = []
        for x, y in zip(tensors, _others(name, tensors, other)):
            if _inplace and hasattr(x, f"{name}_"):
                done.append(getattr(x, f"{name}_")(y, **extra))
            else:
                found = (tensor_of if isinstance(y, Tensor) else number_of)(x, y, **extra)
                done.append(x.copy_(found) if _inplace else found)  # type: ignore[attr-defined]
        return done

    return work


def _fused(name: str) -> Callable[..., list[Tensor]]:
    fn, write = getattr(torch, name), getattr(Tensor, f"{name}_")

    def work(self: Any, tensor1: Any, tensor2: Any, value: Any = 1, *, scalars: Any = None, _inplace: bool = False) -> list[Tensor]:
        tensors = _list(name, self)
        _same_length(tensors, tensor1, tensor2)
        numbers = _numbers(len(tensors), value if scalars is None else scalars)
        return [(write if _inplace else fn)(x, a, b, value=v) for x, a, b, v in zip(tensors, tensor1, tensor2, numbers)]

    return work


def _lerp(self: Any, tensors1: Any, weight: Any = None, *, weights: Any = None, _inplace: bool = False) -> list[Tensor]:
    weight = weights if weight is None else weight
    tensors = _list("lerp", self)
    _same_length(tensors, tensors1)
    if isinstance(weight, (list, tuple)) and weight and isinstance(weight[0], Tensor):
        _same_length(tensors, weight)
    else:
        weight = _numbers(len(tensors), weight)
    return [(Tensor.lerp_ if _inplace else torch.lerp)(x, y, w) for x, y, w in zip(tensors, tensors1, weight)]  # type: ignore[attr-defined]


for _name in _UNARY:
    _publish(_name, _unary(_name))
for _name, _alpha in _BINARY.items():
    _publish(_name, _binary(_name, _alpha))
for _name in ("addcdiv", "addcmul"):
    _publish(_name, _fused(_name))
_publish("lerp", _lerp)


@compose("torch")
def _foreach_copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Each tensor of ``src`` into that of ``self``."""
    _same_length(_list("copy_", self), src)
    return _written(self, lambda: [x.copy_(y, non_blocking=non_blocking) for x, y in zip(self, src)])


@compose("torch")
def _foreach_zero_(self: Any) -> Any:
    """Zeros into each."""
    return _written(self, lambda: [x.zero_() for x in _list("zero_", self)])  # type: ignore[attr-defined]


@compose("torch")
def _foreach_clone(self: Any, *, memory_format: Any = None) -> tuple[Tensor, ...]:
    """A copy of each."""
    return tuple(torch.clone(x, memory_format=memory_format) for x in _list("clone", self))


@compose("torch")
def _foreach_max(self: Any) -> tuple[Tensor, ...]:
    """The largest element of each."""
    for x in _list("max", self):
        if not x.numel():  # type: ignore[attr-defined]
            raise RuntimeError("_foreach_max cannot compute the maximum of an empty tensor; max over zero elements is undefined.")
    return tuple(x.max() for x in self)


@compose("torch")
def _foreach_norm(self: Any, ord: Any = 2, dtype: Any = None) -> tuple[Tensor, ...]:
    """The norm of each, over all its elements."""
    return tuple(torch.linalg.vector_norm(x, ord, dtype=dtype) for x in _list("norm", self))


@compose("torch")
def _foreach_powsum(self: Any, ord: Any = 2, dtype: Any = None) -> tuple[Tensor, ...]:
    """The sum of ``|x| ** ord`` of each, over all its elements."""
    return tuple(torch.sum(torch.abs(x) ** ord, dtype=dtype) for x in _list("powsum", self))


@compose("torch")
def _foreach_mm(self: Any, mat2: Any) -> tuple[Tensor, ...]:
    """The matrix product of each pair."""
    _same_length(_list("mm", self), mat2)
    return tuple(torch.mm(x, y) for x, y in zip(self, mat2))
