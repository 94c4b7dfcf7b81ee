"""An entry: a call on inputs of known avals. It knows the outputs' avals, how to run alone, and how to go backward."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from jtorch import _config, _device, _dtypes
from jtorch._errors import PACKAGE, check_addressable

from jtorch._engine.recording.call import NO_ENTRY, Call
from jtorch._engine.recording import kept
from jtorch._engine.recording.halves import in_halves, types_of
from jtorch._engine.recording.identity import of_call, of_inputs, of_node
from jtorch._engine.recording.templates import at_once, called
from jtorch._engine.values.placed import PlacedAval
from jtorch._engine.values.sparse_values import SparseMet, SparseValue
from jtorch._engine.values.unbroken import aside, elsewhere
from jtorch._engine.values.values import Aval, aval, jax_device
from jtorch._ops._lib import broadcast_shape

made = 0  # entries since they were last forgotten (forgetting.py)

__all__ = ["Entry", "NUMBERS", "common_device", "entry_of", "make_entry"]

NUMBERS = {
    bool: jax.ShapeDtypeStruct((), np.bool_), int: jax.ShapeDtypeStruct((), np.int64),
    float: jax.ShapeDtypeStruct((), np.float64), complex: jax.ShapeDtypeStruct((), np.complex128),
}  # fmt: skip


class Entry:
    """``inputs`` are avals, or Python's number classes for runtime scalars. ``outs`` are avals; ``out`` is the only one, or None."""

    __slots__ = ("call", "inputs", "outs", "out", "device", "plans", "node_class", "moves", "_run", "template", "_weight", "differentiable", "simple_on", "guarded_on", "layouts", "guard", "first", "second", "third", "general", "blind", "met")

    def __init__(self, call: Call, inputs: tuple[Any, ...], outs: tuple[Aval, ...], single: bool, device: _device.device) -> None:
        self.call, self.inputs, self.outs, self.device = call, inputs, outs, device
        self.out: Aval | None = outs[0] if single else None
        self.plans: dict[Any, Any] = {}
        self.node_class: Any = None
        self.differentiable = tuple(o.dtype.category >= 2 and call.grad_name != "none" for o in outs)
        self._run: Any = None
        self._weight: int | None = None
        # Positions of 0-dim cpu inputs that join tensors of another device.
        self.moves = tuple(i for i, a in enumerate(inputs) if isinstance(a, Aval) and a.device is not device)
        self.guard: Any = call.guard  # what the values must satisfy; guards.py replaces it by what it has made of it
        # Where dispatch takes its short way: one output that lies as its inputs do, nothing to move. Else None. What has a guard has a short way of its own.
        simple = device if single and not self.moves and call.elementwise != "columns" and not callable(call.elementwise) else None
        self.simple_on: _device.device | None = simple if self.guard is None else None
        self.guarded_on: _device.device | None = None if self.guard is None else simple
        self.layouts: dict[Any, Any] = {}  # strides of the result by those of the inputs
        self.first, self.second, self.third = (*inputs, None, None, None)[:3]  # the inputs once more, for dispatch to compare
        self.general: Any = None  # (the general entry that this is a case of, its sizes): see families/general.py
        self.met = 0  # programs of traces met for the first time that it is part of (executor.py)
        self.blind: int | None = None  # what entries alike but for sizes have in common

    def structs(self) -> list[jax.ShapeDtypeStruct]:
        return [NUMBERS[a] if isinstance(a, type) else a.struct for a in self.inputs]

    def fills(self) -> bool:
        """Whether every element becomes one number (``fill_``, ``zero_``)."""
        op = self.call.op
        return op is not None and self.outs[0].dtype.np.kind in op.fills

    def weight(self) -> int:
        """How many operations of XLA it is, roughly."""
        found = self._weight
        if found is None:
            found = self._weight = _operations(aside(jax.make_jaxpr(_named(self.call.apply, self.call.name)), *self.structs()).jaxpr)
        return found

    def run(self, *arrays: Any) -> Any:
        """Run this operator alone, through an executable of its own."""
        fn = self._run
        if fn is None:
            fn = self._run = elsewhere(self._compiled, arrays)
        return fn(*arrays)

    def _compiled(self, arrays: Any) -> Any:
        apply, alone = self.call.apply, self.out is not None

        def results(*arrays: Any) -> Any:  # programs that are alike share an executable, so all give their results in a list
            out = apply(*arrays)
            return [out] if alone else list(out)

        def jitted() -> Any:
            # Made where it is wanted: as long as a function of JAX's lives, JAX keeps what it traced and lowered for it, a megabyte beside a program of kilobytes.
            return jax.jit(_named(results, self.call.name), compiler_options=_config.COMPILER_OPTIONS, keep_unused=True)

        here = jax_device(self.device)
        if not all(isinstance(a, (np.ndarray, np.generic)) or a.devices() == {here} for a in arrays):  # sharded
            fn = jitted()
            return lambda *arrays: fn(*arrays)[0] if alone else fn(*arrays)
        where = SingleDeviceSharding(here)
        given = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where) for a in arrays]
        what, _ = kept.program(kept.name(lambda: f"alone {of_node(self)}"), given, lambda: jitted().trace(*given), (), at_once, _config.COMPILER_OPTIONS)
        self.template = what.template
        run = called(what)
        others: list[Any] = []

        def checked(*arrays: Any) -> Any:
            try:
                out = run(*arrays)
            except (ValueError, TypeError):  # the inputs are somewhere else this time, or a number is wider than the first was
                if not others:
                    others.append(jitted())
                out = others[0](*arrays)
            return out[0] if alone else out

        return checked


