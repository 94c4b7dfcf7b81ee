"""complex32, complex numbers of two halves: XLA has no such element, so complex64 carries them, with both parts rounded to halves by whoever computes them.

What an array cannot say, the avals do. A call whose result has this type by torch's promotion is recorded as another, :func:`halved`, that rounds what the operator's function gives;
a derived call says of its outputs which ones are (``Call.kinds``): ``"all"`` that complex64 carries, or True for each. So everything that is asked of a call (its derivative, its
program, its name on the disk) is that of the rounded one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _dtypes
from jtorch._dtypes import complex32, float16
from jtorch._errors import not_implemented
from jtorch._ops._complex_half import EXPERIMENTAL, refuse_complex_half
from jtorch._registry import Says

from jtorch._engine.recording.call import Call, arguments, call_of, operands_of, promoted, value
from jtorch._engine.values.placed import PlacedAval
from jtorch._engine.values.unbroken import aside

__all__ = ["halved", "halves_among", "in_halves", "rounding", "types_of"]

_CARRIER = complex32.np
_PART = np.dtype(np.float32)


def halves_among(avals: Iterable[Any]) -> tuple[bool, ...]:
    """Which of these are complex32; () if none is."""
    found = tuple([a.__class__ is not type and a.dtype is complex32 for a in avals])
    return found if True in found else ()


def types_of(call: Call, outs: Sequence[Any]) -> Iterator[tuple[Any, _dtypes.dtype]]:
    """What a call gives, each with its torch type."""
    kinds = call.kinds
    for i, out in enumerate(outs):
        kind = np.dtype(out.dtype)
        yield out, complex32 if kinds and kind == _CARRIER and (kinds == "all" or (i < len(kinds) and kinds[i])) else _dtypes.from_np(kind)


def rounding(apply: Callable[..., Any], kinds: tuple[bool, ...]) -> Callable[..., Any]:
    """``apply`` with those of its results rounded that are complex32."""
    if not kinds:
        return apply

    def rounded(*arrays: Any) -> Any:
        return tuple([_rounded(x) if half else x for x, half in zip(apply(*arrays), kinds, strict=True)])

    return rounded


def halved(call: Call, exact: bool) -> Call:
    """The call with results of halves: complex64 is rounded to complex32, and float32 (a part, a magnitude) to float16. ``exact``: what is complex is rounded already."""
    found = _halved.get((call, exact))
    if found is None:

        slots = [d for d in call.key if d[0] != "V"] if call.op is not None else []
        numbers = [i for i, d in enumerate(slots) if d[0] == "S" and d[1] in (float, complex)] if all([d[0] != "L" for d in slots]) else []

        def apply(*arrays: Any) -> Any:
            given = list(arrays)
            for i in numbers:
                given[i] = _number(given[i])
            out = call.apply(*given)
            return tuple([_half(x, exact) for x in out]) if isinstance(out, (tuple, list)) else _half(out, exact)

        found = _halved[call, exact] = Call(
            None, call.key, apply, call.name, numbers=call.numbers, residuals=call.residuals, elementwise=call.elementwise, grad_name=call.grad_name, fields=call.fields,
            runtime_scalars=call.runtime_scalars, origin=(halved, (call, exact)), kinds="all",
        )  # fmt: skip
        found.guard = call.guard if exact or call.name == "copy" else _warning(call.guard)
    return found


_halved: dict[Any, Call] = {}


def _warning(guard: Callable[..., Sequence[Any]] | None) -> Callable[..., Sequence[Any]]:
    def both(*args: Any) -> Sequence[Any]:
        return [Says(EXPERIMENTAL, once=True), *(() if guard is None else guard(*args))]

    return both


def _half(x: Any, exact: bool) -> Any:
    if x.dtype == _CARRIER:
        return x if exact else _rounded(x)
    return x.astype(np.float16) if x.dtype == _PART else x


def _rounded(x: Any) -> Any:
    return lax.complex(*[part(x).astype(np.float16).astype(np.float32) for part in (jnp.real, jnp.imag)])


def _number(x: Any) -> Any:
    """A Python number as a tensor without dims has it, which torch makes of it."""
    x = jnp.asarray(x)
    return _rounded(x).astype(x.dtype) if x.dtype.kind == "c" else x.astype(np.float16).astype(x.dtype)


def _with_numbers(call: Call) -> Call:
    """The call with the numbers in its structure rounded like that."""
    key = tuple([value(_PLAIN[d[1]](d[2])) if d[0] == "V" and d[1] in _PLAIN else d for d in call.key])
    return call if key == call.key else call_of(call.op, key)


def _plain(x: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float16(x))


_PLAIN: dict[type, Callable[[Any], Any]] = {float: _plain, complex: lambda x: complex(_plain(x.real), _plain(x.imag))}


def in_halves(call: Call, inputs: Sequence[Any]) -> Call:
    """What is recorded for a call on these inputs: itself, or where its result is complex32 (or a part of one) the call that rounds. NotImplementedError, in torch's words, for an
    operator whose kernels leave the type out."""
    kinds = [a.dtype for a in inputs if a.__class__ is not type]
    op = call.op
    given = complex32 in kinds
    if given and any([a.__class__ is PlacedAval for a in inputs]):
        not_implemented("DTensors of complex32", "keep them in complex64")
    if not given and (op is None or not (float16 in kinds or _dtypes.default is float16 or any([d[0] == "V" and d[2] is complex32 for d in call.key]))):
        return call
    if op is None:  # a write through views, which gives what it is given first; pieces of one thing
        return halved(call, True) if kinds[0] is complex32 else call
    said = next((d[2] for d in call.key if d[0] == "V" and d[2].__class__ is _dtypes.dtype), None)
    result = said or _result(call, inputs, kinds)
    try:
        refuse_complex_half(op, kinds if said or op.name in _MADE_OF_PARTS or result is not complex32 else [*kinds, complex32], said)
    except NotImplementedError:
        if given and all([0 in a.shape for a in inputs if a.__class__ is not type and a.dtype is complex32]):  # no kernel is asked for nothing
            return halved(call, True) if result is complex32 else call
        _tried(call, inputs)  # what it refuses of all complex numbers it says first
        raise
    if given and op.promote is None and any([kind.is_complex and kind is not complex32 for kind in kinds]):
        _refuse_mixed(call, inputs, _dtypes.complex64 if _dtypes.complex128 in kinds else _dtypes.complex128)
    return halved(_with_numbers(call), op.view) if result is complex32 else call


def _tried(call: Call, inputs: Sequence[Any], shown: np.dtype = _CARRIER) -> None:
    """Raises what the operator's function raises of inputs of these shapes and types; ``shown``: what it sees complex32 as."""
    structs = [jax.ShapeDtypeStruct((), np.dtype(a)) if isinstance(a, type) else jax.ShapeDtypeStruct(a.shape, shown) if a.dtype is complex32 else a.struct for a in inputs]
    aside(jax.eval_shape, call.apply, *structs)


