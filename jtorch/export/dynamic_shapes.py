"""``torch.export.Dim`` and what says which sizes of which arguments change."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from jtorch._compile.errors import TorchDynamoException
from jtorch._public import torch

__all__ = ["Dim", "ShapesCollection", "dims"]

MOST = 1 << 62


class _Hint(Enum):
    AUTO = auto()
    STATIC = auto()
    DYNAMIC = auto()


class _DimHint:
    """``Dim.AUTO``, ``Dim.DYNAMIC`` and ``Dim.STATIC``; AUTO and DYNAMIC take bounds when called."""

    def __init__(self, kind: _Hint, min: int | None = None, max: int | None = None) -> None:
        self.type, self.min, self.max = kind, min, max

    def __call__(self, min: int | None = None, max: int | None = None) -> _DimHint:
        if self.type is _Hint.STATIC:
            raise TypeError("'STATIC' object is not callable")
        for bound, name in ((min, "min"), (max, "max")):
            if bound is not None and bound < 0:
                raise AssertionError(f"{name} must be non-negative, got {bound}")
        return _DimHint(self.type, min, max)

    def __repr__(self) -> str:
        shown = [f"{k}={v}" for k, v in (("min", self.min), ("max", self.max)) if v is not None]
        return f"DimHint({self.type.name}{''.join(', ' + s for s in shown)})"


class Dim:
    """A size that may change: ``Dim("batch", min=1, max=1024)``. Arithmetic with one gives sizes that follow it: ``2 * batch``, ``length + 1``.

    ``Dim.AUTO`` and ``Dim.DYNAMIC`` leave the name away, ``Dim.STATIC`` says that a size stays. AssertionError for a name that is none and for bounds that hold nothing.
    """

    AUTO = _DimHint(_Hint.AUTO)
    DYNAMIC = _DimHint(_Hint.DYNAMIC)
    STATIC = _DimHint(_Hint.STATIC)

    def __init__(self, name: str, *, min: int | None = None, max: int | None = None) -> None:
        self.min, self.max = 0 if min is None else min, MOST if max is None else max
        if self.max <= self.min:
            raise AssertionError(f"Cannot create Dim with inconsistent min={min}, max={max}")
        if not name.isidentifier():
            raise AssertionError(f"Dim name must be a valid identifier, got {name}")
        self.__name__ = name
        self.root: Any = self
        self.fn: Callable[[int], int] = lambda n: n

    def _derive(self, fn: Callable[[int], int], text: str) -> Dim:
        made = Dim.__new__(Dim)
        made.__name__, made.root = text, self.root
        own = self.fn
        made.fn = lambda n: fn(own(n))
        made.min, made.max = made.fn(self.root.min), made.fn(self.root.max) if self.root.max < MOST else MOST
        return made

    def __add__(self, other: int) -> Dim:
        return self._derive(lambda n: n + _int(other, "add"), f"{self.__name__} + {other}")

    def __sub__(self, other: int) -> Dim:
        return self._derive(lambda n: n - _int(other, "subtract"), f"{self.__name__} - {other}")

    def __mul__(self, other: int) -> Dim:
        if _int(other, "multiply") <= 0:
            raise NotImplementedError(f"Attempted to multiply {self.__name__} with {other}, where a positive integer was expected. (Only increasing linear operations with integer coefficients are supported.)")
        return self._derive(lambda n: n * other, f"{other}*{self.__name__}")

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Dim:
        raise NotImplementedError(f"Attempted to negate {self.__name__}. (Only increasing linear operations with integer coefficients are supported.)")

    def __repr__(self) -> str:
        if self.root is not self:
            return f"DerivedDim({self.__name__})"
        shown = [f"{k}={v}" for k, v in (("min", self.min or None), ("max", self.max if self.max < MOST else None)) if v is not None]
        return f"Dim('{self.__name__}'{''.join(', ' + s for s in shown)})"


def _int(x: Any, what: str) -> int:
    if not isinstance(x, int):
        raise NotImplementedError(f"Attempted to {what} {x}, where an integer was expected. (Only increasing linear operations with integer coefficients are supported.)")
    return x


def dims(*names: str, min: int | None = None, max: int | None = None) -> tuple[Dim, ...]:
    """Several :class:`Dim` with the same bounds."""
    return tuple(Dim(name, min=min, max=max) for name in names)


class ShapesCollection:
    """Sizes that change, by tensor: ``shapes[x] = {0: Dim.DYNAMIC}``; ``dynamic_shapes`` makes a tree like a call's arguments of them."""

    def __init__(self) -> None:
        self._shapes: dict[int, Any] = {}

    def __setitem__(self, t: Any, shape: Any) -> None:
        if not isinstance(t, torch.Tensor):
            raise AssertionError(f"Cannot assign shape to non-tensor type {type(t)}")
        self._shapes[id(t)] = shape

    def __getitem__(self, t: Any) -> Any:
        return self._shapes.setdefault(id(t), {})

    def __len__(self) -> int:
        return len(self._shapes)

    def dynamic_shapes(self, m: Any, args: Any, kwargs: Any = None) -> Any:
        """As ``export`` takes them."""
        return {name: self._of(value) for name, value in bound(m, args, kwargs or {}).items()}

    def _of(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return self._shapes.get(id(x))
        if isinstance(x, dict):
            return {k: self._of(v) for k, v in x.items()}
        return type(x)(map(self._of, x)) if isinstance(x, (list, tuple)) else None


def bound(m: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """A call's arguments by name; those of ``*args`` as a tuple, those of ``**kwargs`` by their own names."""
    given = inspect.signature(m.forward if isinstance(m, torch.nn.Module) else m).bind(*args, **kwargs).arguments
    out: dict[str, Any] = {}
    for name, value in given.items():
        kind = inspect.signature(m.forward if isinstance(m, torch.nn.Module) else m).parameters[name].kind
        out.update(value if kind is inspect.Parameter.VAR_KEYWORD else {name: value})
    return out


class UserError(TorchDynamoException):
    """What was said about sizes does not fit the arguments."""

    __module__ = "torch._dynamo.exc"


def sizes_by_leaf(m: Any, args: Any, kwargs: Any, shapes: Any) -> list[dict[int, Any]]:
    """For each tensor among a call's arguments (in the order of the tree's leaves), its dims that change: a :class:`Dim`, or a hint."""
    names = bound(m, args, kwargs)
    if isinstance(shapes, ShapesCollection):
        shapes = shapes.dynamic_shapes(m, args, kwargs)
    if shapes is None:
        shapes = {}
    if isinstance(shapes, (tuple, list)):
        if len(shapes) != len(names):
            raise UserError(f"When `dynamic_shapes` is specified as a {type(shapes).__name__}, it must have as many elements as there are arguments: {len(names)}, but got {len(shapes)}")
        shapes = dict(zip(names, shapes, strict=True))
    elif shapes and set(shapes) != set(names) and not set(shapes) <= set(names):
        raise UserError(
            f"When `dynamic_shapes` is specified as a dict, its top-level keys must be the arg names {list(names)} of `inputs`, but here they are {list(shapes)}. "
            "Alternatively, you could also ignore arg names entirely and specify `dynamic_shapes` as a list/tuple matching `inputs`."
        )
    out: list[dict[int, Any]] = []

    def walk(x: Any, s: Any, path: str) -> None:
        if isinstance(x, torch.Tensor):
            out.append(_dims_of(x, s, path))
        elif isinstance(x, dict):
            for k, v in x.items():
                walk(v, s.get(k) if isinstance(s, dict) else None, f"{path}['{k}']")
        elif isinstance(x, (list, tuple)):
            if isinstance(s, (list, tuple)) and len(s) != len(x):
                raise UserError(f"Detected mismatch between the structure of `inputs` and `dynamic_shapes`: `inputs{path}` has {len(x)} elements, but `dynamic_shapes{path}` has {len(s)}")
            for i, v in enumerate(x):
                walk(v, s[i] if isinstance(s, (list, tuple)) else None, f"{path}[{i}]")

    for name, value in names.items():
        walk(value, shapes.get(name), f"['{name}']")
    return out


def _dims_of(t: Any, s: Any, path: str) -> dict[int, Any]:
    if s is None:
        return {}
    if isinstance(s, (list, tuple)):
        if len(s) != t.dim():
            raise UserError(f"Expected dynamic shape spec {s} specified at `dynamic_shapes{path}` to have the same length as the actual tensor shape {t.shape} (expected {t.dim()}, but got {len(s)} instead)")
        s = dict(enumerate(s))
    if not isinstance(s, dict):
        raise UserError(f"Expected dynamic shape spec at `dynamic_shapes{path}` to be a dict, a tuple or a list, but got {s}")
    found = {}
    for d, kind in s.items():
        if not -t.dim() <= d < t.dim():
            raise UserError(f"Unexpected dimension {d} at `dynamic_shapes{path}` of a tensor with {t.dim()} dims")
        if isinstance(kind, int) and kind != t.shape[d]:
            raise UserError(f"Static shape constraint of {kind} does not match input size of {t.shape[d]}, for inputs{path}.shape[{d}]")
        if kind is None or isinstance(kind, int) or isinstance(kind, _DimHint) and kind.type is _Hint.STATIC:
            continue
        if isinstance(kind, Dim) and not kind.min <= t.shape[d] <= kind.max:
            raise UserError(f"Expected input at inputs{path}.shape[{d}] to be in the range [{kind.min}, {kind.max}], but got {t.shape[d]}")
        found[d % t.dim()] = kind
    return found
