"""``torch.compile``'s ``mode`` and ``options``: what torch's own compiler takes is taken, and changes nothing; the rest is refused as there."""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

__all__ = ["check_mode", "check_options", "known_options"]

_MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
_KINDS: dict[str, type] = {kind.__name__: kind for kind in (bool, int, float, str, tuple, list, type(None))}


@functools.cache
def known_options() -> dict[str, type | None]:
    """The names of the compiler's settings in torch 2.13, with the class of those whose values are checked."""
    words = importlib.resources.files("jtorch._compile").joinpath("inductor_options.txt").read_text().split()
    return {name: _KINDS.get(kind) for name, _, kind in (word.partition(":") for word in words)}


def check_mode(mode: Any) -> None:
    """RuntimeError for a mode that torch's compiler does not have."""
    if mode and mode not in _MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")


def check_options(options: Any) -> None:
    """RuntimeError for a setting that torch's compiler does not have, or a value of another class."""
    if not options:
        return
    known = known_options()
    for key, value in options.items():
        name = key.replace("-", "_")
        if name not in known:
            raise RuntimeError(f"Unexpected optimization option {key}, known options are {list(known)}")
        kind = known[name]
        if kind is not None and not isinstance(value, kind):
            raise RuntimeError(f"Unexpected type of attr {key}, got {type(value).__name__} should be {kind.__name__}")
