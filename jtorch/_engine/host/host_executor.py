"""Running operators on the host with numpy alone: each operator's function is traced to a jaxpr, as everywhere, and ``host_rules.py`` has its primitives.

Two kinds of code need it. A forked process (a DataLoader's worker) must not touch XLA, whose threads do not survive a fork: in the child every compilation
and most executions hang. And a dataset's ``__getitem__`` makes many small values that form no recurring program: compiling them costs far more than numpy does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from jtorch import _device

from jtorch._engine.host import host_linalg, host_windows  # noqa: F401  (their rules)
from jtorch._engine.recording import trace
from jtorch._engine.planning.liveness import held_outputs
from jtorch._engine.recording.bundle import expanded
from jtorch._engine.recording.entry import Entry
from jtorch._engine.recording.forgetting import remembered
from jtorch._engine.host.host_code import HostFunction
from jtorch._engine.host.host_rules import RULES
from jtorch._engine.values.thread_state import state
from jtorch._engine.recording.needed import needed_nodes
from jtorch._engine.recording.trace import SCALAR, Trace

__all__ = ["NotOnHost", "execute_on_host", "function_on_host", "host_function", "jaxpr_of", "run_jaxpr", "section"]

_functions: dict[Entry, Callable[..., list[np.ndarray]]] = {}
remembered.append(_functions)


class NotOnHost(RuntimeError):
    """A primitive that numpy has no rule for."""


@contextlib.contextmanager
def section() -> Iterator[None]:
    """Inside, cpu operators are run by numpy, in a trace of their own: for code that makes many small values that are never the same program twice."""
    outer, before, aside = state.trace, state.host, None
    if outer.device is _device.CPU:
        aside = outer
        state.host = True
        state.trace = Trace(_device.CPU)
    else:
        aside = state.traces.pop(_device.CPU, None)
        state.host = True
    try:
        yield
        flush_host()
    finally:
        state.host = before
        current = state.trace
        if current.device is not _device.CPU:
            state.traces[current.device] = current
        state.traces.pop(_device.CPU, None)
        state.trace = aside or Trace(_device.CPU)


def flush_host() -> None:
    """Run what this thread has recorded for numpy."""
    tr = state.trace if state.trace.device is _device.CPU else state.traces.get(_device.CPU)
    if tr is not None and tr.host and tr.nodes:
        trace.take(tr)
        trace.executor(tr, "host")


def execute_on_host(tr: Any) -> None:
    """Compute the outputs of a trace that are still held. :class:`NotOnHost` before anything has changed if a primitive has no rule."""
    inputs, nodes, scalars = tr.inputs, tr.nodes, tr.scalars  # a handler may run it in the meantime: then it forgets them
    live, held = held_outputs(tr)
    arrays = [host_array(trace.force(v)) for v in inputs]
    nodes = expanded(nodes)
    needed = set(needed_nodes(nodes, live))
    made: list[Any] = []
    with np.errstate(all="ignore"):
        for k, (entry, *refs) in enumerate(nodes):
            if k not in needed:
                made.extend([None] * len(entry.outs))
                continue
            given = [made[p] if p >= 0 else arrays[-1 - p] if p > SCALAR else np.asarray(scalars[SCALAR - p]) for p in refs]
            made.extend(function_on_host(entry)(*given))
    results = [made[i] for i in live]
    # A part of another array would keep that alive, and values must not share memory with what a program may donate.
    trace.settle(tr, held, [a if a.base is None and a.flags.writeable and a.flags.c_contiguous else a.copy() for a in results])


def host_array(array: Any) -> np.ndarray:
    """An array as numpy's. RuntimeError for one on an accelerator in a forked process, which cannot reach it."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np.asarray(array)
    if state.host_only and next(iter(array.devices())).platform != "cpu":
        raise RuntimeError(
            "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start method"
        )
    return np.asarray(array)


def memory_of(v: Any) -> Any:
    """The memory of a cpu value that is there, as numpy sees it without a copy; what the value holds (a tracer, a device's array) otherwise."""
    array = trace.force(v)
    if array.__class__ is np.ndarray or v.aval.device is not _device.CPU or isinstance(array, jax.core.Tracer):
        return array
    return np.asarray(array)


def jaxpr_of(entry: Entry) -> ClosedJaxpr:
    """What the operator of an entry computes."""
    return jax.make_jaxpr(entry.call.apply)(*entry.structs())


def function_on_host(entry: Entry) -> Callable[..., list[np.ndarray]]:
    """The operator of an entry as a function of numpy arrays."""
    found = _functions.get(entry)
    if found is None:
        found = _functions[entry] = compiled(jaxpr_of(entry))
    return found


def host_function() -> HostFunction:
    """A function of numpy arrays, to be written."""
    return HostFunction(_rule_of)


def run_jaxpr(closed: ClosedJaxpr, arrays: Any) -> list[np.ndarray]:
    """Evaluate a closed jaxpr on numpy arrays."""
    return compiled(closed)(*arrays)


def compiled(closed: ClosedJaxpr) -> Callable[..., list[np.ndarray]]:
    """A closed jaxpr as a function of numpy arrays. :class:`NotOnHost` if a primitive has no rule."""
    made = host_function()
    given = [made.input() for _ in closed.jaxpr.invars]
    return made.function(given, made.run(closed, given))


