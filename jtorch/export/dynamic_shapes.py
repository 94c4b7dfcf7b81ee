"""``torch.export.Dim`` and what says which sizes of which arguments change."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from jtorch._compile.errors import TorchDynamoException
from jtorch._public import torch
from jtorch.utils._pytree import SUPPORTED_NODES, GetAttrKey, MappingKey, SequenceKey, tree_flatten_with_path, tree_iter, tree_map

__all__ = ["AdditionalInputs", "Constraint", "Dim", "ShapesCollection", "dims", "refine_dynamic_shapes_from_suggested_fixes"]

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
            return self.__name__
        shown = [f"{k}={v}" for k, v in (("min", self.min if self.min != 2 else None), ("max", self.max if self.max < MOST else None)) if v is not None]
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
        return tree_map(lambda x: self._shapes.get(id(x)) if isinstance(x, torch.Tensor) else None, bound(m, args, kwargs or {}))


class AdditionalInputs:
    """More arguments that a program is to take: sizes and numbers that differ from those of the example are the ones that change. ``dynamic_shapes`` of ``export`` takes it."""

    def __init__(self) -> None:
        self._examples: list[tuple[tuple[Any, ...], dict[str, Any] | None]] = []

    def add(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        """One more call. AssertionError where ``args`` is no tuple or ``kwargs`` no dict."""
        if type(args) is not tuple:
            raise AssertionError(f"Representative args {args} must be a tuple")
        if kwargs is not None and type(kwargs) is not dict:
            raise AssertionError(f"Representative kwargs {kwargs} must be None or a dict")
        self._examples.append((args, kwargs))

    def dynamic_shapes(self, m: Any, args: Any, kwargs: Any = None) -> Any:
        """As ``export`` takes them. ValueError where calls differ in more than sizes and integers."""
        first, *others = [tree_map(lambda t: tuple(t.shape) if isinstance(t, torch.Tensor) else t, bound(m, a, k or {})) for a, k in [(args, kwargs), *self._examples]]

        def changes(v: Any, *rest: Any) -> Any:
            if not all(type(v) is type(other) for other in rest):
                raise ValueError(f"The following inputs were found to have differing types, so they cannot be marked as dynamic: {(v, *rest)}.")
            same = all(other == v for other in rest)
            if isinstance(v, int) and not isinstance(v, bool):
                return None if same else Dim.DYNAMIC
            if not same:
                raise ValueError(f"The following inputs were found to have differing values, but they cannot be marked as dynamic: {(v, *rest)}.")
            return None

        return tree_map(changes, first, *others, is_leaf=lambda x: type(x) is int)

    def verify(self, ep: Any) -> None:
        """AssertionError or ValueError where the program does not take one of the calls."""
        module = ep.module()
        for args, kwargs in self._examples:
            module._guards_fn.check(args, kwargs or {})


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
    if isinstance(shapes, (ShapesCollection, AdditionalInputs)):
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
            within(list(x), s, path, [f"[{i}]" for i in range(len(x))])
        elif type(x) in SUPPORTED_NODES:
            keyed, _ = tree_flatten_with_path(x, is_leaf=lambda y: y is not x)
            s = SUPPORTED_NODES[type(x)].flatten_fn(s)[0] if type(s) is type(x) else [s.get(_key_name(k[0])) for k, _ in keyed] if isinstance(s, dict) else s
            within([v for _, v in keyed], s, path, [str(k[0]) for k, _ in keyed])

    def within(children: list[Any], s: Any, path: str, keys: list[str]) -> None:
        if isinstance(s, (list, tuple)) and len(s) != len(children):
            raise UserError(f"Detected mismatch between the structure of `inputs` and `dynamic_shapes`: `inputs{path}` has {len(children)} elements, but `dynamic_shapes{path}` has {len(s)}")
        for i, v in enumerate(children):
            walk(v, s[i] if isinstance(s, (list, tuple)) else None, path + keys[i])

    for name, value in names.items():
        walk(value, shapes.get(name), f"['{name}']")
    return out


def _key_name(k: Any) -> str:
    return str(k.idx if isinstance(k, SequenceKey) else k.name if isinstance(k, GetAttrKey) else k.key if isinstance(k, MappingKey) else k)


def leaf_names(named: dict[str, Any]) -> list[str]:
    """What the leaves of a call's arguments are called in a graph: the argument and the way from there, ``x_feature``, ``more_a_b_0``."""
    every = [[re.sub(r"[^a-zA-Z0-9]", "_", str(k.key)) if isinstance(k, MappingKey) else _key_name(k) for k in path] for path, _ in tree_flatten_with_path(named)[0]]
    return ["_".join(path).lower() for path in every]


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


