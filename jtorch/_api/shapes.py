"""Reshaping, splitting and broadcasting, written as views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jtorch import _dtypes
from jtorch._core.dispatch import as_strided as strided
from jtorch._core.dispatch.checked_arguments import tensor_argument
from jtorch._core.dispatch.composites import compose
from jtorch._core.dispatch.signature_binding import no_overload, sizes_given
from jtorch._core.graph.view_history import take_view
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of
from jtorch._core.tensor import methods
from jtorch._core.tensor.derived_functions import function_for
from jtorch._core.tensor.indexing import take_slice
from jtorch._core.tensor.method_decorators import read_only
from jtorch._engine.recording.call import T, call_of, slot, value
from jtorch._errors import warn_once
from jtorch._namespace import torch
from jtorch._ops._lib import broadcast_shape, dim_of
from jtorch._registry import lookup

from .joining import each

_I = slot(int)


@compose("torch")
def reshape(input: Tensor, shape: Any) -> Tensor:
    """The same elements in another shape: a view if memory allows."""
    tensor_argument("reshape", "input", 1, input)
    return methods.reshape(input, shape)


@compose("Tensor")
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """``reshape`` to the shape of ``other``."""
    return methods.reshape(self, aval_of(other).shape)


@compose("Tensor")
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """``view`` in the shape of ``other``."""
    return self.view(aval_of(other).shape)  # type: ignore[attr-defined,no-any-return]


@compose("Tensor")
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """``expand`` to the shape of ``other``."""
    return self.expand(aval_of(other).shape)  # type: ignore[attr-defined,no-any-return]


@compose("torch Tensor")
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Join the dims from start_dim to end_dim."""
    tensor_argument("flatten", "input", 1, input)
    s = aval_of(input).shape
    a, b = dim_of(start_dim, len(s)), dim_of(end_dim, len(s))
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not s:
        return input.reshape(1)  # type: ignore[attr-defined,no-any-return]
    if a == b:
        return input
    n = 1
    for d in s[a : b + 1]:
        n *= d
    return methods.reshape(input, (*s[:a], n, *s[b + 1 :]))


