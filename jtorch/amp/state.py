"""``torch.is_autocast_enabled`` and its family."""

from __future__ import annotations

import warnings
from typing import Any

from jtorch import _autocast
from jtorch.amp.autocast_mode import _checked

__all__ = [
    "autocast_decrement_nesting", "autocast_increment_nesting", "clear_autocast_cache", "get_autocast_dtype", "is_autocast_cache_enabled",
    "is_autocast_enabled", "set_autocast_cache_enabled", "set_autocast_dtype", "set_autocast_enabled",
]  # fmt: skip


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for a device type in this thread."""
    return _autocast.is_enabled(_checked(device_type))


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Switch autocast: ``(device_type, enabled)``, or ``(enabled)`` for cuda."""
    if enabled is None:
        device_type, enabled = "cuda", device_type
    _autocast.set_enabled(_checked(device_type), bool(enabled))


def get_autocast_dtype(device_type: str) -> Any:
    """The type that lower-precision operators run in."""
    if _checked(device_type) not in _autocast.KINDS:
        raise RuntimeError("unsupported scalarType")
    return _autocast.get_dtype(device_type)


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set the type that lower-precision operators run in."""
    _autocast.set_dtype(_checked(device_type), dtype)


def is_autocast_cache_enabled() -> bool:
    """The flag that torch keeps for its cache of cast weights (here equal casts in one trace are one anyway)."""
    return _autocast.local.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Set that flag."""
    _autocast.local.cache_enabled = bool(enabled)


def autocast_increment_nesting() -> int:
    """One more block around; the new depth."""
    _autocast.local.nesting += 1
    return _autocast.local.nesting


def autocast_decrement_nesting() -> int:
    """One block less; the new depth."""
    _autocast.local.nesting -= 1
    return _autocast.local.nesting


def clear_autocast_cache() -> None:
    """Nothing is cached outside of the trace."""


def _old(name: str, new: Any, kind: str, argument: str = "") -> Any:
    """A function that torch keeps for one device type under an older name."""
    instead = f"torch.{new.__name__}('{kind}'{', ' + argument if argument else ''})"

    def function(*args: Any) -> Any:
        warnings.warn(f"torch.{name}({argument}) is deprecated. Please use {instead} instead.", DeprecationWarning, stacklevel=2)
        return new(kind, *args)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"``{instead}`` by its older name."
    return function


OLD: dict[str, Any] = {}
for _short, _kind in (("cpu", "cpu"), ("gpu", "cuda"), ("ipu", "ipu"), ("xla", "xla")):
    for _name, _new, _argument in (
        (f"is_autocast_{_short}_enabled", is_autocast_enabled, ""),
        (f"set_autocast_{_short}_enabled", set_autocast_enabled, "enabled"),
        (f"get_autocast_{_short}_dtype", get_autocast_dtype, ""),
        (f"set_autocast_{_short}_dtype", set_autocast_dtype, "dtype"),
    ):
        if _short != "gpu" or "dtype" in _name:
            OLD[_name] = _old(_name, _new, _kind, _argument)
