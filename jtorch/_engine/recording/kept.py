"""What was found out about calls and programs, kept for the next process: the executables, and what was inferred of entries and of plans to go backward.

A program is found under its name (``identity.py``): then it is neither traced nor lowered. What stands there is the key of an executable, which is found under the text that XLA would
compile: programs that come to the same share one, and it outlives an edit of the operators' source. Both are of this machine, these versions and these settings.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from threading import local
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import jax
import numpy as np
from jax import monitoring
from jax.sharding import SingleDeviceSharding
from jax.experimental.serialize_executable import deserialize_and_load, serialize

from jtorch import _device
from jtorch._engine.keeping import store, surroundings
from jtorch._engine.padded import Padded, parsed
from jtorch._engine.recording.identity import Nameless, key_for
from jtorch._engine.recording.templates import Compiling, at_once, called, compiled, packed
from jtorch._engine.values.values import jax_device

__all__ = ["fact", "function", "keep_fact", "name", "program"]


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


# ---- executables -----------------------------------------------------------------------------------------------------------------


class _Executable(NamedTuple):
    run: Any  # jax.stages.Compiled
    key: bytes | None


_loaded: WeakValueDictionary[bytes, Any] = WeakValueDictionary()
_thread = local()


def forget_loaded() -> None:
    """The devices that executables were loaded for are no more."""
    _loaded.clear()


def _heard(event: str, **_: Any) -> None:
    if event == "/jax/compilation_cache/cache_hits":
        _thread.from_cache = True


monitoring.register_event_listener(_heard)


def _compile(lowered: Any, device: Any, trees: tuple[Any, Any]) -> _Executable:
    """The executable of a lowered program: a kept one, or a new one, which is kept. ``trees``: how its inputs and outputs are arranged."""
    text = lowered.as_text() if store.folder() is not None else None
    key = None if text is None else store.key_of("executable", text, surroundings.settings(), surroundings.machine(device), str(trees[0]))
    found = _load(key, device, trees) if key is not None else None
    if found is not None:
        return _Executable(found, key)
    _thread.from_cache = False
    run = lowered.compile()
    if text is None or key is None or _thread.from_cache:  # what comes out of JAX's own cache is not whole when it is written again (comparators of sorts are missing)
        return _Executable(run, None)
    _loaded[key] = run
    kind = _LAPACK if "lapack" in text else _OTHER
    store.put(key, lambda: kind + serialize(run)[0])
    return _Executable(run, key)


_LAPACK, _OTHER = b"L", b"-"  # what an executable begins with


@functools.cache
def _start_lapack(device: Any) -> None:
    """Let JAX find LAPACK's functions, as it does whenever it lowers one that calls them: an executable that comes from elsewhere would call nothing, and end the process."""
    jax.jit(jax.lax.linalg.lu).lower(jax.ShapeDtypeStruct((1, 1), "float32", sharding=SingleDeviceSharding(device)))


def _load(key: bytes, device: Any, trees: tuple[Any, Any]) -> Any:
    found = _loaded.get(key)
    if found is not None and found.out_tree == trees[1] and found.in_tree == trees[0]:
        return found
    payload = store.get(key)
    if payload is None:
        return None
    try:
        if payload[:1] == _LAPACK:
            _start_lapack(device)
        found = _loaded[key] = deserialize_and_load(payload[1:], *trees, backend=device.client, execution_devices=[device])
    except Exception:  # noqa: BLE001 - it is compiled once more, and kept in its place
        return None
    return found


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
    what = compiled(made, donated, given, lambda lowered: submit(lambda: _compile(lowered, where, _trees(lowered))), options)
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
    trees = (jax.tree.structure(((*more, *given), {})), jax.tree.structure(info))
    fresh = key not in _loaded
    if fresh and store.get(key) is None:
        return None
    count = len(more)

    def load() -> _Executable:
        run = _load(key, where, trees)
        if run is not None:
            return _Executable(run, key)
        alone = traced().lower().compile()
        return _Executable(alone if not count else lambda *args: alone(*args[count:]), None)

    return Compiling(None, submit(load), literals, fresh), info


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
