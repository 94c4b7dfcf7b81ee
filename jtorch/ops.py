"""``torch.ops``: operators by the names of torch's own library, ``torch.ops.aten.add.Tensor(a, b)``.

``aten`` knows every operator that torch publishes under a Python name, with or without the overload's name, and the few that stand only here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jtorch import _namespace
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._errors import not_implemented

__all__ = ["aten", "OpOverload", "OpOverloadPacket"]

_PREFIXES = {"linalg_": _namespace.linalg, "fft_": _namespace.fft, "special_": _namespace.special}


def _in_place(write: Callable[..., Any]) -> Callable[..., Any]:
    """``uniform`` of ``uniform_``: the same on a copy."""

    def call(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        return write(input.clone(), *args, **kwargs)  # type: ignore[attr-defined]

    return call


def _find(name: str) -> Callable[..., Any] | None:
    """The function behind an operator's name."""
    for prefix, space in _PREFIXES.items():
        if name.startswith(prefix) and hasattr(space, name.removeprefix(prefix)):
            return getattr(space, name.removeprefix(prefix))  # type: ignore[no-any-return]
    for space in (_namespace.aten, _namespace.C_nn, _namespace.torch, Tensor, _namespace.F):
        found = getattr(space, name, None)
        if callable(found):
            return found  # type: ignore[no-any-return]
    write = getattr(Tensor, f"{name}_", None)
    return None if write is None else _in_place(write)


# What torch's functions are made of in its library: names for the policies of selective checkpoints. Here the function itself is the operator.
_PART_OF = {
    "_softmax": "torch.softmax", "_log_softmax": "torch.log_softmax", "native_batch_norm": "F.batch_norm", "convolution": "F.conv2d",
    "convolution_backward": "torch.autograd.grad",
    "nll_loss_forward": "F.nll_loss", "nll_loss2d_forward": "F.nll_loss",
    **{
        f"_scaled_dot_product_{kind}": "F.scaled_dot_product_attention"
        for kind in ("flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention")
    },
}  # fmt: skip


def _refusing(name: str) -> Callable[..., Any]:
    return lambda *args, **kwargs: not_implemented(f"torch.ops.aten.{name}", f"use {_PART_OF[name]}")


class OpOverload:
    """One overload of an operator. The arguments choose among ours, so its name changes nothing."""

    def __init__(self, packet: OpOverloadPacket, name: str) -> None:
        self.overloadpacket, self._overloadname = packet, name
        self.__name__ = f"{packet.__name__}.{name}"

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.overloadpacket(*args, **kwargs)

    def __str__(self) -> str:
        return f"aten.{self.__name__}"

    def __repr__(self) -> str:
        return f"<OpOverload(op='aten.{self.overloadpacket.__name__}', overload='{self._overloadname}')>"


class OpOverloadPacket:
    """An operator of torch's library."""

    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        self.__name__, self._fn = name, fn

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if "self" in kwargs:  # the library's name of what Python calls input
            args = (kwargs.pop("self"), *args)
        try:
            return self._fn(*args, **kwargs)
        except TypeError as error:  # the library's own calls complain in another type
            raise RuntimeError(f"aten::{self.__name__}: Overloaded torch operator invoked from Python failed to match any schema:\n{error}") from None

    def __getattr__(self, name: str) -> OpOverload:
        if name.startswith("__"):
            raise AttributeError(name)
        found = OpOverload(self, name)
        setattr(self, name, found)
        return found

    def __str__(self) -> str:
        return f"aten.{self.__name__}"

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='aten.{self.__name__}')>"


class _Aten:
    __name__ = "torch.ops.aten"

    def __getattr__(self, name: str) -> OpOverloadPacket:
        fn = None if name.startswith("__") else _find(name)
        if fn is None and name in _PART_OF:
            fn = _refusing(name)
        if fn is None:
            raise AttributeError(f"'_OpNamespace' 'aten' object has no attribute '{name}'")
        packet = OpOverloadPacket(name, fn)
        setattr(self, name, packet)
        return packet


aten = _Aten()
