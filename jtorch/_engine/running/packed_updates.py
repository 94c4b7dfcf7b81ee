"""Many small arrays of an optimizer's state kept as one.

Calling a program costs a microsecond for each array that goes in or comes out: more than the arithmetic, where the arrays are small. What an optimizer
remembers of its small parameters is nobody else's business from one step to the next, so it is kept end to end in one flat array per kind of
state (Adam's two means, say). ``_core/state/packed_state.py`` says when, and gives tensors their own again when somebody looks.

Only updates that treat each element on its own can be done so. Whether one does, and which part of it makes the new state and which the new
parameter, is read from the operator's own jaxpr: the state is updated whole, the parameters piece by piece from the new state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Var, jaxpr_as_fun

from jtorch import _device
from jtorch._engine.recording import kept
from jtorch._engine.recording.call import Call
from jtorch._engine.recording.identity import of_aval, of_call
from jtorch._engine.recording.program import native
from jtorch._engine.running import retention
from jtorch._engine.recording.entry import NUMBERS
from jtorch._engine.values.values import Aval, Value, jax_device
from jtorch._engine.values.unbroken import aside, elsewhere

__all__ = ["LEAST", "PackedUpdate", "packed_update", "pack", "packable", "SMALL", "treats_elements_alone"]

LEAST = 8  # parameters that are worth it

SMALL = 32768  # bytes of an array that is worth packing: beyond it, laying gradients end to end costs more than the calls (measured on 2 cores)


def packable(a: Aval) -> bool:
    """Whether arrays like this one are packed, by an optimizer's steps as by compiled ones."""
    return 0 < a.nbytes <= SMALL and a.dtype.is_floating_point and a.device.type != "meta"


_ELEMENTWISE = frozenset((
    "abs", "add", "and", "convert_element_type", "copy", "div", "eq", "exp", "ge", "gt", "integer_pow", "is_finite", "le", "log", "lt", "max", "min",
    "mul", "ne", "neg", "not", "one_minus_square", "or", "pow", "rsqrt", "select_n", "sign", "sqrt", "square", "sub",
))  # fmt: skip


def pack(avals: tuple[Aval, ...], values: list[Value]) -> Any:
    """The values' arrays end to end, if they are arrays like these on one device; else None."""
    if tuple([v.aval for v in values]) != avals or not all(isinstance(v.array, jax.Array) and len(v.array.sharding.device_set) == 1 for v in values):
        return None
    arrays = [v.array for v in values]
    return kept.function("end to end", _packing, [arrays])(arrays)


def _end_to_end(arrays: list[Any]) -> Any:
    return jnp.concatenate([x.reshape(-1) for x in arrays])


_packing = jax.jit(_end_to_end, keep_unused=True)


def _like(a: Any) -> Any:
    """An array of its own of the same kind."""
    return jax.device_put(np.zeros(a.shape, a.dtype), a.sharding)


class PackedUpdate(retention.Kept):
    """An update of parameters of these avals as one program: ``fn(numbers by class, params, gradients, flats, offsets) -> params, flats``. Gradients are a list, or end to end already."""

    __slots__ = ("name", "compiled", "fn", "warm", "starts", "offsets", "slots", "identity")

    def __init__(self, name: str, avals: tuple[Aval, ...], classes: tuple[type, ...], halves: _Halves) -> None:
        super().__init__()
        self.name, self.compiled = name, False
        self.slots = tuple((kind, [i for i, c in enumerate(classes) if c is kind]) for kind in dict.fromkeys(classes))
        self.fn = _program(avals, classes, self.slots, halves)
        # What has run, by whether somebody else holds a parameter's array, and whether gradients come in a list: JAX does the first run in Python, where it may be interrupted.
        self.warm: dict[Any, Any] = {}
        self.identity = f"packed {halves.name}{';'.join(map(of_aval, avals))}{[c.__name__ for c in classes]}" if halves.name is not None else None
        self.starts = [0, *np.cumsum([math.prod(a.shape) for a in avals]).tolist()]
        # As inputs, they leave the many small kernels of the program equal, so that XLA compiles one of each size.
        self.offsets = jax.device_put([np.int32(start) for start in self.starts[:-1]], jax_device(avals[0].device))


    def program(self, given: tuple[Any, ...], keeping: bool) -> Any:
        """The program as a C function, which has run before, on copies if need be."""
        key = keeping, given[2].__class__ is list
        found = self.warm.get(key)
        if found is None:
            found = self.warm[key] = elsewhere(self._ready, given, keeping)
        return found

    def _ready(self, given: tuple[Any, ...], keeping: bool) -> Any:
        fn = jax.jit(self.fn, donate_argnums=(3,) if keeping else (1, 3), keep_unused=True)
        numbers, params, grads, flats, offsets = given
        run = kept.function(self.identity and f"{self.identity}{keeping}", fn, given)
        run(numbers, [_like(p) for p in params], grads, [_like(f) for f in flats], offsets)
        return native(run) or run