def _rule_of(eqn: Any) -> Callable[[list[Any]], Any]:
    """One equation as a function of its inputs, which gives a sequence."""
    name, params = eqn.primitive.name, eqn.params
    if name in _CONTROL:
        made: Callable[[list[Any]], Any] = _CONTROL[name](**params)
        return made
    if name in ("empty", "empty2"):
        like = eqn.outvars[0].aval
        return lambda args: (np.zeros(like.shape, like.dtype),)
    fn = RULES.get(name)
    if fn is not None:
        if eqn.primitive.multiple_results:
            return lambda args: fn(*args, **params)
        return lambda args: (fn(*args, **params),)
    raise NotOnHost(
        f"the primitive {name!r} cannot be computed in a forked process, where XLA does not run. Do this in the main process, "
        "or start workers with multiprocessing_context='spawn'."
    )


def _while(*, cond_jaxpr: Any, body_jaxpr: Any, cond_nconsts: int, body_nconsts: int, **params: Any) -> Any:
    test, body = compiled(cond_jaxpr), compiled(body_jaxpr)

    def run(args: list[Any]) -> list[Any]:
        known, constants = args[:cond_nconsts], args[cond_nconsts : cond_nconsts + body_nconsts]
        values = args[cond_nconsts + body_nconsts :]
        while bool(test(*known, *values)[0]):
            values = body(*constants, *values)
        return values

    return run


def _cond(*, branches: Any, **params: Any) -> Any:
    functions = [compiled(branch) for branch in branches]
    return lambda args: functions[min(max(int(args[0]), 0), len(functions) - 1)](*args[1:])


def _scan(*, jaxpr: Any, length: int, reverse: bool, num_consts: int = -1, num_carry: int = -1, **params: Any) -> Any:
    if num_consts < 0:  # jax 0.11 says it by three trees: constants, carry, what is scanned
        num_consts, num_carry = (len(list(tree)) for tree in params["ft_in"].unpack()[:2])
    step, shapes = compiled(jaxpr), [v.aval for v in jaxpr.jaxpr.outvars[num_carry:]]

    def run(args: list[Any]) -> list[Any]:
        constants, carry, xs = args[:num_consts], args[num_consts : num_consts + num_carry], args[num_consts + num_carry :]
        stacks: list[list[Any]] = [[] for _ in shapes]
        for i in reversed(range(length)) if reverse else range(length):
            out = step(*constants, *carry, *(x[i] for x in xs))
            carry = out[:num_carry]
            for stack, y in zip(stacks, out[num_carry:], strict=True):
                stack.append(y)
        ys = [np.stack(s[::-1] if reverse else s) if s else np.zeros((0, *a.shape), a.dtype) for s, a in zip(stacks, shapes, strict=True)]
        return [*carry, *ys]

    return run


def _linear_solve(*, const_lengths: Any, jaxprs: Any, **params: Any) -> Any:
    solve, before = compiled(jaxprs.solve), const_lengths.matvec + const_lengths.vecmat
    n, every = const_lengths.solve, sum(const_lengths)
    return lambda args: solve(*args[before : before + n], *args[every:])


def _reduce(*, dimensions: Any, **params: Any) -> Any:
    """Any function of two elements, along some dims."""
    join = compiled(_closed(params))

    def run(args: list[Any]) -> list[Any]:
        xs, out = args[: len(args) // 2], args[len(args) // 2 :]
        kept = [d for d in range(np.ndim(xs[0])) if d not in dimensions]
        lined = [np.transpose(x, [*dimensions, *kept]).reshape((-1, *(np.shape(x)[d] for d in kept))) for x in xs]
        out = [np.broadcast_to(o, line.shape[1:]) for o, line in zip(out, lined, strict=True)]
        for row in zip(*lined, strict=True):
            out = join(*out, *row)
        return out

    return run


def _reduce_window(*, window_dimensions: Any, window_strides: Any, padding: Any, base_dilation: Any, window_dilation: Any, **params: Any) -> Any:
    join = compiled(_closed(params))

    def run(args: list[Any]) -> list[Any]:
        xs, start = args[: len(args) // 2], args[len(args) // 2 :]
        views = [
            host_windows.windows(host_windows.padded(x, padding, base_dilation, s), window_dimensions, window_strides, window_dilation)
            for x, s in zip(xs, start, strict=True)
        ]
        n = np.ndim(xs[0])
        out = [np.broadcast_to(s, v.shape[:n]) for s, v in zip(start, views, strict=True)]
        for offset in np.ndindex(*views[0].shape[n:]):
            out = join(*out, *[v[(..., *offset)] for v in views])
        return out

    return run


def _closed(params: Any) -> ClosedJaxpr:
    found = params["jaxpr"]
    return found if isinstance(found, ClosedJaxpr) else ClosedJaxpr(found, params.get("consts", ()))


def _platform(*, platforms: Any, **params: Any) -> Any:
    here = next(i for i, names in enumerate(platforms) if names is None or "cpu" in names)
    return lambda args: (np.int32(here),)


_CONTROL: dict[str, Callable[..., Any]] = {
    "while": _while, "cond": _cond, "scan": _scan, "custom_linear_solve": _linear_solve, "reduce": _reduce, "reduce_window": _reduce_window,
    "platform_index": _platform,
}  # fmt: skip
