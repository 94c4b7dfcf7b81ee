"""``torch.Tensor(...)``, ``torch.FloatTensor(...)`` and their like: the legacy constructors."""

from __future__ import annotations

from typing import Any

from jtorch import _dtypes
from jtorch._engine.values.values import jax_devices
from jtorch._namespace import torch

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import aval_of

__all__ = ["install"]


def named(kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The one argument that is given by its name, as it would be by its place."""
    for name in ("size", "data", "other", "storage"):
        if name in kwargs:
            return (torch.Size(kwargs[name]) if name == "size" else kwargs[name],)
    return ()


def _new(cls: Any, *args: Any, device: Any = None, **kwargs: Any) -> Any:
    """Sizes, data or nothing, in the default type; a subclass gets its own class."""
    t = torch._legacy_tensor(_dtypes.default, args or named(kwargs), device, form="base")
    if cls is Tensor:
        return t
    out = object.__new__(cls)
    out._s, out._view, out._edge, out._nr, out._grad, out._meta = t._s, t._view, t._edge, t._nr, None, None
    return out


class _TypedMeta(type):
    dtype: Any
    where: str

    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, Tensor) and aval_of(other).dtype is cls.dtype and aval_of(other).device.type == cls.where

    def __repr__(cls) -> str:
        return f"<class 'torch.{'cuda.' if cls.where == 'cuda' else ''}{cls.__name__}'>"


def _typed(name: str, kind: _dtypes.dtype, where: str = "cpu") -> Any:
    def new(cls: Any, *args: Any, device: Any = None, **kwargs: Any) -> Any:
        if where == "cuda" and not jax_devices("cuda"):
            raise TypeError(f"type torch.cuda.{name} not available. Torch not compiled with CUDA enabled.")
        return torch._legacy_tensor(kind, args or named(kwargs), device, where)

    return _TypedMeta(name, (), {"__new__": new, "dtype": kind, "where": where, "__module__": "torch", "is_cuda": where == "cuda"})


NAMES = {
    "FloatTensor": _dtypes.float32, "DoubleTensor": _dtypes.float64, "HalfTensor": _dtypes.float16, "BFloat16Tensor": _dtypes.bfloat16,
    "ByteTensor": _dtypes.uint8, "CharTensor": _dtypes.int8, "ShortTensor": _dtypes.int16, "IntTensor": _dtypes.int32,
    "LongTensor": _dtypes.int64, "BoolTensor": _dtypes.bool_,
}  # fmt: skip


def install() -> None:
    """Give Tensor its constructor and the namespace its typed classes."""
    Tensor.__new__ = _new  # type: ignore[method-assign]
    Tensor.__init__ = lambda self, *args, **kwargs: None  # type: ignore[method-assign]
    for name, kind in NAMES.items():
        setattr(torch, name, _typed(name, kind))


def cuda_classes() -> dict[str, Any]:
    """``torch.cuda.FloatTensor`` and the rest."""
    return {name: _typed(name, kind, "cuda") for name, kind in NAMES.items()}