_updates: dict[Any, PackedUpdate | None] = {}
retention.kept_in.append((_updates, lambda key: ()))


def packed_update(call: Call, avals: tuple[Aval, ...], kinds: int, classes: tuple[type, ...]) -> PackedUpdate | None:
    """The update ``call`` of a parameter, its gradient and ``kinds`` states, for parameters of these avals, with scalars of these classes. None if the
    operator cannot be taken apart."""
    key = (call, avals, kinds, classes)
    found = _updates.get(key, _updates)
    if found is _updates:
        halves = _Halves(call, kinds, classes, avals[0].dtype.np) if set(classes) <= set(NUMBERS) else None
        found = PackedUpdate(call.name, avals, classes, halves) if halves is not None and halves.found else None
        _updates[key] = found
    return found  # type: ignore[return-value]


class _Halves:
    """An operator taken apart: the new state from gradient and old state, and the new parameter from those and the new state."""

    def __init__(self, call: Call, kinds: int, classes: tuple[type, ...], dtype: Any) -> None:
        self.call, self.kinds, self.classes, self.dtype = call, kinds, classes, dtype
        self.made: dict[int, tuple[Any, Any] | None] = {}
        self.name = kept.name(lambda: f"{of_call(call)}{kinds}{[c.__name__ for c in classes]}{dtype}")
        key, known = (None, None) if self.name is None else kept.fact("halves", self.name, _device.CPU)
        self.from_params = False  # whether the state needs the parameter too (weight decay in the gradient)
        if known is None:
            known = self.of(2) is not None, self.from_params
            kept.keep_fact(key, known)
        self.found, self.from_params = known  # type: ignore[var-annotated]

    def of(self, size: int) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
        """``(state(param, grad, *old, *numbers) -> new ..., param(param, grad, *new, *numbers))`` on flat arrays of this size."""
        found: Any = self.made.get(size, self.made)
        if found is self.made:
            found = self.made[size] = self._of(size)
        return found  # type: ignore[no-any-return]

    def _of(self, size: int) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
        array = jax.ShapeDtypeStruct((size,), self.dtype)
        numbers = [NUMBERS[c] for c in self.classes]
        closed = jax.make_jaxpr(self.call.apply)(*[array] * (2 + self.kinds), *numbers)
        jaxpr = closed.jaxpr
        outs, ins = jaxpr.outvars, jaxpr.invars
        new = outs[1:]
        alike = len(new) == self.kinds and all(o.aval.shape == (size,) and o.aval.dtype == self.dtype for o in outs)
        made = {o for e in jaxpr.eqns for o in e.outvars}
        if not alike or not _is_elementwise(jaxpr, (size,)) or not all(isinstance(v, Var) and v in made for v in new) or len(set(new)) < len(new):
            return None
        state = _Slice(closed, ins, new)
        param = _Slice(closed, [*ins[:2], *new, *ins[2 + self.kinds :]], outs[:1])
        if param.reads.intersection(ins[2 : 2 + self.kinds]):  # the old state would have to be kept for it
            return None
        self.from_params = ins[0] in state.reads
        return state, param


