"""Calls without their sizes: what is left when the integers in a call and the dims of what it was made for are taken out, and the way back with other sizes.

The sizes of a call stand in one order, which :func:`outline` and :func:`with_sizes` share. A derived call (a backward, a write through a view) says in ``Call.origin`` what
it was made from: ``(make, parts)``, where a part is a call, or an entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr

from jtorch._engine.recording import vjp
from jtorch._engine.recording.call import Call, call_of
from jtorch._engine.recording.entry import NUMBERS, Entry, common_device
from jtorch._engine.recording.halves import in_halves, types_of
from jtorch._engine.values.unbroken import aside
from jtorch._engine.values.values import Aval

__all__ = ["Outline", "Symbolic", "blind_of", "dims_of", "expected_inputs", "inputs_with", "outline", "symbolic_aval", "symbolic_entry", "with_sizes"]


class Outline:
    """``blind``: a number, equal for calls that are alike but for sizes; ``sizes``: those."""

    __slots__ = ("blind", "sizes")

    def __init__(self, blind: int, sizes: tuple[int, ...]) -> None:
        self.blind, self.sizes = blind, sizes


_numbers: dict[Any, int] = {}


def _number(form: Any) -> int:
    found = _numbers.get(form)
    return found if found is not None else _numbers.setdefault(form, len(_numbers))


def outline(call: Call) -> Outline:
    """The call's outline, worked out once."""
    found = call.outline
    if found is None:
        sizes: list[int] = []
        form = _call_form(call, sizes)
        found = call.outline = Outline(_number(form), tuple(sizes))
    return found  # type: ignore[no-any-return]


def blind_of(call: Call, inputs: Sequence[Any]) -> int:
    """A number for a call on inputs of these ranks, types and devices."""
    return _number((outline(call).blind, *[_input_form(a) for a in inputs]))


def dims_of(inputs: Sequence[Any]) -> tuple[int, ...]:
    return tuple([d for a in inputs if a.__class__ is Aval for d in a.shape])


def _input_form(a: Any) -> Any:
    return (len(a.shape), a.dtype, a.device) if a.__class__ is Aval else a


def _call_form(call: Call, sizes: list[int]) -> Any:
    if call.op is not None:
        return (call.op, tuple([_blinded(d, sizes) for d in call.key]))
    if call.origin is None:
        return call
    make, parts = call.origin
    return (make, tuple([_part_form(p, sizes) for p in parts]))


def _part_form(p: Any, sizes: list[int]) -> Any:
    if isinstance(p, Call):
        return _call_form(p, sizes)
    if isinstance(p, Entry):
        form = _call_form(p.call, sizes)
        sizes.extend(dims_of(p.inputs))
        return (form, tuple([_input_form(a) for a in p.inputs]))
    return p


def _blinded(x: Any, sizes: list[int]) -> Any:
    if x.__class__ is int:
        sizes.append(x)
        return int
    if x.__class__ is tuple:
        return tuple([_blinded(y, sizes) for y in x])
    return (x.__class__, x)  # 1 == 1.0 == True


# ---- and back ------------------------------------------------------------------------------------------------------------------


def with_sizes(call: Call, sizes: Iterator[Any]) -> Call:
    """The call with other sizes (ints or symbolic dims), taken from ``sizes`` in order."""
    if call.op is not None:
        return call_of(call.op, tuple([_filled(d, sizes) for d in call.key]))
    if call.origin is None:
        return call
    make, parts = call.origin
    return make(*[_part_with(p, sizes) for p in parts])  # type: ignore[no-any-return]


def _part_with(p: Any, sizes: Iterator[Any]) -> Any:
    if isinstance(p, Call):
        return with_sizes(p, sizes)
    if isinstance(p, Entry):
        call = with_sizes(p.call, sizes)
        return symbolic_entry(call, inputs_with(p.inputs, sizes))
    return p


def inputs_with(inputs: Sequence[Any], sizes: Iterator[Any]) -> tuple[Any, ...]:
    """Inputs of an entry with other dims."""
    return tuple([symbolic_aval(tuple([next(sizes) for _ in a.shape]), a) if a.__class__ is Aval else a for a in inputs])


def _filled(x: Any, sizes: Iterator[Any]) -> Any:
    if x.__class__ is int:
        return next(sizes)
    if x.__class__ is tuple:
        return tuple([_filled(y, sizes) for y in x])
    return x


def expected_inputs(call: Call) -> tuple[Any, ...] | None:
    """The inputs of a derived call as what it was derived from says; None if it does not."""
    if call.origin is None or call.origin[0] is not vjp.derived:
        return None
    entry, mask, from_inputs, given = call.origin[1]
    if given is None:
        return entry.inputs  # type: ignore[no-any-return]
    plan = vjp.recomputing_plan(entry, mask) if from_inputs else vjp.plan_of(entry, mask)
    if plan.forward is None:
        return vjp.inputs_of(entry, plan, given)
    return vjp.inputs_of(symbolic_entry(plan.forward, entry.inputs), plan, given)


_avals: dict[Any, Aval] = {}


def symbolic_aval(shape: tuple[Any, ...], like: Any) -> Aval:
    """An aval with symbolic dims, of the type and device of ``like``."""
    key = (shape, like.dtype, like.device)
    found = _avals.get(key)
    if found is None:
        found = Aval()
        found.shape, found.dtype, found.device, found.nbytes = shape, like.dtype, like.device, 0
        found = _avals.setdefault(key, found)
    return found


class Symbolic(Entry):
    """An entry with symbolic sizes. ``jaxpr``: the operator's program over its symbols, which its shapes were inferred from."""

    __slots__ = ("jaxpr",)
    jaxpr: ClosedJaxpr


ENTRIES: dict[Any, Symbolic] = {}


def symbolic_entry(call: Call, inputs: tuple[Any, ...]) -> Symbolic:
    """As ``make_entry``, for inputs (and calls) with symbolic sizes."""
    key = (call, inputs)
    found = ENTRIES.get(key)
    if found is None:
        structs = [NUMBERS[a] if isinstance(a, type) else a.struct for a in inputs]
        call = in_halves(call, inputs) if call.kinds is None else call
        traced, shapes = aside(jax.make_jaxpr(lambda *arrays: call.apply(*arrays), return_shape=True), *structs)  # JAX keeps the frames below in circles when a size is a symbol: there are none of the program's
        alone = not isinstance(shapes, (tuple, list))
        where = common_device(inputs)
        outs = []
        for s, kind in types_of(call, (shapes,) if alone else shapes):
            like = Aval()
            like.dtype, like.device = kind, where
            outs.append(symbolic_aval(tuple(s.shape), like))
        found = ENTRIES[key] = Symbolic(call, inputs, tuple(outs), alone, where)
        found.jaxpr = traced
    return found
