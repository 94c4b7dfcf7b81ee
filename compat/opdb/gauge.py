"""What of a result is unique: bases are fixed up to signs and phases, indices of equal values up to their order.

A gauge takes the library, a result and the call's (input, args, kwargs), and gives what has to be equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _svd(lib: Any, value: Any, call: Any) -> Any:
    u, s, v = value
    k = s.shape[-1]
    return s, lib.linalg.norm(u[..., :k], dim=-2), tuple(u.shape), tuple(v.shape)


def _eigenvalues(lib: Any, value: Any, call: Any) -> Any:
    return value[0], tuple(value[1].shape)


def _phases(lib: Any, value: Any, call: Any) -> Any:
    return value[0], value[1].abs()


def _eig(lib: Any, value: Any, call: Any) -> Any:
    w = value if not isinstance(value, tuple) else value[0]
    power = [w.sum(-1), (w * w).sum(-1)]  # the order of eigenvalues is LAPACK's business
    return (*power, tuple(w.shape))


def _ties(lib: Any, value: Any, call: Any) -> Any:
    values, indices = value
    x, args, kwargs = call
    if type(value).__name__ == "mode":  # takes no number before the dim
        args = (None, *args)
    dim = kwargs.get("dim", args[1] if len(args) > 1 else -1)
    keep = kwargs.get("keepdim", args[2] if len(args) > 2 and isinstance(args[2], bool) else False) or values.dim() == x.dim()
    at = indices if keep or x.dim() == 0 else indices.unsqueeze(dim)
    found = lib.gather(x, dim, at) if x.dim() else x
    return values, indices.dtype, tuple(indices.shape), found if keep or x.dim() == 0 else found.squeeze(dim)


GAUGES: dict[str, Callable[[Any, Any, Any], Any]] = {"svd": _svd, "eigh": _eigenvalues, "eig": _eig, "phases": _phases, "ties": _ties}