class _Slice:
    """The equations of a jaxpr that make ``outs`` from ``ins`` (inputs, or values made on the way)."""

    def __init__(self, closed: ClosedJaxpr, ins: list[Any], outs: list[Any]) -> None:
        given, wanted = set(ins), set(outs)
        kept = []
        for e in reversed(closed.jaxpr.eqns):
            if any(o in wanted and o not in given for o in e.outvars):
                kept.append(e)
                wanted.update(v for v in e.invars if isinstance(v, Var))
        self.eqns, self.ins, self.outs, self.reads = kept[::-1], ins, outs, wanted
        self.constants = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))

    def __call__(self, *arrays: Any) -> list[Any]:
        known = {**self.constants, **dict(zip(self.ins, arrays, strict=True))}
        for e in self.eqns:
            given = [known[v] if isinstance(v, Var) else v.val for v in e.invars]
            inner = e.params.get("jaxpr")
            out = e.primitive.bind(*given, **e.params) if inner is None else jaxpr_as_fun(inner)(*given)
            known.update(zip(e.outvars, out if inner is not None or e.primitive.multiple_results else [out], strict=True))
        return [known[v] for v in self.outs]


def _is_elementwise(jaxpr: Any, shape: tuple[int, ...]) -> bool:
    """Whether each element of each array depends on the elements at its own place alone."""
    for e in jaxpr.eqns:
        if any(o.aval.shape not in ((), shape) for o in e.outvars):
            return False
        inner = e.params.get("jaxpr")
        if inner is not None:
            if not _is_elementwise(inner.jaxpr, shape):
                return False
        elif e.primitive.name == "broadcast_in_dim":
            if e.invars[0].aval.shape not in ((), e.outvars[0].aval.shape):
                return False
        elif e.primitive.name not in _ELEMENTWISE:
            return False
    return True


def treats_elements_alone(call: Call, avals: tuple[Aval, ...], arrays: int, classes: tuple[type, ...]) -> bool:
    """Whether ``call``, of so many arrays like each of ``avals`` and scalars of these classes, does with each element what it does with them end to end."""
    if not set(classes) <= set(NUMBERS):
        return False
    numbers = [NUMBERS[c] for c in classes]
    done: set[tuple[str, ...]] = set()
    for shape in {(sum(math.prod(a.shape) for a in avals),), *[a.shape for a in avals]}:
        jaxpr = aside(jax.make_jaxpr(lambda *given: call.apply(*given)), *[jax.ShapeDtypeStruct(shape, avals[0].dtype.np)] * arrays, *numbers).jaxpr
        if not _is_elementwise(jaxpr, shape):
            return False
        done.add(tuple([e.primitive.name for e in jaxpr.eqns if e.primitive.name != "broadcast_in_dim"]))
    return len(done) == 1


def _program(avals: tuple[Aval, ...], classes: tuple[type, ...], slots: Any, halves: _Halves) -> Callable[..., Any]:
    @jax.jit  # type: ignore[untyped-decorator]  # traced and lowered once for each size
    def one(p: Any, start: Any, flats: list[Any], numbers: list[Any]) -> Any:
        _, param = halves.of(p.size)  # type: ignore[misc]
        return param(p, *[lax.dynamic_slice(f, (start,), p.shape) for f in flats], *numbers)[0]

    def update(packed: list[Any], params: list[Any], grads: Any, flats: list[Any], offsets: list[Any]) -> tuple[list[Any], list[Any]]:
        numbers: list[Any] = [None] * len(classes)
        for (_, at), values in zip(slots, packed, strict=True):
            for j, i in enumerate(at):
                numbers[i] = lax.index_in_dim(values, j, keepdims=False)
        flat_grad = _end_to_end(grads) if isinstance(grads, list) else grads
        state, _ = halves.of(flat_grad.size)  # type: ignore[misc]
        flats = state(_end_to_end(params) if halves.from_params else flat_grad, flat_grad, *flats, *numbers)
        out = [one(p.reshape(-1), start, [flat_grad, *flats], numbers).reshape(a.shape) for p, a, start in zip(params, avals, offsets, strict=True)]
        return out, list(flats)

    return update
