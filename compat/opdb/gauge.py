"""What of a decomposition is unique: bases are fixed up to signs and phases, so their products are compared instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _svd(lib: Any, value: Any, x: Any) -> Any:
    u, s, v = value
    k = s.shape[-1]
    return s, lib.linalg.norm(u[..., :k], dim=-2), (u[..., :k] * s.unsqueeze(-2).to(u.dtype)).shape, tuple(u.shape), tuple(v.shape)


def _eigenvalues(lib: Any, value: Any, x: Any) -> Any:
    return value[0], tuple(value[1].shape)


def _values(lib: Any, value: Any, x: Any) -> Any:
    return value[0], tuple(value[1].shape)  # which of several equal values was taken is free


def _eig(lib: Any, value: Any, x: Any) -> Any:
    w = value if not isinstance(value, tuple) else value[0]
    power = [w.sum(-1), (w * w).sum(-1)]  # the order of eigenvalues is LAPACK's business
    return (*power, tuple(w.shape))


GAUGES: dict[str, Callable[[Any, Any, Any], Any]] = {"svd": _svd, "eigh": _eigenvalues, "eig": _eig, "values": _values}
