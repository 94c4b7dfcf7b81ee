"""What a composite's parameters ask: its annotations (``Tensor``, ``int``, ``float``, ``bool``, with or without ``| None``) hold as torch's parser of arguments holds them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jtorch._device import device
from jtorch._dtypes import OF_CLASS, dtype
from jtorch._types import layout, memory_format

from jtorch._core.dispatch.signature_binding import is_number_tensor, number_of, type_name
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of

__all__ = ["Parameters", "agree_with_out", "checked_format", "checked_number", "number_argument", "tensor_argument"]

_KINDS: dict[str, type] = {"Tensor": Tensor, "int": int, "float": float, "bool": bool}
_ASKED = {name + rest: (kind, bool(rest)) for name, kind in _KINDS.items() for rest in ("", " | None")}
_SAID_BY_NAME: dict[str, type] = {"memory_format": memory_format, "layout": layout, "dtype": dtype}  # parameters of one kind wherever they stand; None is what is not said
_SAID = frozenset(_SAID_BY_NAME.values())
_OR_NONE = {"requires_grad", "pin_memory"}  # bools that torch takes None for
_FOREIGN: tuple[type, ...] = (str, bytes, list, tuple, dict, set, complex, bool, float, int, np.generic, np.ndarray, type(None), Tensor, dtype, device, memory_format, layout)  # what else there is (symbols, tracers) knows itself what it stands for


def number_argument(name: str, argument: str, where: str, v: Any) -> Any:
    """A number of any kind. TypeError in torch's words for what is none, a tensor with dims or one that requires grad among it."""
    found = v.item() if is_number_tensor(v) else number_of(v)
    if found is None:
        raise TypeError(f"{name}(): argument '{argument}'{where} must be Number, not {type_name(v)}")
    return found


def tensor_argument(name: str, argument: str, position: int, v: Any) -> Tensor:
    """``v``, a tensor. TypeError in torch's words for what is none."""
    if not isinstance(v, Tensor):
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {type_name(v)}")
    return v


_CPP_LAYOUTS = {"sparse_coo": "Sparse", "sparse_csr": "SparseCsr", "sparse_csc": "SparseCsc", "sparse_bsr": "SparseBsr", "sparse_bsc": "SparseBsc"}


def agree_with_out(out: Any, kind: Any = None, where: Any = None, lies: Any = None) -> None:
    """RuntimeError in torch's words where a factory's ``out=`` is not of the type, layout and device that it is asked for beside it."""
    if not isinstance(out, Tensor):
        return
    a = aval_of(out)
    if kind is not None and kind is not a.dtype:
        raise RuntimeError(f"dtype {kind.legacy} does not match dtype of out parameter ({a.dtype.legacy})")
    own = _CPP_LAYOUTS.get(out.layout.name, "Strided")  # type: ignore[attr-defined]
    if lies is not None and (laid := _CPP_LAYOUTS.get(lies.name, "Strided")) != own:
        raise RuntimeError(f"layout {laid} does not match layout of out parameter ({own})")
    if where is not None and (asked := device(where).type) != a.device.type:
        raise RuntimeError(f"device type {asked} does not match device type of out parameter ({a.device.type})")


class Parameters:
    """The tensors and numbers among a function's parameters. ``name``: what torch calls the function; ``method``: whether it is called on its first argument."""

    __slots__ = ("name", "method", "at", "plain", "by_name")

    def __init__(self, fn: Callable[..., Any], name: str, method: bool) -> None:
        self.name, self.method = name, method
        self.at: dict[str, int] = {}
        self.by_name: dict[str, tuple[type, bool]] = {}
        for i, p in enumerate(inspect.signature(fn).parameters.values()):
            asked = (_SAID_BY_NAME[p.name], True) if p.name in _SAID_BY_NAME else _ASKED.get(p.annotation)
            if asked is not None and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                self.by_name[p.name] = asked[0], asked[1] or p.default is None or (p.name in _OR_NONE and name != "tensor")  # which is no function of torch's parser
                if p.kind is p.POSITIONAL_OR_KEYWORD:
                    self.at[p.name] = i
        self.plain = tuple([(i, n, *self.by_name[n]) for n, i in self.at.items()])

    @staticmethod
    def of(fn: Callable[..., Any], name: str, method: bool) -> Parameters | None:
        """None if the function has no such parameters: most have none, and every import of jtorch comes by here."""
        said = fn.__annotations__
        return None if _ASKED.keys().isdisjoint(said.values()) and _SAID_BY_NAME.keys().isdisjoint(said) else Parameters(fn, name, method)

    def given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, tensors as they are and numbers as Python's of the kind that is asked for. TypeError in torch's words."""
        n = len(args)
        for i, name, kind, optional in self.plain:
            if i >= n:
                break
            v = args[i]
            if v.__class__ is not kind and not (v is None and optional):
                args = (*args[:i], self._number(name, kind, v, f" (position {i if self.method else i + 1})"), *args[i + 1 :])
        for k, v in kwargs.items():
            wanted = self.by_name.get(k)
            if wanted is not None and v.__class__ is not wanted[0] and not (v is None and wanted[1]):
                kwargs = {**kwargs, k: self._number(k, wanted[0], v, "")}
        return args, kwargs

    def _number(self, name: str, kind: type, v: Any, where: str) -> Any:
        return checked_number(self.name, name, kind, v, where)


def checked_number(function: str, name: str, kind: type, v: Any, where: str) -> Any:
    """A number of one kind, as Python's, or a tensor, a type, a layout. TypeError in torch's words for what is none; what only stands for a number, as sizes that are symbols do, passes."""
    x: Any = v
    if kind in _SAID:
        if isinstance(v, kind) or (kind is dtype and isinstance(v, type) and v in OF_CLASS):
            return v
        raise TypeError(f"{function}(): argument '{name}'{where} must be torch.{kind.__name__}, not {type_name(v)}")
    if isinstance(v, (Tensor, jax.Array)) if kind is Tensor else not isinstance(v, _FOREIGN):
        return v
    if kind is int:
        if isinstance(v, (int, np.integer)) and not isinstance(v, bool):
            return int(v)
        if is_number_tensor(x) and aval_of(x).dtype.category == 1:
            return x.item()
    elif kind is float:
        if isinstance(v, (int, float, np.integer, np.floating)):
            return float(v)
        if is_number_tensor(x) and not aval_of(x).dtype.is_complex:
            return float(x.item())
    elif kind is bool and isinstance(v, (bool, np.bool_)):
        return bool(v)
    raise TypeError(f"{function}(): argument '{name}'{where} must be {kind.__name__}, not {type_name(v)}")


def checked_format(function: str, v: Any) -> Any:
    """A ``memory_format``, or None. TypeError in torch's words for anything else."""
    return v if v is None else checked_number(function, "memory_format", memory_format, v, "")
