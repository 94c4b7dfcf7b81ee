"""``assert_close``: two results, or two trees of them, compared with torch's tolerances and torch's text."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jtorch._public import torch

# (rtol, atol) of torch's types; everything else is compared exactly.
_PRECISION = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex32": (1e-3, 1e-5), "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip


@dataclass
class _Rules:
    """What one call of ``assert_close`` asks for."""

    allow_subclasses: bool
    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool

    def tolerances(self, *dtypes: Any) -> tuple[float, float]:
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        found = [_PRECISION.get(str(d).removeprefix("torch."), (0.0, 0.0)) for d in dtypes]
        return max(r for r, _ in found), max(a for _, a in found)


class _Different(Exception):
    """A text, and where in the tree."""

    def __init__(self, text: str, at: tuple[Any, ...] = ()) -> None:
        super().__init__(text)
        self.text, self.at = text, at

    def whole(self) -> str:
        return self.text + (f"\n\nThe failure occurred for item {''.join(f'[{k!r}]' for k in self.at)}" if self.at else "")


def _allowed(what: str, absolute: Any, relative: Any, rtol: float, atol: float, places: tuple[str, str] = ("", "")) -> str:
    """The two lines on differences, with what was allowed unless nothing was."""

    def bound(limit: float) -> str:
        return f" (up to {limit} allowed)" if rtol or atol else ""

    return (
        f"{what}bsolute difference: {absolute}{places[0]}{bound(atol)}\n{_relative_of(what)}elative difference: {relative}{places[1]}{bound(rtol)}"
    )


def _relative_of(what: str) -> str:
    return "Greatest r" if what.startswith("Greatest") else "R"


def _numbers(actual: Any, expected: Any, rules: _Rules) -> None:
    if rules.check_dtype and type(actual) is not type(expected):
        raise _Different(f"The (d)types do not match: {type(actual)} != {type(expected)}.")
    rtol, atol = rules.tolerances(*(_dtype_of_number(x) for x in (actual, expected)))
    if actual == expected:
        return
    difference = abs(actual - expected)
    if rules.equal_nan and actual != actual and expected != expected:
        return
    finite = np.isfinite(actual) and np.isfinite(expected)
    if finite and difference <= atol + rtol * abs(expected):
        return
    relative = float("inf") if expected == 0 else difference / abs(expected)
    word = "close" if rtol or atol else "equal"
    raise _Different(
        f"Scalars are not {word}!\n\nExpected {expected} but got {actual}.\n" + _allowed("A", difference, relative, rtol, atol)
    )


def _dtype_of_number(x: Any) -> Any:
    return torch.int64 if isinstance(x, int) else torch.float64 if isinstance(x, float) else torch.complex128


def _attributes(actual: Any, expected: Any, rules: _Rules) -> None:
    def differ(name: str, a: Any, b: Any) -> _Different:
        return _Different(f"The values for attribute '{name}' do not match: {a} != {b}.")

    if actual.shape != expected.shape:
        raise differ("shape", actual.shape, expected.shape)
    if actual.layout is not expected.layout and rules.check_layout:
        raise differ("layout", actual.layout, expected.layout)
    if rules.check_device and actual.device != expected.device:
        raise differ("device", actual.device, expected.device)
    if rules.check_dtype and actual.dtype is not expected.dtype:
        raise differ("dtype", actual.dtype, expected.dtype)
    if rules.check_stride and actual.layout is torch.strided and actual.stride() != expected.stride():
        raise differ("stride()", actual.stride(), expected.stride())


def _tensors(actual: Any, expected: Any, rules: _Rules) -> None:
    _attributes(actual, expected, rules)
    rtol, atol = rules.tolerances(actual.dtype, expected.dtype)
    a, b = (x.detach().to("cpu") for x in (actual, expected))
    if a.layout is b.layout and a.layout.name in _PARTS:
        _sparse(a, b, rtol, atol, rules.equal_nan)
        return
    if a.layout is not torch.strided or b.layout is not torch.strided:
        a, b = a.to_dense(), b.to_dense()
    _values(a, b, rtol, atol, rules.equal_nan)


_PARTS = {
    "sparse_coo": ("_indices", "_values"),
    "sparse_csr": ("crow_indices", "col_indices", "values"), "sparse_bsr": ("crow_indices", "col_indices", "values"),
    "sparse_csc": ("ccol_indices", "row_indices", "values"), "sparse_bsc": ("ccol_indices", "row_indices", "values"),
}  # fmt: skip


def _sparse(a: Any, b: Any, rtol: float, atol: float, equal_nan: bool) -> None:
    """Two of one layout: how many values there are, then their places, then the values."""
    kind = a.layout.name.rpartition("_")[2].upper()
    if kind == "COO" and a.sparse_dim() != b.sparse_dim():
        raise _Different(f"The number of sparse dimensions in sparse COO tensors does not match: {a.sparse_dim()} != {b.sparse_dim()}")
    if a._nnz() != b._nnz():
        raise _Different(f"The number of specified values in sparse {kind} tensors does not match: {a._nnz()} != {b._nnz()}")
    *places, values = _PARTS[a.layout.name]
    for name in places:
        _values(getattr(a, name)(), getattr(b, name)(), 0, 0, False, f"Sparse {kind} {name.lstrip('_')}")
    _values(getattr(a, values)(), getattr(b, values)(), rtol, atol, equal_nan, f"Sparse {kind} values")


def _values(a: Any, b: Any, rtol: float, atol: float, equal_nan: bool, what: str = "") -> None:
    if a.dtype is not b.dtype:
        kind = torch.promote_types(a.dtype, b.dtype)
        a, b = a.to(kind), b.to(kind)
    if a.dtype.itemsize == 1 and a.dtype.is_floating_point:
        a, b = a.float(), b.float()
    if a.dtype is torch.bool:
        a, b = a.to(torch.int64), b.to(torch.int64)
    close = torch.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if bool(close.all()):
        return
    word = "close" if rtol or atol else "equal"
    # Where both agree nothing is reported, so that an infinity that matches is no difference.
    difference = (a - b).abs().masked_fill(close, 0)
    if a.dim() == 0:
        relative = difference / b.abs()
        raise _Different(
            f"{what or 'Scalars'} are not {word}!\n\nExpected {b.item()} but got {a.item()}.\n"
            + _allowed("A", difference.item(), relative.item(), rtol, atol)
        )
    relative = (difference / b.abs()).masked_fill(close, 0)

    def greatest(d: Any) -> tuple[Any, str]:
        flat = int(torch.argmax(d.reshape(-1)))
        return d.reshape(-1)[flat].item(), f" at index {tuple(int(i) for i in np.unravel_index(flat, tuple(a.shape)))}"

    (most, where), (most_relative, where_relative) = greatest(difference), greatest(relative)
    wrong, total = int((~close).sum()), a.numel()
    raise _Different(
        f"{what or 'Tensor-likes'} are not {word}!\n\nMismatched elements: {wrong} / {total} ({wrong / total:.1%})\n"
        + _allowed("Greatest a", most, most_relative, rtol, atol, (where, where_relative))
    )


def _is_number(x: Any) -> bool:
    return isinstance(x, numbers.Number) or np.isscalar(x) and not isinstance(x, (str, bytes))


def _compare(actual: Any, expected: Any, rules: _Rules) -> None:
    """Raise :class:`_Different` at the first difference, TypeError for what cannot be compared."""
    tensor = torch.Tensor
    if actual is None or expected is None:
        if actual is not expected:
            raise _Different(f"None mismatch: {actual} is not {expected}")
    elif isinstance(actual, (bool, np.bool_)) and isinstance(expected, (bool, np.bool_)):
        if actual != expected:
            raise _Different(f"Booleans mismatch: {actual} is not {expected}")
    elif _is_number(actual) and _is_number(expected):
        a, b = (x.item() if isinstance(x, np.generic) else x for x in (actual, expected))
        _numbers(a, b, rules)
    elif isinstance(actual, (tensor, np.ndarray)) and isinstance(expected, (tensor, np.ndarray)) and _related(actual, expected, rules):
        _tensors(torch.as_tensor(actual), torch.as_tensor(expected), rules)
    elif _sequence(actual) and _sequence(expected):
        if len(actual) != len(expected):
            raise _Different(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}")
        for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
            _inside(i, a, b, rules)
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if set(actual) != set(expected):
            lines = ["The keys of the mappings do not match:"]
            if missing := sorted(set(expected) - set(actual), key=str):
                lines.append(f"Missing keys in the actual mapping: {missing}")
            if extra := sorted(set(actual) - set(expected), key=str):
                lines.append(f"Additional keys in the actual mapping: {extra}")
            raise _Different("\n".join(lines))
        for k in sorted(actual, key=str):
            _inside(k, actual[k], expected[k], rules)
    else:
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.")


def _related(actual: Any, expected: Any, rules: _Rules) -> bool:
    if type(actual) is type(expected):
        return True
    return rules.allow_subclasses and (isinstance(actual, type(expected)) or isinstance(expected, type(actual)))


def _sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, (str, bytes))


def _inside(key: Any, actual: Any, expected: Any, rules: _Rules) -> None:
    try:
        _compare(actual, expected, rules)
    except _Different as found:
        raise _Different(found.text, (key, *found.at)) from None


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None, atol: float | None = None, equal_nan: bool = False,
    check_device: bool = True, check_dtype: bool = True, check_layout: bool = True, check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:  # fmt: skip
    """AssertionError unless ``|actual - expected| <= atol + rtol * |expected|`` everywhere, and types, devices and shapes agree.

    Takes tensors, numpy arrays, numbers, bools, None, and sequences and mappings of them. Tolerances follow from the types where they are not given.
    """
    for given, name in ((rtol, "rtol"), (atol, "atol")):
        if given is None and (rtol is not None or atol is not None):
            raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {name}.")
    rules = _Rules(allow_subclasses, rtol, atol, equal_nan, check_device, check_dtype, check_layout, check_stride)
    try:
        _compare(actual, expected, rules)
    except _Different as found:
        text = found.whole()
        raise AssertionError(text if msg is None else msg(text) if callable(msg) else msg) from None


def assert_allclose(actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None, equal_nan: bool = True, msg: str = "") -> None:
    """Deprecated: ``assert_close``."""
    if not isinstance(actual, torch.Tensor):
        actual = torch.tensor(actual)
    if not isinstance(expected, torch.Tensor):
        expected = torch.tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        rules = {torch.float16: (1e-3, 1e-3), torch.float32: (1e-4, 1e-5), torch.float64: (1e-5, 1e-8)}
        rtol, atol = (max(p) for p in zip(*[rules.get(t.dtype, (0.0, 0.0)) for t in (actual, expected)], strict=True))
    assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=True, check_dtype=False, check_stride=False, msg=msg or None
    )
