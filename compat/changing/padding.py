"""Programs for all sizes, evaluated by numpy: nothing is compiled, and the padding of each value holds whatever was drawn.

A family is found from the traces of three steps. Then each node of a fourth, of sizes and buckets that are drawn, is evaluated twice: by its exact shapes, and as a rule of ``jtorch/_engine/padded``
has it, on what such rules gave before, with garbage behind the end of each axis.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import torch

import jtorch
from jtorch import _config
from jtorch._engine.families import family
from jtorch._engine.host.host_executor import function_on_host, run_jaxpr
from jtorch._engine.padded import Padded, Room, single, value_at
from jtorch._engine.planning.liveness import held_outputs
from jtorch._engine.recording import guards, trace
from jtorch._engine.recording.bundle import expanded
from jtorch._engine.recording.trace import SCALAR, Trace
from jtorch._engine.values import log
from jtorch._engine.values.thread_state import state

from .programs import Program
from .running import arrays_of, differentiated, settled

__all__ = ["Unfit", "padded_against_exact"]


class Unfit(Exception):
    """There is no program for all sizes; the text says why."""


def _recorded(p: Program, arrays: Sequence[np.ndarray]) -> tuple[Any, Any, Any]:
    """The results of a step of jtorch's that are still to be computed, the trace they are in, and what the program keeps."""
    jtorch.manual_seed(0)
    module = None if p.state is None else p.state(jtorch)
    for q in () if module is None else module.parameters():
        q.detach().numpy()
    trace.flush("look")
    values = differentiated(jtorch, p, module, arrays)
    gc.collect()  # an exception that JAX raised on the way, and was caught, may hold values
    tr = state.trace
    state.trace = Trace(tr.device)
    return values, tr, module


def padded_against_exact(p: Program, samples: Sequence[dict[str, int]], sizes: dict[str, int], r: np.random.RandomState) -> list[str]:
    """What differs for ``sizes``, from exact shapes (operator by operator) or from torch. ``samples``: what the family is found from. :class:`Unfit` if there is none."""
    _config.changed()
    why: list[str] = []
    said, log.exact_shapes = log.exact_shapes, why.append
    member = None
    try:
        for each in (*samples, sizes):
            arrays = arrays_of(p, each, r)
            values, tr, module = _recorded(p, arrays)
            checks = guards.taken(tr) if tr.guards else ()
            live, _ = held_outputs(tr)
            member = family.join(tr, live, checks)
    finally:
        log.exact_shapes = said
    if member is None:
        raise Unfit("; ".join(why) or "no two traces are alike")
    wrong = _evaluated(member, tr, checks, r)
    if not wrong:
        torch.manual_seed(0)
        theirs = settled(torch, differentiated(torch, p, None if p.state is None else p.state(torch), arrays))
        ours = settled(jtorch, values)
        for i, (a, b) in enumerate(zip(theirs, ours, strict=True)):
            if a.shape != b.shape or not np.allclose(a, b, rtol=p.within, atol=p.within, equal_nan=True):
                wrong.append(f"result {i} is not torch's")
    del module
    return wrong


