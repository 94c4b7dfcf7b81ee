"""Views, copies and indexing as operators of torch's library."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from jtorch import _device, _dtypes, _types
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of, layout
from jtorch._namespace import torch
from jtorch.ops import aten

from .offering import off
from .rules import RULES, each, made, rule, shape_of

__all__ = ["reshape", "sizes_of", "to"]

_END = (1 << 63) - 1



def reshape(input: Tensor, shape: Any, always: bool = False) -> Any:
    """A view where the layout allows it, else a view of a copy."""
    shape = list(shape)
    with off():
        shown = torch.empty_strided(shape_of(input), layout(input)[1], device="meta")
        wanted = list(shape_of(torch.Tensor.reshape(shown, shape)))
        try:
            torch.Tensor.view(shown, shape)
            fits = True
        except RuntimeError:
            fits = False
    if fits:
        return aten.view.default(input, wanted)
    return aten._unsafe_view.default(aten.clone.default(input, memory_format=_types.CONSTANTS["contiguous_format"]), wanted)


def sizes_of(args: tuple[Any, ...], kwargs: dict[str, Any], *names: str) -> list[int]:
    for name in names:
        if name in kwargs:
            args = (kwargs[name],)
    return list(args[0] if len(args) == 1 and not isinstance(args[0], int) else args)


@rule("reshape")
def _reshape(input: Tensor, *shape: Any, **named: Any) -> Any:
    return reshape(input, sizes_of(shape, named, "shape"))


@rule("reshape_as", "view_as")
def _view_as(input: Tensor, other: Tensor) -> Any:
    return reshape(input, shape_of(other))


@rule("expand_as")
def _expand_as(input: Tensor, other: Tensor) -> Any:
    return aten.expand.default(input, list(shape_of(other)))


@rule("broadcast_to")
def _broadcast_to(input: Tensor, *size: Any, **named: Any) -> Any:
    return aten.expand.default(input, sizes_of(size, named, "size"))


RULES["hstack"] = lambda tensors, *, out=None: NotImplemented if out is not None else aten.cat.default(list(torch.atleast_1d(*tensors)), 0 if len(shape_of(tensors[0])) < 2 else 1)
RULES["vstack"] = RULES["row_stack"] = lambda tensors, *, out=None: NotImplemented if out is not None else aten.cat.default(list(torch.atleast_2d(*tensors)))


@rule("pad")
def _pad(input: Tensor, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    return aten.constant_pad_nd.default(input, list(pad), 0.0 if value is None else value) if mode == "constant" else NotImplemented


def _upsample(name: str, n: int, corners: bool) -> Callable[..., Any]:
    def run(input: Tensor, output_size: Any = None, *more: Any, **named: Any) -> Any:
        rest: list[Any] = list(more)
        aligned = [rest.pop(0) if rest else named.get("align_corners", False)] if corners else []
        factors = rest[0] if rest else named.get("scale_factors")
        if isinstance(factors, (list, tuple)):
            rest = list(factors)
        elif factors is None and len(rest) < 2:
            rest = []
        if output_size is None:
            output_size = [int(size * by) for size, by in zip(shape_of(input)[2:], rest, strict=True)]
        return getattr(aten, name).default(input, each(output_size, n), *aligned, *rest)

    return run


for _name, _n, _corners in (
    ("nearest1d", 1, False), ("nearest2d", 2, False), ("nearest3d", 3, False), ("_nearest_exact1d", 1, False), ("_nearest_exact2d", 2, False), ("_nearest_exact3d", 3, False),
    ("linear1d", 1, True), ("bilinear2d", 2, True), ("bicubic2d", 2, True), ("trilinear3d", 3, True),
):  # fmt: skip
    _full = f"_upsample{_name}" if _name.startswith("_") else f"upsample_{_name}"
    RULES[_full] = _upsample(_full, _n, _corners)


@rule("linalg_norm")
def _linalg_norm(input: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, **named: Any) -> Any:  # noqa: A002
    dims = [] if dim is None else [dim] if isinstance(dim, int) else list(dim)
    if named or not (ord is None or (isinstance(ord, (int, float)) and (len(dims) == 1 or (dim is None and len(shape_of(input)) == 1)))):
        return NotImplemented
    return aten.linalg_vector_norm.default(input, 2.0 if ord is None else ord, *([dims, keepdim] if dim is not None else []))


@rule("elu")
def _elu(input: Tensor, alpha: float = 1.0, inplace: bool = False, **named: Any) -> Any:
    return NotImplemented if inplace or named else aten.elu.default(input, alpha)


@rule("hardtanh")
def _hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    return NotImplemented if inplace else aten.hardtanh.default(input, min_val, max_val)


@rule("kl_div")
def _kl_div(input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: Any = "mean", log_target: bool = False) -> Any:
    if size_average is not None or reduce is not None or log_target:
        return NotImplemented
    out = aten.sub.Tensor(aten.xlogy.Tensor(target, target), aten.mul.Tensor(target, input))
    if reduction in ("batchmean", 2, "sum"):
        out = aten.sum.default(out)
        return aten.div.Tensor(out, shape_of(input)[0]) if reduction == "batchmean" else out
    return aten.mean.default(out) if reduction in ("mean", 1) else out


@rule("flatten")
def _flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Any:
    shape = shape_of(input)
    if not shape:
        return reshape(input, [1])
    start, end = range(len(shape))[start_dim], range(len(shape))[end_dim]
    if start == end:
        return input
    return reshape(input, [*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]])


@rule("T.__get__", "numpy_T")
def _turned(input: Tensor, *_: Any) -> Any:
    return aten.permute.default(input, list(range(len(shape_of(input))))[::-1])


@rule("mT.__get__", "mH.__get__")
def _last_turned(input: Tensor, *_: Any) -> Any:
    return aten.transpose.int(input, -2, -1)


@rule("data.__get__")
def _data(input: Tensor, *_: Any) -> Any:
    return aten.detach.default(input)


@rule("swapaxes", "swapdims")
def _swap(input: Tensor, first: int, second: int) -> Any:
    return aten.transpose.int(input, first, second)


@rule("movedim", "moveaxis")
def _moved(input: Tensor, source: Any, destination: Any) -> Any:
    with off():
        shown = torch.empty([0] * len(shape_of(input)), device="meta")
        torch.movedim(shown, source, destination)  # the errors
    n = len(shape_of(input))
    pairs = [(range(n)[s], range(n)[d]) for s, d in zip(each(source, 1), each(destination, 1), strict=True)]
    rest = iter([i for i in range(n) if i not in {s for s, _ in pairs}])
    at = {d: s for s, d in pairs}
    return aten.permute.default(input, [at[i] if i in at else next(rest) for i in range(n)])


@rule("contiguous")
def _contiguous(input: Tensor, memory_format: Any = None) -> Any:
    with off():
        there = torch.Tensor.is_contiguous(input, memory_format=memory_format or _types.CONSTANTS["contiguous_format"])
    return input if there else aten.clone.default(input, memory_format=memory_format or _types.CONSTANTS["contiguous_format"])


@rule("clone")
def _clone(input: Tensor, *, memory_format: Any = None) -> Any:
    return aten.clone.default(input) if memory_format is None else aten.clone.default(input, memory_format=memory_format)


@rule("narrow")
def _narrow(input: Tensor, dim: int, start: Any, length: int) -> Any:
    return aten.slice.Tensor(input, dim, int(start), int(start) + length)


@rule("chunk")
def _chunk(input: Tensor, chunks: int, dim: int = 0) -> Any:
    n = shape_of(input)[dim]
    size = max(-(-n // chunks), 1)
    return tuple(aten.split.Tensor(input, size, dim) if dim else aten.split.Tensor(input, size))


@rule("split")
def _split(tensor: Tensor, split_size_or_sections: Any = None, dim: int = 0, **named: Any) -> Any:
    size = named.get("split_size", split_size_or_sections)
    packet = aten.split.Tensor if isinstance(size, int) else aten.split_with_sizes.default
    size = size if isinstance(size, int) else list(size)
    return tuple(packet(tensor, size, dim) if dim else packet(tensor, size))


@rule("to")
def to(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """A copy of another type or on another device; nothing where it is that already."""
    wanted = dict(kwargs)
    for a in args:
        if isinstance(a, Tensor):
            wanted["dtype"], wanted["device"] = aval_of(a).dtype, aval_of(a).device
        elif isinstance(a, type):
            wanted["dtype"] = _dtypes.OF_CLASS[a]
        elif isinstance(a, _dtypes.dtype):
            wanted["dtype"] = a
        elif isinstance(a, (str, _device.device)) or (isinstance(a, int) and not isinstance(a, bool)):
            wanted["device"] = a
    if wanted.get("other") is not None:
        other = wanted.pop("other")
        wanted["dtype"], wanted["device"] = aval_of(other).dtype, aval_of(other).device
    a = aval_of(input)
    named: dict[str, Any] = {}
    kind, where = wanted.get("dtype"), wanted.get("device")
    kind = _dtypes.OF_CLASS.get(kind, kind) if isinstance(kind, type) else kind
    if kind is not None and (kind is not a.dtype or wanted.get("copy")):
        named["dtype"] = kind
    if where is not None and _device.device(where) != a.device:
        named["device"] = _device.device(where)
        if kind is not None:
            named["dtype"] = kind
    if not named and not wanted.get("copy"):
        fmt = wanted.get("memory_format")
        return input if fmt is None or fmt.name == "preserve_format" else _contiguous(input, fmt)
    if wanted.get("memory_format") is not None:
        named["memory_format"] = wanted["memory_format"]
    return aten._to_copy.default(input, **named)


for _name, _kind in {
    "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "int": "int32", "long": "int64", "short": "int16", "char": "int8", "byte": "uint8",
    "bool": "bool_", "cfloat": "complex64", "cdouble": "complex128",
}.items():  # fmt: skip
    RULES[_name] = lambda input, memory_format=None, kind=getattr(_dtypes, _kind): to(input, kind)


@rule("cpu")
def _cpu(input: Tensor, memory_format: Any = None) -> Any:
    return to(input, "cpu")


@rule("type_as")
def _type_as(input: Tensor, other: Tensor) -> Any:
    return to(input, aval_of(other).dtype)


@rule("type")
def _type(input: Tensor, dtype: Any = None, non_blocking: bool = False, **named: Any) -> Any:
    return to(input, dtype) if isinstance(dtype, _dtypes.dtype) else NotImplemented


def _number(of: Callable[[Any], Any]) -> Callable[..., Any]:
    def run(input: Tensor) -> Any:
        if math.prod(shape_of(input)) != 1:
            return NotImplemented  # the error
        return of(aten._local_scalar_dense.default(input))

    return run


RULES["item"] = _number(lambda x: x)
RULES.update({"__float__": _number(float), "__int__": _number(int), "__bool__": _number(bool), "__index__": _number(int), "__complex__": _number(complex), "is_nonzero": _number(bool)})


def _basic(input: Tensor, index: Any) -> tuple[Any, list[Any]] | None:
    """Selecting and slicing, step by step, and what is left for ``index``."""
    items = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(i, (bool, list)) or (hasattr(i, "__array__") and not isinstance(i, Tensor)) for i in items):
        items = [aten.lift_fresh.default(made(torch.tensor, i)) if isinstance(i, list) else i for i in items]
        if any(isinstance(i, bool) or not (i is None or i is Ellipsis or isinstance(i, (int, slice, Tensor)) or hasattr(i, "__index__")) for i in items):
            return None
    taken = sum(aval_of(i).shape.__len__() if isinstance(i, Tensor) and aval_of(i).dtype in (_dtypes.bool_, _dtypes.uint8) else i is not None and i is not Ellipsis for i in items)
    dims = len(shape_of(input))
    if taken > dims or sum(i is Ellipsis for i in items) > 1:
        return None
    dim = 0
    left: list[Any] = []
    for i in items:
        if i is Ellipsis:
            left += [None] * (dims - taken)
            dim += dims - taken
        elif i is None:
            input = aten.unsqueeze.default(input, dim)
            left.append(None)
            dim += 1
        elif isinstance(i, slice):
            if i.step is not None and i.step <= 0:
                return None
            if i.start is not None or i.stop is not None or i.step not in (None, 1):
                rest = [0 if i.start is None else int(i.start), _END if i.stop is None else int(i.stop)] + ([i.step] if i.step not in (None, 1) else [])
                input = aten.slice.Tensor(input, dim, *rest)
            left.append(None)
            dim += 1
        elif isinstance(i, Tensor) and (shape_of(i) or aval_of(i).dtype in (_dtypes.bool_, _dtypes.uint8)):
            n = len(shape_of(i)) if aval_of(i).dtype in (_dtypes.bool_, _dtypes.uint8) else 1
            left.append(i)
            dim += n
        else:
            at = int(i)
            if not -shape_of(input)[dim] <= at < shape_of(input)[dim]:
                return None
            input = aten.select.int(input, dim, at)
    while left and left[-1] is None:
        left.pop()
    return input, left


@rule("__getitem__")
def _getitem(input: Tensor, index: Any) -> Any:
    found = _basic(input, index)
    if found is None:
        return NotImplemented
    out, left = found
    if left:
        return aten.index.Tensor(out, left)
    return aten.alias.default(out) if out is input else out


@rule("__setitem__")
def _setitem(input: Tensor, index: Any, value: Any) -> Any:
    if not isinstance(value, Tensor):
        value = aten.lift_fresh.default(made(torch.tensor, value, dtype=aval_of(input).dtype))
    found = _basic(input, index)
    if found is None:
        return NotImplemented
    out, left = found
    if left:
        aten.index_put_.default(out, left, value)
    elif not shape_of(value):
        aten.fill_.Tensor(out, value)
    else:
        lead = len(shape_of(value)) - len(shape_of(out))
        if lead > 0 and all(n == 1 for n in shape_of(value)[:lead]):
            value = reshape(value, shape_of(value)[lead:])
        aten.copy_.default(out, value)
    return None
