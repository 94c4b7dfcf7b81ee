"""Functions as parts of a program: what a branch or a loop's body does is recorded once, over inputs that stand for any values, and becomes XLA's control flow.

A :class:`Body` is a trace that never runs. What it reads from outside is an input as the others are, whatever it is: pending, a JAX tracer, the lanes of a vmap. A :class:`Part`
is what of a body is wanted, as structure: equal parts are one call, so a loop that makes its functions anew compiles once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jtorch import _device
from jtorch._engine.recording.call import Call
from jtorch._engine.recording.trace import SCALAR, Trace, add_input
from jtorch._engine.values.symbols import Symbol
from jtorch._engine.values.thread_state import state
from jtorch._engine.values.values import Aval, Value

__all__ = ["Body", "Part", "branches", "loop", "placed", "reversed_loop", "steps"]


class Body:
    """What a function does to values. ``actual``: what the inputs made by :meth:`add` stand for, where it is used."""

    def __init__(self, where: _device.device) -> None:
        self.trace: Any = Trace(where)
        self.trace.symbolic = True
        self.actual: dict[Value, Any] = {}

    def add(self, a: Aval) -> Value:
        """A new input: nobody can look at it."""
        v = Value()
        v.aval, v.array, v.trace, v.pos = a, Symbol(), None, -1
        add_input(self.trace, v)
        return v

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Inside, what this thread does to tensors goes here. RuntimeError if it ends on another device."""
        before, state.trace, others, state.traces = state.trace, self.trace, state.traces, {}
        try:
            yield
            if state.traces or state.trace is not self.trace:
                raise RuntimeError("a branch or a loop's body computes on one device")
        finally:
            state.trace, state.traces = before, others

    def knows(self, v: Any) -> bool:
        """Whether a value was computed here, or is an input made by :meth:`add`."""
        return v.trace is self.trace or v.trace is None and v.array.__class__ is Symbol

    def place(self, v: Any) -> int:
        """Where a value is: an output of the nodes (>= 0), or an input (< 0)."""
        if v.trace is self.trace:
            return v.pos  # type: ignore[no-any-return]
        found = self.trace.input_pos.get(v)
        return add_input(self.trace, v) if found is None else found  # type: ignore[return-value]


class Part:
    """The nodes of a body that give what is wanted (values, or avals for zeros), numbered anew. ``values`` and ``numbers`` are what they read; once placed, ``ins`` says
    which argument each value is, and ``first`` which the first number is. ``which``: the numbers that the nodes had."""

    __slots__ = ("nodes", "outs", "values", "numbers", "ins", "first", "which", "__weakref__")

    def __init__(self, body: Body, wanted: Sequence[Any]) -> None:
        tr = body.trace
        places = [v if v.__class__ is Aval else body.place(v) for v in wanted]
        starts: list[int] = []
        count = 0
        for node in tr.nodes:
            starts.append(count)
            count += len(node[0].outs)
        needed = bytearray(count)
        for p in places:
            if p.__class__ is int and p >= 0:
                needed[p] = 1
        chosen: list[int] = []
        for k in range(len(tr.nodes) - 1, -1, -1):
            node = tr.nodes[k]
            if any(needed[starts[k] : starts[k] + len(node[0].outs)]):
                chosen.append(k)
                for p in node[1:]:
                    if p >= 0:
                        needed[p] = 1
        new: dict[int, int] = {}
        self.values: list[Value] = []
        self.numbers: list[Any] = []

        def renumbered(p: Any) -> Any:
            if p.__class__ is Aval:
                return p
            found = new.get(p)
            if found is None:
                if p > SCALAR:
                    found = new[p] = -1 - len(self.values)
                    self.values.append(tr.inputs[-1 - p])
                else:
                    found = new[p] = SCALAR - len(self.numbers)
                    self.numbers.append(tr.scalars[SCALAR - p])
            return found

        nodes = []
        count = 0
        for k in reversed(chosen):
            entry, *refs = tr.nodes[k]
            nodes.append((entry, *map(renumbered, refs)))
            for i in range(len(entry.outs)):
                new[starts[k] + i] = count
                count += 1
        self.nodes, self.outs = tuple(nodes), tuple(map(renumbered, places))
        self.ins: tuple[int, ...] = ()
        self.first = 0
        self.which = tuple(reversed(chosen))

    @property
    def key(self) -> Any:
        """All that it is: equal keys are equal parts."""
        return self.nodes, self.outs, self.ins, self.first, tuple(map(type, self.numbers))

    def alone(self) -> Part:
        """Without the values that were there when it was made."""
        copy = Part.__new__(Part)
        copy.nodes, copy.outs, copy.ins, copy.first, copy.values, copy.numbers, copy.which = self.nodes, self.outs, self.ins, self.first, [], [], self.which
        return copy

    def __call__(self, args: Sequence[Any]) -> list[Any]:
        vals: list[Any] = []
        ins, first = self.ins, self.first

        def at(p: int) -> Any:
            return vals[p] if p >= 0 else args[ins[-1 - p]] if p > SCALAR else args[first + SCALAR - p]

        for entry, *refs in self.nodes:
            out = entry.call.apply(*map(at, refs))
            if entry.out is not None:
                vals.append(out)
            else:
                vals.extend(out)
        return [jnp.zeros(p.shape, p.dtype.np) if p.__class__ is Aval else jnp.asarray(at(p)) for p in self.outs]


