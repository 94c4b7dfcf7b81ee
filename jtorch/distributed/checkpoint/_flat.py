"""Nested state dicts as flat ones, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jtorch._public import torch

__all__ = ["flattened", "put", "restored"]


def _whole(x: Any) -> bool:
    """Whether a list is kept as it is: there is no tensor in it."""
    for y in x.values() if isinstance(x, Mapping) else x:
        if isinstance(y, torch.Tensor) or isinstance(y, (Mapping, list)) and not _whole(y):
            return False
    return True


def flattened(state_dict: Any) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """(what there is by the names of its path, the paths). ValueError for two paths of one name."""
    flat: dict[str, Any] = {}
    paths: dict[str, tuple[Any, ...]] = {}

    def visit(path: tuple[Any, ...], x: Any) -> None:
        if isinstance(x, Mapping) and (x or not path):
            for k, v in x.items():
                visit((*path, str(k) if not isinstance(k, int) else k), v)
        elif isinstance(x, (list, tuple)) and not _whole(x):
            for i, v in enumerate(x):
                visit((*path, i), v)
        else:
            name = ".".join(map(str, path))
            if name in flat:
                raise ValueError(f"duplicated flatten key {name}")
            flat[name], paths[name] = x, path

    visit((), state_dict)
    return flat, paths


def put(into: Any, path: tuple[Any, ...], x: Any) -> None:
    """Replace what lies at a path."""
    for k, following in zip(path[:-1], path[1:], strict=True):
        if isinstance(into, list):
            while len(into) <= k:
                into.append(None)
            if into[k] is None:
                into[k] = [] if isinstance(following, int) else {}
            into = into[k]
        else:
            if k not in into and isinstance(k, str) and k.isdigit() and int(k) in into:
                k = int(k)
            into = into.setdefault(k, [] if isinstance(following, int) else {})
    last = path[-1]
    if isinstance(into, list):
        while len(into) <= last:
            into.append(None)
    into[last] = x


def restored(flat: dict[str, Any], paths: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    """The nested one."""
    out: dict[str, Any] = {}
    for name, x in flat.items():
        put(out, paths[name], x)
    return out