_Spec = dict[str, Any] | tuple[Any, ...] | list[Any]
Constraint = Dim  # for annotations: what the old way of saying which sizes change gave


def refine_dynamic_shapes_from_suggested_fixes(msg: str, dynamic_shapes: _Spec) -> _Spec:
    """``dynamic_shapes`` with what the message of torch's ConstraintViolation suggests: other bounds (``dx = Dim('dx', min=3)``), a number (``dx = 4``), another size (``dy = 2*dx + 1``).

    UserError where the message suggests nothing, AssertionError for a name or an expression that is none of these.
    """
    _, found, text = msg.partition("Suggested fixes:")
    if not found:
        raise UserError("Suggested fixes not found in error message given to refine_dynamic_shapes_from_suggested_fixes()")
    known: dict[str, Dim] = {}
    for dim in tree_iter(dynamic_shapes, is_leaf=lambda x: isinstance(x, Dim)):
        if isinstance(dim, Dim):
            known.update({dim.__name__: dim, dim.root.__name__: dim.root})
    fixes: dict[str, Any] = {}
    for line in text.split("Suggested fixes:")[0].strip().split("\n"):
        name, _, value = line.strip().partition(" = ")
        if bounds := re.fullmatch(r"Dim\('(.*?)'(?:, min=(\d+))?(?:, max=(\d+))?\)", value):
            fixes[name] = Dim(name, min=None if bounds[2] is None else int(bounds[2]), max=None if bounds[3] is None else int(bounds[3]))
        else:
            fixes[name] = int(value) if value.isdigit() else _linear(value)
    roots = {x[0] for x in fixes.values() if isinstance(x, tuple)}
    for name in fixes:
        if name not in known and name not in roots:
            raise AssertionError(f"shape_fixes key {name!r} not found in name_to_dim or roots")
    made: dict[Any, Any] = {}

    def fixed(dim: Any) -> Any:
        fix = fixes.get(dim.__name__) if isinstance(dim, Dim) else None
        if isinstance(fix, tuple):
            root, times, plus = fix
            if fix not in made:
                if root not in fixes and root not in known:
                    raise AssertionError(f"symbol.name {root!r} not found in name_to_dim")
                new = fixes.get(root, known.get(root))
                new = new if times == 1 else times * new
                made[fix] = new if plus == 0 else new + plus
            return made[fix]
        if fix is not None:
            return fix
        if isinstance(dim, Dim) and dim.root is not dim and dim.root.__name__ in fixes:
            if dim.__name__ not in made:
                made[dim.__name__] = dim.fn(fixed(dim.root))
            return made[dim.__name__]
        return dim

    return tree_map(fixed, dynamic_shapes, is_leaf=lambda x: isinstance(x, Dim))  # type: ignore[no-any-return]


def _linear(text: str) -> tuple[str, int, int]:
    """``2*x + 1`` as ("x", 2, 1)."""
    found = re.fullmatch(r"(?:(\d+)\s*\*\s*)?([A-Za-z_]\w*)(?:\s*([+-])\s*(\d+))?", text.strip())
    if found is None:
        raise AssertionError(f"sympy.Expr {text} is not a supported equivalence")
    return found[2], int(found[1] or 1), int(found[4] or 0) * (-1 if found[3] == "-" else 1)