def placed(parts: Sequence[Part], bodies: Sequence[Body], moving: dict[int, int], start: int) -> list[Any]:
    """Say of parts which arguments they read: ``moving`` are those that change from turn to turn (by the value's id), the others come after ``start``. What these are."""
    given: list[Any] = []
    at: dict[int, int] = {}
    for part, body in zip(parts, bodies, strict=True):
        ins = []
        for v in part.values:
            k = moving.get(id(v))
            if k is None:
                actual = body.actual.get(v, v)
                k = at.get(id(actual))
                if k is None:
                    k = at[id(actual)] = start + len(given)
                    given.append(actual)
            ins.append(k)
        part.ins = tuple(ins)
    for part in parts:
        part.first = start + len(given)
        given += part.numbers
    return given


_calls: dict[Any, Call] = {}
_MOST = 2000


def _call(name: str, key: Any, apply: Callable[..., Any]) -> Call:
    found = _calls.get((name, key))
    if found is None:
        if len(_calls) >= _MOST:
            _calls.clear()
        found = _calls[name, key] = Call(None, None, apply, name, residuals="save")
    return found


def branches(parts: Sequence[Part]) -> Call:
    """``(pred, *args) -> results`` of the first part where ``pred`` (one element) holds, of the second elsewhere."""

    first, second = (p.alone() for p in parts)

    def apply(pred: Any, *args: Any) -> Any:
        return tuple(lax.cond(jnp.asarray(pred).reshape(()).astype(np.bool_), first, second, args))

    return _call("cond", tuple(p.key for p in parts), apply)


def steps(part: Part, carries: int, xs: int, reverse: bool) -> Call:
    """``(*carries, *xs, *rest) -> (*last carries, *stacked others)``: the part for each element along the first dim of the xs."""

    part = part.alone()

    def apply(*args: Any) -> Any:
        rest = args[carries + xs :]

        def step(c: Any, x: Any) -> Any:
            out = part((*c, *x, *rest))
            return tuple(out[:carries]), tuple(out[carries:])

        last, ys = lax.scan(step, tuple(args[:carries]), tuple(args[carries : carries + xs]), reverse=reverse)
        return (*last, *ys)

    return _call("scan", (part.key, carries, xs, reverse), apply)


def loop(test: Part, part: Part, carries: int) -> Call:
    """``(*carries, *rest) -> carries`` when the test no longer holds. JAX differentiates it backward too (:func:`reversed_loop`)."""

    test, part = test.alone(), part.alone()

    @jax.custom_vjp  # type: ignore[untyped-decorator]
    def run(c: Any, rest: Any) -> Any:
        return lax.while_loop(lambda c: test((*c, *rest))[0].reshape(()), lambda c: tuple(part((*c, *rest))), c)

    def pull(c: Any, rest: Any, g: Any) -> Any:
        return _floats(lambda *a: tuple(part(a)), c, rest, g)

    def backward(kept: Any, g: Any) -> Any:
        c, rest = kept
        sums = tuple(jnp.zeros_like(r) if _differs(r) else None for r in rest)
        gc, gr = _unwound(lambda c: test((*c, *rest))[0].reshape(()), lambda c: tuple(part((*c, *rest))), lambda c, g: pull(c, rest, g), c, tuple(x if _differs(y) else None for x, y in zip(g, c, strict=True)), sums)
        return gc, gr

    run.defvjp(lambda c, rest: (run(c, rest), (c, rest)), backward)

    def apply(*args: Any) -> Any:
        return tuple(run(tuple(map(jnp.asarray, args[:carries])), tuple(map(jnp.asarray, args[carries:]))))

    return _call("while_loop", (test.key, part.key, carries), apply)


