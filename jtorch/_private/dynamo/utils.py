"""``torch._dynamo.utils``: counters and small helpers."""

from __future__ import annotations

import collections
import functools
import logging
import time
import warnings
from typing import Any

from jtorch._private.machinery import refusing_function
from jtorch._public import torch

__all__ = ["counters", "disable_cache_limit", "warn_once", "is_compile_supported", "compile_times", "clone_input", "istype", "same", "timed"]

counters: collections.defaultdict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
compilation_time_metrics: dict[str, list[float]] = {}


@functools.cache
def warn_once(msg: str, stacklevel: int = 1) -> None:
    """A warning, once for each text."""
    warnings.warn(msg, stacklevel=stacklevel + 1)


def is_compile_supported(device_type: Any) -> bool:
    """Whether programs can be compiled for this device: for every one that is there."""
    try:
        torch.empty(0, device=device_type)
    except RuntimeError:
        return False
    return True


def compile_times(repr: str = "str", aggregate: bool = False) -> Any:
    """Times of compilation by phase. JTORCH_LOG=recompiles tells them one by one; none are kept."""
    return "" if repr == "str" else ([], [])


def istype(obj: Any, allowed_types: Any) -> bool:
    """Whether ``obj`` is of exactly this type, or one of these."""
    return type(obj) in allowed_types if isinstance(allowed_types, (tuple, list, set)) else type(obj) is allowed_types


def clone_input(x: Any, *, dtype: Any = None) -> Any:
    """A copy of ``x`` that requires grad as ``x`` does."""
    with torch.no_grad():
        y = x.detach().clone() if dtype is None else x.detach().to(dtype, copy=True)
    return y.requires_grad_(x.requires_grad) if x.is_leaf else y


def same(ref: Any, res: Any, fp64_ref: Any = None, cos_similarity: bool = False, tol: float = 1e-4, equal_nan: bool = False, **options: Any) -> bool:
    """Whether two trees of tensors are equal within ``tol``."""
    if isinstance(ref, (list, tuple)):
        return len(ref) == len(res) and all(same(a, b, tol=tol, equal_nan=equal_nan) for a, b in zip(ref, res))
    if isinstance(ref, dict):
        return ref.keys() == res.keys() and all(same(ref[k], res[k], tol=tol, equal_nan=equal_nan) for k in ref)
    if isinstance(ref, torch.Tensor):
        return isinstance(res, torch.Tensor) and ref.shape == res.shape and bool(torch.allclose(ref, res.to(ref.dtype), atol=tol, rtol=tol, equal_nan=equal_nan))
    return bool(ref == res)


def timed(model: Any, example_inputs: Any, times: int = 1) -> tuple[Any, float]:
    """The last of ``times`` calls' results, and the seconds that they took."""
    before, result = time.perf_counter(), None
    for _ in range(times):
        result = model(*example_inputs)
    torch.accelerator.synchronize() if torch.accelerator.is_available() else None
    return result, time.perf_counter() - before


log = logging.getLogger("torch._dynamo")


def disable_cache_limit() -> Any:
    """A context in which a function may be compiled for any number of signatures."""
    from . import config

    names = ("recompile_limit", "cache_size_limit", "accumulated_recompile_limit", "accumulated_cache_size_limit")
    return config.patch({name: 2**31 for name in names})  # type: ignore[attr-defined]


deepcopy_to_fake_tensor = refusing_function("deepcopy_to_fake_tensor", "torch._dynamo.utils", "torch.func.functional_call on meta tensors asks for shapes")
