"""What was found out about calls and programs, kept for the next process: the executables, and what was inferred of entries and of plans to go backward.

A program is found under its name (``identity.py``): then it is neither traced nor lowered. What stands there is the key of an executable, which is found under the text that XLA would
compile: programs that come to the same share one, and it outlives an edit of the operators' source. Both are of this machine, these versions and these settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from jtorch import _device
from jtorch._engine.keeping import store
from jtorch._engine.padded import Padded, arrays_of, parsed
from jtorch._engine.recording.executables import Executable, compile_lowered, is_loaded, load
from jtorch._engine.recording.identity import Nameless, key_for
from jtorch._engine.recording.templates import Compiling, at_once, called, compiled, packed
from jtorch._engine.values.values import jax_device

__all__ = ["Traced", "fact", "function", "keep_fact", "name", "program"]


def name(of: Callable[..., str], *args: Any) -> str | None:
    """What ``of(*args)`` returns; None if it has no name."""
    try:
        return of(*args)
    except Nameless:
        return None


def fact(kind: str, text: str, device: _device.device) -> Any:
    """(key to keep it under, what is known); None where there is none."""
    key = None if device.type == "meta" else key_for(kind, text, jax_device(device))
    if key is None:
        return None, None
    data = store.get(key)
    return key, None if data is None else json.loads(data)


def keep_fact(key: bytes | None, what: Any) -> None:
    """Keep what was found out. It must be made of what JSON has."""
    if key is not None:
        data = json.dumps(what, separators=(",", ":")).encode()
        store.put(key, lambda: data)


class Traced(NamedTuple):
    """A traced program whose results are described otherwise than JAX does (``jax.stages.Traced``). ``donated``: the inputs that they take the place of."""

    made: Any
    out_info: Any
    donated: tuple[int, ...]

    @property
    def jaxpr(self) -> Any:
        return self.made.jaxpr

    def lower(self) -> Any:
        return self.made.lower()


def program(
    text: str | None, given: list[Any], traced: Callable[[], Any], donated: tuple[int, ...], submit: Callable[[Any], Any], options: Any
) -> tuple[Compiling, Any]:
    """The executable for the program of this name (None: it has none) on inputs like ``given``, and the shapes of what it gives. ``traced()`` is asked where it was not met before, by another process or this one."""
    where = _device_of(given)
    key = None
    shapes = None if text is None else _written(given)
    if shapes is not None:
        key = key_for("program", f"{text}|{donated}|{shapes}|{options}", where)
        found = None if key is None else store.get(key)
        if found is not None:
            known = _known(found, where, given, traced, submit)
            if known is not None:
                return known
    made = traced()
    what = compiled(made, made.donated if isinstance(made, Traced) else donated, arrays_of(given), lambda lowered: submit(lambda: compile_lowered(lowered, where, _trees(lowered))), options)
    if key is not None:
        out = _written(made.out_info)
        if out is not None:
            store.put(key, lambda: _record(what, out))
    return what, made.out_info


def function(text: str | None, fn: Any, given: Sequence[Any]) -> Any:
    """A jitted function (that keeps its unused inputs) compiled for these arrays, under a name that says all about it. Where they are not on one device: the function itself."""
    leaves = [a for a in jax.tree.leaves(given) if isinstance(a, jax.Array)]
    devices = {d for a in leaves for d in a.devices()}
    if text is None or len(devices) != 1:
        return fn
    here = SingleDeviceSharding(next(iter(devices)))
    shapes = [jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here), x) for x in given]
    return called(program(text, shapes, lambda: fn.trace(*shapes), (), at_once, None)[0])


def _device_of(given: list[Any]) -> Any:
    """Where a program runs that takes these."""
    for g in jax.tree.leaves(given):
        at = getattr(g, "sharding", None)
        if at is not None:
            return next(iter(at.device_set))
    chosen = jax.config.jax_default_device
    return chosen if hasattr(chosen, "client") else jax.local_devices(backend=chosen)[0]


def _trees(lowered: Any) -> tuple[Any, Any]:
    return lowered.in_tree, lowered.out_tree


def _record(what: Compiling, out: Any) -> bytes | None:
    made = what.executable.result()
    if made.key is None:
        return None
    literals = None if what.literals is None else [(x.dtype.name, x.tobytes().hex()) for x in what.literals]
    return json.dumps((made.key.hex(), literals, out), separators=(",", ":")).encode()


def _known(found: bytes, where: Any, given: list[Any], traced: Callable[[], Any], submit: Callable[[Any], Any]) -> tuple[Compiling, Any] | None:
    try:
        name, numbers, out = json.loads(found)
        key = bytes.fromhex(name)
        literals = None if numbers is None else tuple([np.frombuffer(bytes.fromhex(b), jax.numpy.dtype(kind)).reshape(()) for kind, b in numbers])
        info = _read(out)
    except Exception:  # noqa: BLE001 - not what this version writes
        return None
    more = [] if literals is None else [jax.ShapeDtypeStruct(n.shape, n.dtype) for n in packed(literals)]
    trees = (jax.tree.structure(((*more, *arrays_of(given)), {})), jax.tree.structure(arrays_of(info)))
    fresh = not is_loaded(key)
    if fresh and store.get(key) is None:
        return None
    count = len(more)

    def loaded() -> Executable:
        run = load(key, where, trees)
        if run is not None:
            return Executable(run, key)
        alone = traced().lower().compile()
        return Executable(alone if not count else lambda *args: alone(*args[count:]), None)

    return Compiling(None, submit(loaded), literals, fresh), info


def _written(info: Any) -> Any:
    """Shapes as what JSON has; None for what is not made of lists."""
    if info.__class__ in (list, tuple):
        inner = [_written(x) for x in info]
        return None if None in inner else [info.__class__.__name__, *inner]
    if info.__class__ is Padded:
        return ["padded", _written(info.array), [[d if isinstance(d, int) else str(d) for d in factors] for factors in info.dims]]
    return ["array", list(info.shape), info.dtype.name] if hasattr(info, "shape") and info.dtype != jax.dtypes.float0 else None


def _read(out: Any) -> Any:
    kind, *rest = out
    if kind == "array":
        return jax.ShapeDtypeStruct(tuple(rest[0]), jax.numpy.dtype(rest[1]))
    if kind == "padded":
        return Padded(_read(rest[0]), tuple([tuple([d if isinstance(d, int) else parsed(d) for d in factors]) for factors in rest[1]]))
    inner = [_read(x) for x in rest]
    return tuple(inner) if kind == "tuple" else inner