@compose("torch Tensor")
def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """Split one dim into several; one of them may be -1."""
    s = aval_of(input).shape
    d = dim_of(dim, len(s))
    sizes = sizes_given("unflatten", "sizes", sizes, 2, alone=False)
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    if not s:
        raise RuntimeError("unflatten got an unexpected error:\nDimension specified as 0 but tensor has no dimensions")
    n = 1
    for x in sizes:
        n *= x if x != -1 else 1
    if -1 in sizes and n and s[d] % n == 0:
        sizes = tuple(s[d] // n if x == -1 else x for x in sizes)
        n = s[d]
    if n != s[d]:
        raise RuntimeError(f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} ({s[d]}) in the input tensor")
    return input.view((*s[:d], *sizes, *s[d + 1 :]))  # type: ignore[attr-defined,no-any-return]


@compose("torch Tensor")
def ravel(input: Tensor) -> Tensor:
    """One dim: ``flatten`` of everything; a view where the layout allows."""
    return input.contiguous().view(-1)  # type: ignore[attr-defined,no-any-return]


@compose("torch Tensor")
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """``length`` elements of a dim from ``start``."""
    s = aval_of(input).shape
    if not s:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if isinstance(start, Tensor) and (aval_of(start).shape or aval_of(start).dtype.category != 1):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    d = dim_of(dim, len(s))
    if isinstance(start, bool) or not hasattr(start, "__index__"):
        no_overload("narrow", (dim, start, length), "(int dim, Tensor start, int length)", "(int dim, int start, int length)")
    at = int(start)
    if not -s[d] <= at <= s[d]:
        raise IndexError(f"start out of range (expected to be in range of [{-s[d]}, {s[d]}], but got {at})")
    at = at + s[d] if at < 0 else at
    if at + length > s[d]:
        raise RuntimeError(f"start ({at}) + length ({length}) exceeds dimension size ({s[d]}).")
    return take_slice(input, d, at, length, 1)


@compose("torch Tensor")
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Move dims to other places; the rest keep their order."""
    n = len(aval_of(input).shape)
    src = (source,) if isinstance(source, int) else tuple(source)
    dst = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(src) != len(dst):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(src)} dims) should contain the same number of dims as destination ({list(dst)} dims)"
        )
    for word, given in (("source", src), ("destination", dst)):
        if len({dim_of(d, n) for d in given}) != len(given):
            raise RuntimeError(f"movedim: repeated dim in `{word}` ({list(given)})")
    src, dst = tuple(dim_of(d, n) for d in src), tuple(dim_of(d, n) for d in dst)
    if not n:
        return _alias(input)  # type: ignore[no-any-return]
    order = [-1] * n
    for a, b in zip(src, dst, strict=True):
        order[b] = a
    rest = iter([d for d in range(n) if d not in src])
    return input.permute([o if o >= 0 else next(rest) for o in order])  # type: ignore[attr-defined,no-any-return]


@compose("torch Tensor")
def moveaxis(input: Tensor, source: Any, destination: Any) -> Tensor:
    """As ``movedim``."""
    return torch.movedim(input, source, destination)  # type: ignore[no-any-return]


def _reversed_dims(self: Tensor) -> Tensor:
    n = len(aval_of(self).shape)
    if n != 2 and n != 0:

        warn_once(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will throw an error in a future release. Consider `x.mT` to transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor.",
        )
    return self.permute(tuple(builtins_range(n - 1, -1, -1)))  # type: ignore[attr-defined,no-any-return]


builtins_range = range


def _m_t(self: Tensor) -> Tensor:
    n = len(aval_of(self).shape)
    if n < 2 and n != 0:
        raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {n}-D tensor.")
    return self.transpose(-2, -1) if n else self  # type: ignore[attr-defined,no-any-return]


Tensor.T = read_only("T", _reversed_dims)  # type: ignore[attr-defined]
Tensor.mT = read_only("mT", _m_t)  # type: ignore[attr-defined]


# --- pieces -----------------------------------------------------------------------------------------------------


def _pieces(t: Tensor, dim: int, sizes: Any, name: str = "split_piece") -> tuple[Tensor, ...]:
    op = lookup(f"internal.{name}")
    out, at = [], 0
    for k, n in enumerate(sizes):
        piece = take_view(op, call_of(op, (T, value(dim), _I, value(n), value(1))), t, (dim, at, n, 1), (at,), multi=k)
        piece._nr = 0 if piece._edge is not None else k
        out.append(piece)
        at += n
    return tuple(out)


@compose("Tensor")
def split(self: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of one size (the last may be smaller), or of the sizes given."""
    s = aval_of(self).shape
    if not s:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = dim_of(dim, len(s))
    if isinstance(split_size, (tuple, list)):
        return torch.split_with_sizes(self, split_size, dim)  # type: ignore[no-any-return]
    if not hasattr(split_size, "__index__"):
        raise TypeError(f"split_with_sizes(): argument 'split_sizes' (position 2) must be tuple of ints, not {type(split_size).__name__}")
    size = int(split_size)
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    if size == 0 and s[d] != 0:
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {s[d]}")
    if size == 0:
        return _pieces(self, d, [0])
    count = max(1, -(-s[d] // size))
    return _pieces(self, d, [min(size, s[d] - k * size) for k in builtins_range(count)])


@compose("torch Tensor")
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of these sizes along ``dim``, one after another. RuntimeError if they do not add up to its size."""
    given = sizes_given("split_with_sizes", "split_sizes", split_sizes, 2, alone=False)
    s = aval_of(input).shape
    if not s:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = dim_of(dim, len(s))
    sizes = list(given)
    if any(n < 0 for n in sizes):
        raise RuntimeError(f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={sizes}")
    if sum(sizes) != s[d]:
        raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {s[d]} (input tensor's size at dimension {d}), but got split_sizes={sizes}")
    return _pieces(input, d, sizes, "split_with_sizes_piece")


@compose("torch", name="split", in_python=True)
def split_function(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """As ``Tensor.split``."""
    return tensor.split(split_size_or_sections, dim)  # type: ignore[attr-defined,no-any-return]


@compose("torch Tensor")
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces of equal size."""
    s = aval_of(input).shape
    if not s:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = dim_of(dim, len(s))
    size = -(-s[d] // chunks)
    if size == 0:
        return _pieces(input, d, [0] * chunks)
    return input.split(size, d)  # type: ignore[attr-defined,no-any-return]


_alias = function_for("internal.alias")
_parted = function_for("internal.unsafe_split")


@compose("torch Tensor")
def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """As ``chunk``, without the rule that its results must not be written in place."""
    if not aval_of(input).shape or chunks <= 0:
        return torch.chunk(input, chunks, dim)  # type: ignore[no-any-return]  # the error
    return unsafe_split(input, max(-(-aval_of(input).shape[dim] // chunks), 1), dim)  # type: ignore[no-any-return]


@compose("torch Tensor")
def unsafe_split(tensor: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """As ``split``, without the rule that its results must not be written in place."""
    if not isinstance(split_size, int):
        raise TypeError(f"unsafe_split(): argument 'split_size' (position 1) must be int, not {type(split_size).__name__}")
    sizes = [aval_of(t).shape[dim] for t in tensor.detach().split(split_size, dim)]  # type: ignore[attr-defined]
    return tuple(_parted(tensor, sizes, dim_of(dim, len(aval_of(tensor).shape))))


def _cut(name: str, where: Any) -> None:
    """TypeError unless this says where to cut: a number of pieces or positions."""
    if not isinstance(where, (int, tuple, list, Tensor)):
        raise TypeError(
            f"{name}() received an invalid combination of arguments - got (Tensor, {type(where).__name__}), but expected one of:\n"
            " * (Tensor input, tuple of ints indices, ...)\n * (Tensor input, int sections, ...)\n"
        )


@compose("torch Tensor", also=dict.fromkeys(("sections", "indices", "tensor_indices_or_sections"), "indices_or_sections"))
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces as equal as possible, or cut at the given positions."""
    s = aval_of(input).shape
    if not s:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = dim_of(dim, len(s))
    where = indices_or_sections
    _cut("tensor_split", where)
    if isinstance(where, Tensor):
        a = aval_of(where)
        if a.dtype is not _dtypes.int64:
            raise RuntimeError(f"tensor_split expected tensor_indices_or_sections to have dtype of long, but got {a.dtype.name.capitalize()}")
        if len(a.shape) > 1:
            raise RuntimeError(f"tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor with {len(a.shape)} dims")
        where = where.tolist()  # type: ignore[attr-defined]
    n = s[d]
    if isinstance(where, int):
        if where <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {where}")
        sizes = [n // where + (1 if k < n % where else 0) for k in builtins_range(where)]
        out, at = [], 0
        for size in sizes:
            out.append(take_slice(input, d, at, size, 1))
            at += size
        return tuple(out)
    out, at = [], 0
    for stop in [*where, n]:
        first, length, _ = slice(at, stop).indices(n)
        out.append(take_slice(input, d, first, max(0, length - first), 1))
        at = stop
    return tuple(out)


def _directional(name: str, dim_for: Any, least: int, along: str) -> None:
    @compose("torch Tensor", name=name, doc=f"``tensor_split`` along {along}. RuntimeError if there are fewer than {least} dims.")
    def fn(input: Tensor, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None) -> tuple[Tensor, ...]:
        n = len(aval_of(input).shape)
        if n < least:
            raise RuntimeError(f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor with {n} dimensions!")
        where = next((w for w in (indices_or_sections, indices, sections) if w is not None), None)
        _cut(name, where)
        d = dim_for(n)
        if isinstance(where, int) and (where <= 0 or aval_of(input).shape[d] % where):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {d}, but the size of the dimension {aval_of(input).shape[d]} is not divisible by the split_size {where}!"
            )
        return torch.tensor_split(input, where, d)  # type: ignore[no-any-return]


_directional("hsplit", lambda n: 0 if n == 1 else 1, 1, "the second dim, or the only one")
_directional("vsplit", lambda n: 0, 2, "the first dim")
_directional("dsplit", lambda n: 2, 3, "the third dim")


@compose("torch Tensor")
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along a dim, without it."""
    s = aval_of(input).shape
    d = dim_of(dim, len(s))
    if not s:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    op = lookup("internal.unbind_piece")
    call = call_of(op, (T, value(d), _I))
    return tuple(take_view(op, call, input, (d, k), (k,), multi=k) for k in builtins_range(s[d]))


# --- broadcasting -----------------------------------------------------------------------------------------------


@compose("torch")
def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that these shapes (ints, sequences of ints, None for none) broadcast to. RuntimeError if they do not, ValueError for a negative size."""
    from jtorch._types import Size

    given = [(s,) if isinstance(s, int) else s for s in shapes if s is not None]
    for s in given:
        if not isinstance(s, Sequence):
            raise RuntimeError(f"Input shapes should be of type ints, a tuple of ints, or a list of ints, got {s}")
    out = [1] * max(map(len, given), default=0)
    for at, s in enumerate(given):
        for i in builtins_range(-1, -1 - len(s), -1):
            if s[i] != out[i] and out[i] == 1:
                if s[i] < 0:
                    raise ValueError("Attempting to broadcast a dimension with negative length!")
                out[i] = s[i]
            elif s[i] not in (1, out[i]):
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {s[i]} at {i}! Mismatching argument at index {at} had {s}; but expected shape should be broadcastable to {out}"
                )
    return Size(out)


@compose("torch")
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Each tensor expanded to the shape of all."""
    tensors = each(tensors)
    size = broadcast_shape(*[aval_of(t).shape for t in tensors])
    return tuple(t if aval_of(t).shape == size else t.expand(size) for t in tensors)


@compose("torch")
def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """As ``expand``: a view in which dims of size 1 are repeated."""
    return input.expand(sizes_given("broadcast_to", "size", size, 2, alone=False))  # type: ignore[attr-defined,no-any-return]


@compose("Tensor", name="broadcast_to")
def broadcast_to_method(self: Tensor, *sizes: Any, **named: Any) -> Tensor:
    """As ``expand``: a view in which dims of size 1 are repeated. The size is ints, or one tuple of them."""
    if not sizes and not named:
        raise TypeError('broadcast_to() missing 1 required positional arguments: "size"')
    return self.expand(*sizes, **named)  # type: ignore[attr-defined,no-any-return]


@compose("Tensor")
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Sum over what broadcasting from ``size`` would have added."""
    from jtorch._core.dispatch.record import apply_multi

    want = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else tuple(size)
    if want and want == aval_of(self).shape:  # of no dims it is torch.sum, which makes integers of bools
        return self
    return apply_multi(call_of(lookup("internal.sum_to_shape"), (T, value(want))), (self,))  # type: ignore[no-any-return]


@compose("torch", name="as_strided")
def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the memory by sizes and strides, whatever view the input is. RuntimeError where it would reach outside."""
    return strided.as_strided(input, size, stride, storage_offset)


def _each(name: str, fn: Any) -> None:
    @compose("torch", name=name, doc=f"Each tensor with at least {name[-2]} dims: dims of size 1 are added. Several tensors give a tuple.")
    def many(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
            return tuple(fn(t) for t in tensors[0])
        return fn(tensors[0]) if len(tensors) == 1 else tuple(fn(t) for t in tensors)


def _at_least(n: int) -> Any:
    def fn(t: Tensor) -> Tensor:
        if not isinstance(t, Tensor):
            t = torch.as_tensor(t)
        s = aval_of(t).shape
        if len(s) >= n:
            return t
        if n == 1:
            return t.reshape(1)  # type: ignore[attr-defined,no-any-return]
        if n == 2:
            return t.reshape(1, 1) if not s else t.unsqueeze(0)  # type: ignore[attr-defined,no-any-return]
        return t.reshape(1, 1, 1) if not s else t.unsqueeze(0).unsqueeze(-1) if len(s) == 1 else t.unsqueeze(-1)  # type: ignore[attr-defined,no-any-return]

    return fn


for _n in (1, 2, 3):
    _each(f"atleast_{_n}d", _at_least(_n))
