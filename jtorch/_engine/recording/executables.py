"""XLA is called here. An executable is kept under the text that XLA would compile, for this machine, these versions and these settings: programs that come to the same share one."""

from __future__ import annotations

import functools
from threading import local
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import jax
from jax import monitoring
from jax.experimental.serialize_executable import deserialize_and_load, serialize
from jax.sharding import SingleDeviceSharding

from jtorch._engine.keeping import store, surroundings

__all__ = ["Executable", "compile_lowered", "forget_loaded", "is_loaded", "load"]


class Executable(NamedTuple):
    """What runs, and where it is kept (None: nowhere)."""

    run: Any  # jax.stages.Compiled
    key: bytes | None


_loaded: WeakValueDictionary[bytes, Any] = WeakValueDictionary()
_thread = local()


def is_loaded(key: bytes) -> bool:
    """Whether this process has the executable."""
    return key in _loaded


def forget_loaded() -> None:
    """The devices that executables were loaded for are no more."""
    _loaded.clear()


def _heard(event: str, **_: Any) -> None:
    if event == "/jax/compilation_cache/cache_hits":
        _thread.from_cache = True


monitoring.register_event_listener(_heard)


def compile_lowered(lowered: Any, device: Any, trees: tuple[Any, Any]) -> Executable:
    """The executable of a lowered program: a kept one, or a new one, which is kept. ``trees``: how its inputs and outputs are arranged."""
    text = lowered.as_text() if store.folder() is not None else None
    key = None if text is None else store.key_of("executable", text, surroundings.settings(), surroundings.machine(device), str(trees[0]))
    found = load(key, device, trees) if key is not None else None
    if found is not None:
        return Executable(found, key)
    _thread.from_cache = False
    run = lowered.compile()
    if text is None or key is None or _thread.from_cache:  # what comes out of JAX's own cache is not whole when it is written again (comparators of sorts are missing)
        return Executable(run, None)
    _loaded[key] = run
    kind = _LAPACK if "lapack" in text else _OTHER
    store.put(key, lambda: kind + serialize(run)[0])
    return Executable(run, key)


_LAPACK, _OTHER = b"L", b"-"  # what an executable begins with


@functools.cache
def _start_lapack(device: Any) -> None:
    """Let JAX find LAPACK's functions, as it does whenever it lowers one that calls them: an executable that comes from elsewhere would call nothing, and end the process."""
    jax.jit(jax.lax.linalg.lu).lower(jax.ShapeDtypeStruct((1, 1), "float32", sharding=SingleDeviceSharding(device)))


def load(key: bytes, device: Any, trees: tuple[Any, Any]) -> Any:
    """The executable that is kept under the key; None if there is none, or none that can be read."""
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
