"""What autocast does to a call: called by dispatch for operators, and around the composite functions that torch lists as one operator."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from jtorch import _autocast, _namespace
from jtorch._core.graph import grad_modes
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._engine.values.thread_state import AUTOCAST, state
from jtorch._namespace import torch
from jtorch._registry import OPS

__all__ = ["install"]

_BANNED = (
    "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast.\n"
    "Many models use a sigmoid layer right before the binary cross entropy layer.\n"
    "In this case, combine the two layers using torch.nn.functional.binary_cross_entropy_with_logits\n"
    "or torch.nn.BCEWithLogitsLoss.  binary_cross_entropy_with_logits and BCEWithLogits are\n"
    "safe to autocast."
)
_SPACES = ("torch", "Tensor", "nn.functional", "_nn", "special", "internal")


def _bare(public: str) -> str:
    space, _, name = public.rpartition(".")
    return name if space in _SPACES else public


@functools.cache
def _names() -> dict[int, str]:
    """Bare name by operator."""
    return {id(record): _bare(public) for public, records in reversed(OPS.items()) for record in records}


def _eligible(t: Any) -> bool:
    return isinstance(t, Tensor) and t.dtype.is_floating_point and t.dtype is not torch.float64  # type: ignore[attr-defined]


def _kind_of(tensors: list[Any]) -> str | None:
    """The device type whose autocast applies: that of the first eligible tensor for which it is on."""
    for t in tensors:
        if _eligible(t) and _autocast.is_enabled(t.device.type):
            return t.device.type
    return None


def _target(what: str, kind: str, tensors: list[Any]) -> Any:
    """The type that eligible tensors become."""
    if what == "lower":
        return _autocast.get_dtype(kind)
    if what == "banned":
        raise RuntimeError(_BANNED)
    if what == "promote":
        dtypes = {t.dtype for t in tensors if _eligible(t) and t.device.type == kind}
        if len(dtypes) < 2:
            return None
        return torch.float32 if torch.float32 in dtypes else functools.reduce(torch.promote_types, dtypes)
    return torch.float32


def _cast(x: Any, kind: str, dtype: Any) -> Any:
    if isinstance(x, Tensor):
        return x.to(dtype) if _eligible(x) and x.dtype is not dtype and x.device.type == kind else x  # type: ignore[attr-defined]
    if isinstance(x, (list, tuple)) and any(isinstance(i, Tensor) for i in x):
        return type(x)(_cast(i, kind, dtype) for i in x)
    return x


def _before_operator(call: Any, args: Any) -> Any:
    """Dispatch's hook: the operator's tensors and numbers, cast."""
    name = None if call.op is None else _names().get(id(call.op))
    if name is None:
        return args
    kind = _kind_of(args)
    what = None if kind is None else _autocast.LISTS.get(kind, {}).get(name)
    if what is None or kind is None or (what == "dtype" and _says_dtype(call)):
        return args
    if what == "product":
        what = _of_product(name, call, args)
        if what is None:
            return args
    dtype = _target(what, kind, args)
    return args if dtype is None else [_cast(a, kind, dtype) for a in args]


def _says_dtype(call: Any) -> bool:
    """Whether the call has ``dtype=`` given."""
    return any(p.name == "dtype" and d[-1] is not None for p, d in zip(call.op.fn_params, call.key, strict=True))


def _of_product(name: str, call: Any, args: Any) -> str | None:
    """What becomes of a call that torch makes of matrix products, as it does of most, but not of all calls of these operators."""
    if name == "einsum":
        return "lower" if _sums(call) else "promote"
    if name == "inner":
        return "lower" if min(a.ndim for a in args) and max(a.ndim for a in args) > 1 else None
    return None if name == "matrix_power" and abs(call.key[1][-1]) < 2 else "lower"


def _sums(call: Any) -> bool:
    """Whether an einsum sums over something, which torch does by matrix products."""
    left, arrow, right = call.key[0][-1].replace(" ", "").partition("->")
    letters = left.replace(",", "").replace(".", "")
    return bool(set(letters) - set(right)) if arrow else len(set(letters)) < len(letters)


def _around(name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    """A composite that torch lists as one operator: its tensors are cast, and autocast is off inside."""
    local = _autocast.local

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not local.active or not state.mode & AUTOCAST:
            return fn(*args, **kwargs)
        flat = [t for a in (*args, *kwargs.values()) for t in (a if isinstance(a, (list, tuple)) else (a,))]
        kind = _kind_of(flat)
        what = None if kind is None else _autocast.LISTS.get(kind, {}).get(name)
        if what is None or kind is None:
            return fn(*args, **kwargs)
        if not (what == "dtype" and kwargs.get("dtype") is not None):
            dtype = _target(what, kind, flat)
            if dtype is not None:
                args = tuple(_cast(a, kind, dtype) for a in args)
                kwargs = {k: _cast(a, kind, dtype) for k, a in kwargs.items()}
        state.mode &= ~AUTOCAST
        try:
            return fn(*args, **kwargs)
        finally:
            if local.active:
                state.mode |= AUTOCAST

    call._autocast_name = name  # type: ignore[attr-defined]
    if hasattr(fn, "jtorch_public"):
        fn.jtorch_public = call
    return call


def _switch(active: bool) -> None:
    state.mode = state.mode | AUTOCAST if active else state.mode & ~AUTOCAST


def install() -> None:
    """Connect to dispatch, and wrap the listed functions that are no operators."""
    grad_modes.autocast_hook = _before_operator
    _autocast.on_switch(_switch)
    listed = {name for table in _autocast.LISTS.values() for name in table}
    operators = {_bare(public) for public in OPS}
    spaces: list[tuple[str, Any]] = [("", torch), ("", _namespace.F), ("", Tensor), ("", _namespace.C_nn)]
    spaces += [("linalg.", _namespace.linalg), ("fft.", _namespace.fft)]
    copies = [vars(m) for m in map(sys.modules.get, ("jtorch", "jtorch.nn.functional", "jtorch.linalg", "jtorch.fft")) if m is not None]
    wrapped: dict[int, Any] = {}
    for name in listed - operators:
        for prefix, space in spaces:
            short = name[len(prefix) :] if name.startswith(prefix) else ""
            if "." in short or not short:
                continue
            fn = vars(space).get(short)
            if not callable(fn) or isinstance(fn, type) or hasattr(fn, "_autocast_name"):
                continue
            new = wrapped.get(id(fn))
            if new is None:
                new = wrapped[id(fn)] = _around(name, fn)
            setattr(space, short, new)
            for names in copies:
                if names.get(short) is fn:
                    names[short] = new
