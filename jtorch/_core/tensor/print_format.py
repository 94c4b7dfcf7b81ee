"""The text of tensors, as torch prints it: a pure function of a numpy array and what is to be said about it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jtorch import _dtypes

__all__ = ["add_suffixes", "format_tensor", "get_printoptions", "printoptions", "set_printoptions", "sparse_repr", "tensor_repr"]


@dataclasses.dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


options = _Options()
_PROFILES = {"default": (4, 1000, 3, 80), "short": (2, 1000, 2, 80), "full": (4, math.inf, 3, 80)}
_Format = Callable[[Any], str]


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed: digits, from how many elements on to summarise, how many to show at the edges, columns of a line.

    ``profile`` is "default", "short" or "full"; the other arguments override it. ``sci_mode=None`` decides tensor by tensor.
    """
    if profile in _PROFILES:
        options.precision, options.threshold, options.edgeitems, options.linewidth = _PROFILES[profile]
    for name, value in (("precision", precision), ("threshold", threshold), ("edgeitems", edgeitems), ("linewidth", linewidth)):
        if value is not None:
            setattr(options, name, value)
    options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keyword arguments of :func:`set_printoptions`."""
    return dataclasses.asdict(options)


@contextlib.contextmanager
def printoptions(**changes: Any) -> Iterator[None]:
    """:func:`set_printoptions` for the length of a ``with`` block."""
    before = get_printoptions()
    set_printoptions(**changes)
    try:
        yield
    finally:
        set_printoptions(**before)


def _edges(array: np.ndarray) -> np.ndarray:
    """The elements that a summary shows; they alone decide the format."""
    edge = options.edgeitems
    if array.ndim > 1 and not edge:
        return array.reshape(-1)[:0]
    for axis in range(array.ndim):
        size = array.shape[axis]
        if size > 2 * edge:
            array = np.take(array, [*range(edge), *range(size - edge if edge else 0, size)], axis)
    return array


def _formatter(array: np.ndarray, floating: bool) -> tuple[_Format, int]:
    """A function from an element to its padded text, and the width."""
    if not floating:
        width = max((len(str(v)) for v in array.ravel().tolist()), default=1)
        return lambda v: str(v).rjust(width), width
    values = array.ravel()
    values = values[np.isfinite(values) & (values != 0)]
    whole, scientific, width, digits = True, False, 1, options.precision
    if values.size:
        size = np.abs(values)
        low, high = float(size.min()), float(size.max())
        whole = bool((values == np.ceil(values)).all())
        scientific = (high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4) if options.sci_mode is None else options.sci_mode
        pattern = f"{{:.{digits}e}}" if scientific else "{:.0f}." if whole else f"{{:.{digits}f}}"
        width = max(1, *(len(pattern.format(v)) for v in values.tolist()))
    if scientific:
        return f"{{:{width}.{digits}e}}".format, width
    if whole:
        return lambda v: (f"{v:.0f}." if math.isfinite(v) else f"{v:.0f}").rjust(width), width
    return (lambda v, pattern=f"{{:.{digits}f}}": pattern.format(v).rjust(width)), width


def _complex_formatter(array: np.ndarray) -> tuple[_Format, int]:
    real, real_width = _formatter(array.real, True)
    imag, imag_width = _formatter(array.imag, True)

    def show(value: complex) -> str:
        second = (imag(value.imag) + "j").lstrip()
        return real(value.real) + ("" if second[0] in "+-" else "+") + second

    return show, real_width + imag_width + 1


def _lines(array: np.ndarray, indent: int, summarise: bool, show: _Format, width: int) -> str:
    if array.ndim == 0:
        return show(array.tolist())
    edge: int = options.edgeitems
    short = summarise and len(array) > 2 * edge
    if array.ndim > 1:
        chosen = [*range(edge), *range(len(array) - edge, len(array))] if short else range(len(array))
        rows: list[str] = [_lines(array[i], indent + 1, summarise, show, width) for i in chosen]
        if short:
            rows.insert(edge, "...")
        between = "," + "\n" * int(array.ndim - 1) + " " * (indent + 1)
        return "[" + between.join(rows) + "]"
    if summarise and not edge:
        words = ["..."]
    elif short:
        words = [*map(show, array[:edge].tolist()), " ...", *map(show, array[-edge:].tolist())]
    else:
        words = list(map(show, array.tolist()))
    room = max(1, math.floor((options.linewidth - indent) / (width + 2)))
    lines = [", ".join(words[i : i + room]) for i in range(0, len(words), room)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def format_tensor(array: np.ndarray, *, dtype: Any = None, prefix: str = "tensor(", suffixes: Sequence[str] = ()) -> str:
    """``prefix``, the elements in brackets, the suffixes, ``)``. With no prefix and no suffixes, the bare elements.

    Lines after the first are indented by the length of the prefix.
    """
    kind = _dtypes.from_np(array.dtype) if dtype is None else dtype
    if array.size == 0:
        body = "[]"
    else:
        if kind.is_floating_point and array.dtype.kind != "f":  # numpy's arithmetic on bfloat16 and float8 is slow or missing
            array = array.astype(np.float32)
        summarise = array.size > options.threshold
        shown = _edges(array) if summarise else array
        show, width = _complex_formatter(shown) if kind.is_complex else _formatter(shown, kind.is_floating_point)
        body = _lines(array, len(prefix), summarise, show, width)
    return add_suffixes(prefix + body, suffixes, len(prefix)) if prefix or suffixes else body


def add_suffixes(text: str, suffixes: Sequence[str], indent: int, force_newline: bool = False) -> str:
    """``text, suffix, ...)``, a suffix on a line of its own where the line would grow too long."""
    pieces = [text]
    last = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if force_newline or last + len(suffix) + 2 > options.linewidth:
            pieces.append(",\n" + " " * indent + suffix)
            last, force_newline = indent + len(suffix), False
        else:
            pieces.append(", " + suffix)
            last += len(suffix) + 2
    return "".join(pieces) + ")"


def _is_default(dtype: Any, default_dtype: Any) -> bool:
    """Whether a type need not be named: the literal would give it back."""
    complex_default = _dtypes.complex128 if default_dtype is _dtypes.float64 else _dtypes.complex64
    return dtype in (default_dtype, complex_default, _dtypes.int64, _dtypes.bool_)


def _history(grad_fn_name: str | None, requires_grad: bool) -> list[str]:
    if grad_fn_name is not None:
        return [f"grad_fn=<{grad_fn_name}>"]
    return ["requires_grad=True"] if requires_grad else []


def tensor_repr(
    array: np.ndarray | None,
    dtype: Any,
    device: str | None,
    grad_fn_name: str | None,
    requires_grad: bool,
    default_dtype: Any,
    *,
    shape: Sequence[int] | None = None,
    class_name: str = "tensor",
    layout: str | None = None,
    contents: str | None = None,
    parameter: bool = False,
    tangent: str | None = None,
) -> str:
    """The ``repr`` of a tensor. ``array=None`` with a ``shape`` is a tensor without values (meta), or whose elements are not shown, but ``contents``.

    ``device`` is None where it need not be said, ``layout`` likewise (strided). ``parameter`` marks a Parameter of a class of its
    own, ``tangent`` is the text of a forward-mode tangent.
    """
    size = tuple(array.shape if shape is None and array is not None else shape or ())
    suffixes = [] if device is None else [f"device='{device}'"]
    if array is None and (contents is None or device == "meta"):
        suffixes.append(f"size={size}")
        if dtype is not default_dtype:
            suffixes.append(f"dtype={dtype}")
    elif 0 in size:
        if len(size) != 1:
            suffixes.append(f"size={size}")
        if dtype is not default_dtype:  # nothing shows what type an empty literal has
            suffixes.append(f"dtype={dtype}")
    else:
        if not options.edgeitems:
            suffixes.append(f"size={size}")
        if not _is_default(dtype, default_dtype):
            suffixes.append(f"dtype={dtype}")
    if layout is not None:
        suffixes.append(f"layout={layout}")
    suffixes += _history(grad_fn_name, requires_grad)
    if tangent is not None:
        suffixes.append(f"tangent={tangent}")
    prefix = class_name + "("
    if array is None:
        text = add_suffixes(prefix + ("..." if contents is None else contents), suffixes, len(prefix))
    else:
        text = format_tensor(array, dtype=dtype, prefix=prefix, suffixes=suffixes)
    return f"Parameter({text})" if parameter else text


def sparse_repr(
    parts: Sequence[tuple[str, np.ndarray]],
    size: Sequence[int],
    nnz: int,
    dtype: Any,
    device: str | None,
    grad_fn_name: str | None,
    requires_grad: bool,
    default_dtype: Any,
    *,
    layout: str = "torch.sparse_coo",
    class_name: str = "tensor",
) -> str:
    """The ``repr`` of a sparse tensor from its named parts: ("indices", ...), ("values", ...) or crow, col and values."""
    prefix = class_name + "("
    texts = []
    for name, array in parts:
        head = f"{name}=tensor("
        body = format_tensor(array, prefix=" " * (len(prefix) + len(head)))[len(prefix) + len(head) : -1]
        texts.append(head + body + (f", size={tuple(array.shape)}" if array.size == 0 else "") + ")")
    suffixes = [] if device is None else [f"device='{device}'"]
    suffixes += [f"size={tuple(size)}", f"nnz={nnz}"]
    if not _is_default(dtype, default_dtype):
        suffixes.append(f"dtype={dtype}")
    suffixes += [f"layout={layout}", *_history(grad_fn_name, requires_grad)]
    return add_suffixes(prefix + (",\n" + " " * len(prefix)).join(texts), suffixes, len(prefix), layout == "torch.sparse_coo")
