"""A call: an operator with its structure fixed, as one function of arrays.

Calls are interned, so that two uses of an operator with the same structure are the same object: the trace's key, the shape
cache and the executables hang on its identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from jtorch import _dtypes
from jtorch._errors import no_such_type
from jtorch._ops._fitting import imaginary, unfit
from jtorch._ops._float8 import refuse_float8
from jtorch._ops._lib import broadcast_shape, converted
from jtorch._registry import Op, Wrong

__all__ = ["Call", "NO_ENTRY", "T", "slot", "tensor_list", "value", "call_of", "arguments", "structure_of"]

# Descriptors of a parameter: where its value comes from when the function runs.
T = ("T",)
_SLOTS: dict[type, tuple[Any, ...]] = {kind: ("S", kind) for kind in (bool, int, float, complex)}


def slot(kind: type) -> tuple[Any, ...]:
    """A runtime scalar of this Python class."""
    return _SLOTS[kind]


def tensor_list(present: Sequence[bool]) -> tuple[Any, ...]:
    """A sequence of tensors, False where one is None."""
    return ("L", tuple(present))


def value(v: Any) -> tuple[Any, ...]:
    """A piece of structure. The class is part of it, because 1 == 1.0 == True."""
    return ("V", v.__class__, v)


class _NoEntry:
    """What is known of a call that was never made: nothing, so the general way is taken."""

    simple_on = guarded_on = first = second = third = None


NO_ENTRY: Any = _NoEntry()


class Call:
    """``apply(*arrays)``: the pure function. ``entries`` caches what is known of it by input avals (see ``entry.py``); ``last`` is the one met last."""

    __slots__ = ("op", "key", "apply", "name", "entries", "last", "laid", "residuals", "elementwise", "grad_name", "fields", "guard", "origin", "outline", "identity", "numbers", "runtime_scalars", "kinds")

    def __init__(self, op: Any, key: Any, apply: Callable[..., Any], name: str, **options: Any) -> None:
        self.op, self.key, self.apply, self.name = op, key, apply, name
        self.entries: dict[Any, Any] = {}
        self.last: Any = NO_ENTRY
        self.laid: Any = (None, None, None, None)  # the same for the layouts of views (views.py)
        self.residuals: str = options.get("residuals", "recompute")
        self.elementwise: Any = options.get("elementwise", False)  # a text: the operator's ``format``
        self.grad_name: str = options.get("grad_name", name)
        self.fields: tuple[str, ...] = options.get("fields", ())
        self.numbers: str = options.get("numbers", "places")  # what its runtime scalars are
        self.guard: Any = None if op is None else _guard_of(op, key)
        self.origin: Any = options.get("origin")  # of a derived call: (make, parts), so that make(*parts) is the same once more
        self.outline: Any = None  # what is left without its sizes (families/outline.py)
        self.runtime_scalars: bool = options.get("runtime_scalars", op is not None and op.runtime_scalars)  # its numbers change from call to call
        self.identity: Any = None  # a name that another process gives it too (identity.py)
        self.kinds: Any = options.get("kinds")  # which of its outputs are complex32; None: it hangs on the inputs (halves.py)

    def __repr__(self) -> str:
        shown = ", ".join(str(d[-1]) if d[0] == "V" else d[0] for d in self.key) if isinstance(self.key, tuple) else ""
        return f"{self.name}({shown})"


def call_of(op: Op, key: tuple[Any, ...]) -> Call:
    """The interned call of ``op`` with these descriptors, one for each parameter of its function."""
    found = op.calls.get(key)
    if found is None:
        found = op.calls[key] = Call(
            op, key, _application(op, key), op.name,
            numbers=op.numbers, residuals=op.residuals, elementwise=_format(op, key) or op.elementwise, grad_name=op.grad_name, fields=op.fields,
        )  # fmt: skip
    return found


def _format(op: Op, key: tuple[Any, ...]) -> Any:
    if not callable(op.format):
        return op.format
    return partial(op.format, **{p.name: d[2] for d, p in zip(key, op.fn_params, strict=True) if d[0] == "V"})


def arguments(key: tuple[Any, ...], arrays: Sequence[Any]) -> list[Any]:
    """What an operator's function is given: the arrays where the descriptors say so, between its structure."""
    rest = iter(arrays)
    args: list[Any] = []
    for d in key:
        if d[0] == "T" or d[0] == "S":
            args.append(next(rest))
        elif d[0] == "L":
            args.append([next(rest) if there else None for there in d[1]])
        else:
            args.append(d[2])
    return args


