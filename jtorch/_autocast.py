"""The state of automatic mixed precision: what is on in this thread, and which operators it casts. Plain Python; everything may ask it.

``policy("torch.mm", "cpu")`` is what dispatch asks for: None, or one of the words below with the type to cast to. The lists come from
``jtorch/amp/lists.py``, which registers them here.

============ =================================================================================================
``lower``    floating inputs (but float64) become the autocast type
``float32``  floating inputs of lower precision become float32
``dtype``    as ``float32``, by giving the operator ``dtype=float32`` where the call does not say another
``promote``  floating inputs become the widest type among them
``product``  as ``lower`` where an einsum sums over something
``banned``   raise: the operator is unsafe in lower precision
============ =================================================================================================
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["LISTS", "DEFAULT_DTYPES", "KINDS", "local", "register", "policy", "is_enabled", "set_enabled", "get_dtype", "set_dtype"]

# Device types that torch knows autocast for.
KINDS = ("cpu", "cuda", "mps", "xpu", "ipu", "hpu", "xla", "mtia", "maia", "privateuseone", "tpu")

LISTS: dict[str, dict[str, str]] = {}  # device type -> operator's bare name ("mm", "linalg.vecdot", "softmax") -> policy
DEFAULT_DTYPES: dict[str, Any] = {}


class _Local(threading.local):
    """``active``: some device type is enabled. Dispatch looks at this first, so it is kept up to date by :func:`set_enabled`."""

    def __init__(self) -> None:
        self.active = False
        self.enabled: dict[str, bool] = {}
        self.dtypes: dict[str, Any] = {}
        self.cache_enabled = True
        self.nesting = 0


local = _Local()


def register(kind: str, names: str, what: str, dtype: Any = None) -> None:
    """Give operators (words, by bare name) a policy on a device type; ``dtype`` is the type's default."""
    table = LISTS.setdefault(kind, {})
    for name in names.split():
        table[name] = what
    if dtype is not None:
        DEFAULT_DTYPES[kind] = dtype


def policy(name: str, kind: str) -> str | None:
    """What autocast does to this operator on this device type now; ``name`` is bare: ``"mm"``, ``"linalg.vecdot"``."""
    if not local.enabled.get(kind, False):
        return None
    return LISTS.get(kind, {}).get(name)


def is_enabled(kind: str) -> bool:
    """Whether autocast is on for a device type in this thread."""
    return local.enabled.get(kind, False)


def set_enabled(kind: str, on: bool) -> None:
    """Switch autocast for a device type in this thread."""
    local.enabled[kind] = bool(on)
    local.active = any(local.enabled.values())
    for hook in _on_switch:
        hook(local.active)


def get_dtype(kind: str) -> Any:
    """The type that lower-precision operators run in."""
    found = local.dtypes.get(kind)
    return DEFAULT_DTYPES[kind] if found is None else found


def set_dtype(kind: str, dtype: Any) -> None:
    """Set the type that lower-precision operators run in."""
    local.dtypes[kind] = dtype


_on_switch: list[Any] = []


def on_switch(hook: Any) -> None:
    """Call ``hook(active)`` in the thread that switches autocast (dispatch keeps a bit of its own)."""
    _on_switch.append(hook)


@contextmanager
def as_in(state: Any) -> Iterator[None]:
    """Within the block the state is as :func:`snapshot` found it."""
    now = snapshot()
    _set(state)
    try:
        yield
    finally:
        _set(now)


def snapshot() -> Any:
    """The state of this thread, to come back to."""
    return dict(local.enabled), dict(local.dtypes), local.cache_enabled


def _set(state: Any) -> None:
    enabled, dtypes, local.cache_enabled = state
    local.enabled, local.dtypes = dict(enabled), dict(dtypes)
    local.active = any(enabled.values())
    for hook in _on_switch:
        hook(local.active)