def _evaluated(member: Any, tr: Any, checks: Any, r: np.random.RandomState) -> list[str]:
    """Evaluate both ways, and leave the results of the padded one in the values of the trace."""
    found = member.family
    tr.nodes = expanded(tr.nodes)
    known = {f"n{i}": n for i, n in enumerate(member.sizes)}
    bounds = tuple([max(2, n + more + int(r.choice([0, 0, 1, 3, 8]))) for n, more in zip(member.sizes, found.rooms.reach, strict=True)])
    room = found.rooms.room(bounds)
    program = family._Program(found, bounds, checks)
    given = [np.asarray(trace.force(v)) for v in tr.inputs]
    wide = [_padded(a, found.inputs[i], room, known, r) if i in found.inputs else a for i, a in enumerate(given)]
    wide.append(np.array(member.sizes, np.int64))
    needed = {*found.needed, *range(len(found.nodes), len(program.nodes))}
    exact: list[Any] = []
    padded: list[Any] = []
    wrong: list[str] = []
    for k, node in enumerate(program.nodes):
        entry = node[0]
        if k not in needed:
            exact.extend([None] * len(entry.outs))
            padded.extend([None] * len(entry.outs))
            continue
        scalars = {q: np.asarray(tr.scalars[SCALAR - q]) for q in node[1:] if q <= SCALAR}
        inputs = [scalars[q] if q <= SCALAR else padded[q] if q >= 0 else wide[-1 - q] for q in node[1:]]
        with np.errstate(all="ignore"):
            outs = _outputs(entry, inputs)
        if k >= len(tr.nodes):  # a guard
            if int(np.asarray(outs[0])[1]) >= 0:
                wrong.append(f"a guard of {entry.rule} finds {np.asarray(outs[0])}")
            continue
        own, *refs = tr.nodes[k]
        with np.errstate(all="ignore"):
            want = function_on_host(own)(*[scalars[q] if q <= SCALAR else exact[q] if q >= 0 else given[-1 - q] for q in refs])
        for j, (a, b) in enumerate(zip(want, outs, strict=True)):
            cut = _valid(b, known, own.outs[j].shape) if isinstance(b, Padded) else np.asarray(b)
            if a.shape != cut.shape or a.dtype != cut.dtype or not np.allclose(cut, a, rtol=1e-4, atol=1e-4, equal_nan=True):
                wrong.append(f"{own.call.name}, result {j}: {cut.dtype}{cut.shape} for {a.dtype}{a.shape}, sizes {known}, rooms {bounds}")
        exact.extend(want)
        padded.extend([_soiled(b, known, r) if isinstance(b, Padded) else b for b in outs])
        if wrong:
            return wrong
    live, held = held_outputs(tr)
    shapes = [a.shape for node in tr.nodes for a in node[0].outs]
    trace.settle(tr, held, [np.array(_valid(padded[i], known, shapes[i])) if isinstance(padded[i], Padded) else np.array(padded[i]) for i in live])
    return wrong


def _outputs(entry: Any, inputs: list[Any]) -> list[Any]:
    closed, shape = jax.make_jaxpr(entry.call.apply, return_shape=True)(*inputs)
    flat = run_jaxpr(closed, [np.asarray(x) for x in jax.tree.leaves(inputs)])
    out = jax.tree.unflatten(jax.tree.structure(shape), flat)
    return [out] if entry.out is not None else list(out)


def _valid(p: Padded, known: dict[str, int], shape: Any) -> np.ndarray:
    return np.asarray(np.asarray(p.array)[tuple([slice(0, value_at(x, known)) for x in p.factors])].reshape(shape))


def _soiled(p: Padded, known: dict[str, int], r: np.random.RandomState) -> Padded:
    """The value with other garbage in its padding."""
    array = np.asarray(p.array)
    wide = _garbage(array.shape, array.dtype, r)
    cut = tuple([slice(0, value_at(x, known)) for x in p.factors])
    wide[cut] = array[cut]
    return Padded(wide, p.dims)


def _padded(a: np.ndarray, dims: Any, room: Room, known: dict[str, int], r: np.random.RandomState) -> Padded:
    wide = np.zeros([room.pad(d) for d in dims], a.dtype)
    wide[tuple([slice(0, n) for n in a.shape])] = a
    return _soiled(Padded(wide, single(dims)), known, r)


def _garbage(shape: Sequence[int], kind: Any, r: np.random.RandomState) -> np.ndarray:
    if kind == np.bool_:
        return np.asarray(r.rand(*shape) < 0.5)
    if np.issubdtype(kind, np.integer):
        ends = np.iinfo(kind)
        return np.asarray(r.choice(np.array([ends.min, ends.max, 0, 1, 3], kind), shape))
    with np.errstate(all="ignore"):
        return np.asarray(r.choice(np.array([np.nan, np.inf, -np.inf, 0.0, 1.0, 1e30, -1e30]), shape)).astype(kind)