def _operations(jaxpr: Any) -> int:
    count = 0
    for eqn in jaxpr.eqns:
        inner = [v for v in eqn.params.values() if hasattr(v, "eqns") or hasattr(v, "jaxpr")]
        count += sum(_operations(getattr(v, "jaxpr", v)) for v in inner) or 1
    return count


def _named(fn: Any, name: str) -> Any:
    def run(*arrays: Any) -> Any:
        return fn(*arrays)

    run.__name__ = run.__qualname__ = name
    return run


def _no_general(call: Call, inputs: tuple[Any, ...]) -> Entry | None:
    return None


general_entry: Callable[[Call, tuple[Any, ...]], Entry | None] = _no_general  # an entry for new sizes of what is known in general; set by families/general.py


def _no_placing(call: Call, key: Any) -> Entry:
    raise NotImplementedError


placed_entry: Callable[[Call, Any], Entry] = _no_placing  # an entry for values on a grid of devices; set by placing/entries.py


def make_entry(call: Call, key: Any) -> Entry:
    """Infer the outputs of ``call`` on ``key`` (an aval, or a tuple of avals and number classes) and remember the answer.

    What the operator's function raises about shapes and types comes out here, at the line that recorded it.
    """
    inputs = key if isinstance(key, tuple) else (key,)
    global made
    entries = call.entries
    if call.kinds is None:
        call = in_halves(call, inputs)
    if PlacedAval in map(type, inputs):
        made += 1
        return placed_entry(call, key)
    known = general_entry(call, inputs)
    if known is not None:
        made += 1
        return entries.setdefault(key, known)  # type: ignore[no-any-return]
    if SparseValue in inputs:
        raise SparseMet(f"{call.name} is not recorded for sparse values")
    where = common_device(inputs)
    name = kept.name(lambda: f"{of_call(call)}{of_inputs(inputs)}")
    here, known = (None, None) if name is None else kept.fact("entry", name, where)
    if known is not None:
        single, *shown = known
        made += 1
        outs = tuple([aval(tuple(shape), _dtypes.ALL[kind], where) for shape, kind in shown])
        return entries.setdefault(key, Entry(call, inputs, outs, single, where))  # type: ignore[no-any-return]
    try:
        # A function of its own each time: JAX remembers what it has traced, and a setting may have changed since.
        shapes = aside(jax.eval_shape, _named(call.apply, call.name), *[NUMBERS[a] if isinstance(a, type) else a.struct for a in inputs])
    except Exception as error:
        if notes := getattr(error, "__notes__", None):
            notes[:] = [n for n in notes if "JAX has removed its internal frames" not in n]  # the last line is to be the error
        if isinstance(error, (TypeError, ValueError, ZeroDivisionError, AssertionError)) and _raised_by_jax(error):
            if "incompatible shapes for broadcasting" in str(error).lower():
                broadcast_shape(*[a.shape for a in inputs if isinstance(a, Aval)])  # raises in torch's words
            raise RuntimeError(f"{call.name}: {error}") from error
        raise
    single = not isinstance(shapes, (tuple, list))
    outs = tuple([aval(tuple(s.shape), kind, where) for s, kind in types_of(call, (shapes,) if single else shapes)])
    for a in outs:
        check_addressable(a.shape, a.dtype.itemsize)
    kept.keep_fact(here, [single, *[(o.shape, o.dtype.name) for o in outs]])
    entry = Entry(call, inputs, outs, single, where)
    made += 1
    return entries.setdefault(key, entry)  # type: ignore[no-any-return]  # made by now in another thread, perhaps


def entry_of(call: Call, key: Any) -> Entry:
    found = call.entries.get(key)
    return found if found is not None else make_entry(call, key)


def common_device(inputs: tuple[Any, ...]) -> _device.device:
    where: _device.device | None = None
    for a in inputs:
        if isinstance(a, Aval) and (a.shape or a.device is not _device.CPU):
            if where is None or (where is _device.CPU and not _dimensioned_on(inputs, where)):
                where = a.device
            elif a.device is not where:
                if "meta" in (where.type, a.device.type):
                    raise RuntimeError(f"Tensor on device {a.device} is not on the expected device {where}!")
                raise RuntimeError(
                    f"Expected all tensors to be on the same device, but found at least two devices, {where} and {a.device}!"
                )
    return where or _device.CPU


def _dimensioned_on(inputs: tuple[Any, ...], where: _device.device) -> bool:
    return any(isinstance(a, Aval) and a.shape and a.device is where for a in inputs)


def _raised_by_jax(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return not frames or not os.path.abspath(frames[-1].filename).startswith(PACKAGE)


def _forget() -> None:
    """A setting that functions read while they are traced has changed: nothing known about any call holds any more."""
    from jtorch._registry import OPS

    for overloads in OPS.values():
        for record in overloads:
            for call in record.calls.values():
                call.entries.clear()
                call.last = NO_ENTRY


_config.on_change(_forget)