def _refuse_mixed(call: Call, inputs: Sequence[Any], other: _dtypes.dtype) -> None:
    """Raises where the operator does not take complex32 beside other complex numbers: as it would say it of ``other``, which its function can tell from them."""
    try:
        _tried(call, inputs, other.np)
    except RuntimeError as error:
        raise type(error)(str(error).replace(other.legacy, complex32.legacy)) from None


def _result(call: Call, inputs: Sequence[Any], kinds: Sequence[_dtypes.dtype]) -> _dtypes.dtype | None:
    """The type of what an operator gives that names none, as far as it matters here."""
    op, key = call.op, call.key
    number = any([d[0] != "T" and d[0] != "L" and d[1] is complex for d in key])
    if op.promote is None:
        first = next((kind for kind in kinds if kind.category > 1), None)  # not indices
        return first.to_complex() if first is float16 and (op.name in _MADE_OF_PARTS or (number and op.name in _PROMOTES_ITSELF)) else first
    if not number and not any([kind.is_complex for kind in kinds]):
        return None
    operands = operands_of(arguments(key, inputs), key, promoted(op, [p.name for p in op.fn_params]), _of_aval)
    return _dtypes.result_type(operands) if operands else None


_MADE_OF_PARTS = frozenset(("complex", "view_as_complex"))
_PROMOTES_ITSELF = frozenset(("pow",))  # a number beside its tensor


def _of_aval(a: Any) -> tuple[_dtypes.dtype, int]:
    return a.dtype, _dtypes.DIMENSIONED if a.shape else _dtypes.ZERO_DIM
