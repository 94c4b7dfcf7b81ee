"""Small helpers about sizes that are given as one number or one per dimension."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

__all__ = ["consume_prefix_in_state_dict_if_present"]


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if isinstance(x, Iterable) else tuple(repeat(x, n))

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t: tuple[int, ...], n: int) -> tuple[int, ...]:
    """``(a, b)`` with n=2 is ``(b, b, a, a)``: the order in which ``F.pad`` wants paddings."""
    return tuple(x for x in reversed(t) for _ in range(n))


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Strip ``prefix`` from the keys of ``state_dict`` (and of its metadata) that have it, in place and in order."""
    for key in list(state_dict.keys()):
        value = state_dict.pop(key)
        state_dict[key[len(prefix) :] if key.startswith(prefix) else key] = value
    metadata = getattr(state_dict, "_metadata", None)
    if metadata is None:
        return
    for key in list(metadata.keys()):
        # Modules are named without the dot at the end; the wrapper itself has the whole prefix as its name.
        if not key:
            continue
        value = metadata.pop(key)
        metadata["" if key == prefix.rstrip(".") and key + "." == prefix else key.replace(prefix, "", 1) if key.startswith(prefix) else key] = value