def _application(op: Op, key: tuple[Any, ...]) -> Callable[..., Any]:
    fn, promote = op.fn, op.promote
    names = [p.name for p in op.fn_params]
    taking_part = promoted(op, names)
    tensors = [i for i, d in enumerate(key) if d[0] == "T"] if op.elementwise and promote is not None else []
    complexes = [d[2] for d, n in zip(key, names, strict=True) if n in _REAL and d[0] == "V" and d[1] is complex and d[2].imag]

    def apply(*arrays: Any) -> Any:
        args = arguments(key, arrays)
        if complexes and not jnp.iscomplexobj(args[0]):
            raise unfit(_dtypes.float64)  # what torch itself looks at, it takes as a double
        rounded = None if promote is None else _promote(args, key, taking_part, op)
        refuse_float8(op, arrays)
        if len(tensors) > 1:
            broadcast_shape(*[args[i].shape for i in tensors])  # raises in torch's words
        return fn(*args) if rounded is None else fn(*args).astype(rounded.np)

    return apply


_REAL = frozenset(("alpha", "lambd", "min_val", "max_val"))  # numbers in a program's structure that belong to the elements' type


def _guard_of(op: Op, key: tuple[Any, ...]) -> Any:
    """The operator's guard; and that complex numbers which do not take part in the promotion are real where the tensors are."""
    if _SLOTS[complex] not in key:
        return op.guard
    names = [p.name for p in op.fn_params]
    taking_part = promoted(op, names)
    at = [i for i, d in enumerate(key) if d is _SLOTS[complex] and i not in taking_part]
    if not at:
        return op.guard

    def guard(*args: Any) -> list[Any]:
        found: list[Any] = [] if op.guard is None else list(op.guard(*args))
        kind = next((np.dtype(args[i].dtype) for i, d in enumerate(key) if d[0] == "T"), None)
        if kind is not None and kind.kind not in "cb" and kind != _dtypes.complex32.memory:  # bool takes any number
            kind = np.dtype(np.float32) if _dtypes.from_np(kind) in _HALF else kind
            error = unfit(_dtypes.from_np(kind), True)
            found += [Wrong(args[i], imaginary, lambda value, at: error, number=True) for i in at]
        return found

    return guard


def promoted(op: Op, names: list[str]) -> list[int]:
    """Which parameters take part in the promotion."""
    if op.promoted is not None:
        return [names.index(n) for n in op.promoted]
    kinds = {p.name: p.kind for s in op.signatures for p in s.params}
    return [i for i, n in enumerate(names) if kinds.get(n) in ("Tensor", "Tensor|Scalar", "Tensor[]")]


def operands_of(args: Sequence[Any], key: tuple[Any, ...], taking_part: list[int], of: Callable[[Any], tuple[_dtypes.dtype, int]]) -> list[tuple[_dtypes.dtype, int]]:
    """(type, priority) of the operands among ``args``; ``of`` says it of a tensor."""
    operands: list[tuple[_dtypes.dtype, int]] = []
    for i in taking_part:
        d, a = key[i], args[i]
        if d[0] == "T":
            operands.append(of(a))
        elif d[0] == "L":
            operands += [of(x) for x in a if x is not None]
        elif d[0] == "S" or d[2] is not None:
            operands.append((_dtypes.of_python(d[1]), _dtypes.NUMBER))
    return operands


def _kind_and_priority(array: Any) -> tuple[_dtypes.dtype, int]:
    return _dtypes.from_np(np.dtype(array.dtype)), _dtypes.DIMENSIONED if array.ndim else _dtypes.ZERO_DIM


def _promote(args: list[Any], key: tuple[Any, ...], taking_part: list[int], op: Op) -> _dtypes.dtype | None:
    """Bring the operands among ``args`` to torch's common type, in place.

    With ``op.opmath``, where that is a half type and the last operand a scalar: to float32, and the half type is returned.
    """
    operands = operands_of(args, key, taking_part, _kind_and_priority)
    if not operands:
        return None  # an empty list of tensors: the operator words its own error
    if op.types is not None:
        op.types(*(kind for kind, _ in operands))
    common = _dtypes.result_type(operands)
    if common.np is None:
        no_such_type(common)
    if op.promote == "int_to_float" and common.category < 2:
        common = _dtypes.default
    rounded = None
    if op.opmath and common in _HALF and operands[0][1] == _dtypes.DIMENSIONED != operands[-1][1]:
        rounded, common = common, _dtypes.float32
    for i in taking_part:
        d, a = key[i], args[i]
        if d[0] == "L":
            args[i] = [None if x is None else _to(x, common) for x in a]
        elif a is not None:
            args[i] = _to(a, common)
    return rounded


_HALF = frozenset((_dtypes.float16, _dtypes.bfloat16))


def _to(x: Any, kind: _dtypes.dtype) -> Any:
    if isinstance(x, (bool, int, float, complex)):
        return jnp.asarray(np.asarray(x).astype(kind.np))
    return x if x.dtype == kind.np else converted(x, kind.np)


def structure_of(call: Any) -> dict[str, Any]:
    """The arguments of a call that are no tensors, by name."""
    return {p.name: d[2] for d, p in zip(call.key, call.op.fn_params, strict=True) if d[0] == "V"}