def _differs(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, np.inexact)  # type: ignore[no-any-return]


def _floats(fn: Callable[..., Any], c: Any, rest: Any, g: Any) -> tuple[Any, Any]:
    """The gradients of ``fn(*c, *rest)`` for what has any: None elsewhere."""
    args = (*c, *rest)
    at = [i for i, a in enumerate(args) if _differs(a)]

    def some(*chosen: Any) -> Any:
        given = list(args)
        for i, a in zip(at, chosen, strict=True):
            given[i] = a
        return tuple(o for o in fn(*given) if _differs(o))

    _, back = jax.vjp(some, *[args[i] for i in at])
    found: list[Any] = [None] * len(args)
    for i, x in zip(at, back(tuple(x for x in g if x is not None)), strict=True):
        found[i] = x
    return tuple(found[: len(c)]), tuple(found[len(c) :])


def reversed_loop(test: Part, part: Part, joint: Part, carries: int, flows: int, frees: Sequence[Aval]) -> Call:
    """``(*carries, *gradients of the results, *rest) -> (*gradients of the carries, *of what is read from outside)``. ``joint`` gives both for one turn, from the turn's
    carries and gradients; ``flows``: how many carries have gradients."""
    test, part, joint = test.alone(), part.alone(), joint.alone()

    def apply(*args: Any) -> Any:
        c, g, rest = tuple(map(jnp.asarray, args[:carries])), tuple(args[carries : carries + flows]), args[carries + flows :]

        def pull(c: Any, g: Any) -> Any:
            out = joint((*c, *g, *rest))
            return tuple(out[:flows]), tuple(out[flows:])

        sums = tuple(jnp.zeros(a.shape, a.dtype.np) for a in frees)
        gc, gf = _unwound(lambda c: test((*c, *g, *rest))[0].reshape(()), lambda c: tuple(part((*c, *g, *rest))), pull, c, g, sums)
        return (*gc, *gf)

    return _call("while_loop_backward", (test.key, part.key, joint.key, carries, flows, tuple(frees)), apply)


_KEPT = 64  # carries of a loop that are kept on the way


def _unwound(test: Any, step: Any, pull: Any, c: Any, g: Any, sums: Any) -> tuple[Any, Any]:
    """The turns of a loop backward, though nobody knows how many there are when the program is compiled: the carries of every ``stride``-th turn are kept, the stride doubles when
    the room is full, and turns in between are run again from the one before. Up to ``_KEPT`` turns nothing is."""
    add = lambda a, b: jax.tree.map(jnp.add, a, b)
    room = jax.tree.map(lambda x: jnp.zeros((_KEPT, *x.shape), x.dtype), c)

    def onward(state: Any) -> Any:
        c, k, stride, kept = state
        full = (k % stride == 0) & (k // stride == _KEPT)
        kept = lax.cond(full, lambda b: jax.tree.map(lambda x: jnp.concatenate([x[::2], jnp.zeros_like(x[1::2])]), b), lambda b: b, kept)
        stride = jnp.where(full, stride * 2, stride)
        at = k // stride
        kept = lax.cond(k % stride == 0, lambda b: jax.tree.map(lambda b, x: lax.dynamic_update_index_in_dim(b, x, at, 0), b, c), lambda b: b, kept)
        return step(c), k + 1, stride, kept

    _, count, stride, kept = lax.while_loop(lambda s: test(s[0]), onward, (c, jnp.int64(0), jnp.int64(1), room))

    def back(state: Any) -> Any:
        k, g, sums = state
        at = k // stride
        c = jax.tree.map(lambda b: lax.dynamic_index_in_dim(b, at, 0, keepdims=False), kept)
        _, c = lax.while_loop(lambda s: s[0] < k, lambda s: (s[0] + 1, step(s[1])), (at * stride, c))
        g, more = pull(c, g)
        return k - 1, g, add(sums, more)  # type: ignore[no-untyped-call]

    _, g, sums = lax.while_loop(lambda s: s[0] >= 0, back, (count - 1, g, sums))
    return g, sums
