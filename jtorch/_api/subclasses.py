"""Methods and properties that plain tensors run without asking anybody ask on subclasses: each subclass gets them once, when it is defined.

So ``x.float()`` and ``x.shape`` cost nothing more on a tensor, and on a subclass they go through its ``__torch_function__``, as in torch. While a
``TorchFunctionMode`` is on, :class:`Tensor` itself has them.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

from jtorch import _device
from jtorch._core.dispatch.torch_function import _DEFAULT, DISPATCHES, ROUTE, WATCHES, disabled, dispatches, has_override, override
from jtorch._core.storage.bare_tensor import Tensor, TensorMeta
from jtorch._core.storage.host_memory import contiguous_strides
from jtorch._core.storage.shells import make_shell
from jtorch._core.tensor.autograd_methods import set_requires_grad
from jtorch._namespace import torch

_OWN = frozenset((
    "__new__", "__init__", "__init_subclass__", "__hash__", "__getattribute__", "__getattr__", "__setattr__", "__delattr__", "__dir__", "__del__",
    "__class_getitem__", "__torch_function__", "__jax_array__", "__array__", "__cuda_array_interface__", "__reduce_ex__", "__reduce__", "__getstate__",
    "__setstate__", "as_subclass", "jax",
))  # fmt: skip


_HIDDEN_TOO = ("_version", "_base")  # properties of torch's whose names begin so


def _asking(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return override(method, args, kwargs) if has_override(args, kwargs) else method(*args, **kwargs)

    return call


def _asking_property(plain: property) -> property:
    """``plain``, offered to ``__torch_function__`` as the ``__get__``, ``__set__`` or ``__delete__`` of what Tensor has."""

    def get(self: Any) -> Any:
        return override(plain.__get__, (self,), {}) if has_override((self,), {}) else plain.__get__(self)  # type: ignore[attr-defined]

    def put(self: Any, value: Any) -> Any:
        return override(plain.__set__, (self, value), {}) if has_override((self,), {}) else plain.__set__(self, value)

    def delete(self: Any) -> Any:
        return override(plain.__delete__, (self,), {}) if has_override((self,), {}) else plain.__delete__(self)

    return property(get, put, delete, plain.__doc__)


class _Inherited:
    """What a subclass has in place of a method of Tensor's: its tensors find the one that asks, and whoever asks the class finds Tensor's own, as if it were inherited."""

    def __init__(self, plain: Any, asking: Any) -> None:
        self.plain, self.asking = plain, asking

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self.plain if instance is None else self.asking.__get__(instance, owner)


class _InheritedProperty(_Inherited):
    """The same of a property."""

    def __set__(self, instance: Any, value: Any) -> None:
        self.asking.__set__(instance, value)

    def __delete__(self, instance: Any) -> None:
        self.asking.__delete__(instance)


@functools.cache
def _inherited() -> dict[str, _Inherited]:
    return {name: (_InheritedProperty if isinstance(plain, property) else _Inherited)(plain, asking) for name, (plain, asking) in silent().items()}


@functools.cache
def silent() -> dict[str, tuple[Any, Any]]:
    """Tensor's methods and properties that do not ask by themselves, and those that do in their place."""
    found: dict[str, tuple[Any, Any]] = {}
    for name, member in vars(Tensor).items():
        asks = hasattr(member, "jtorch_ops") or hasattr(member, "jtorch_public")
        hidden = name.startswith("_") and not name.endswith("__") and name not in _HIDDEN_TOO
        if asks or hidden or name in _OWN:
            continue
        if isinstance(member, FunctionType):
            found[name] = member, _asking(member)
        elif isinstance(member, property):
            found[name] = member, _asking_property(member)
    return found


def _defined(cls: Any, **kwargs: Any) -> None:
    super(Tensor, cls).__init_subclass__(**kwargs)
    if "__torch_dispatch__" in vars(cls):
        if ROUTE[0] is None:
            importlib.import_module("jtorch.library.dispatching")  # a floor above: nobody needs it before
        DISPATCHES[0] = ROUTE[0]
        if getattr(cls.__torch_function__, "__func__", None) is _DEFAULT[0]:  # as in torch: results are what the class makes them
            cls.__torch_function__ = staticmethod(disabled)
    if cls.__module__.startswith("jtorch.") and "__torch_dispatch__" not in vars(cls):
        return  # parameters and buffers are plain
    for name, found in _inherited().items():
        if getattr(cls, name, None) in (found.plain, found.asking):
            setattr(cls, name, found)


Tensor.__init_subclass__ = classmethod(_defined)  # type: ignore[assignment]


class _Watched(TensorMeta):
    """Tensor's class while a mode is on: it shows the plain methods, by which functions are known, and tensors find those that ask."""

    def __getattribute__(cls, name: str) -> Any:
        if cls is Tensor and name in silent():
            return silent()[name][0]
        return super().__getattribute__(name)


def _watch(on: bool) -> None:
    for name, (plain, asking) in silent().items():
        setattr(Tensor, name, asking if on else plain)
    Tensor.__class__ = _Watched if on else TensorMeta


WATCHES[0] = _watch

class _Named(property):
    """A property that knows its name, as they all do from Python 3.13 on."""

    __name__: str


# Whoever asks is told methods and properties by their names.
for _name, _member in list(vars(Tensor).items()):
    if isinstance(_member, FunctionType) and _member.__name__ not in (_name, "pow", "pow_") and vars(Tensor).get(_member.__name__) is not _member:
        if getattr(torch, _member.__name__, None) is not _member:
            _member.__name__ = _name
    elif isinstance(_member, property):
        _named = _member if sys.version_info >= (3, 13) else _Named(_member.fget, _member.fset, _member.fdel, _member.__doc__)
        _named.__name__ = _name
        setattr(Tensor, _name, _named)


def _make_wrapper_subclass(
    cls: Any, size: Any, strides: Any = None, storage_offset: Any = None, memory_format: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, dispatch_sizes_strides_policy: Any = None, dispatch_device: bool = False, dispatch_layout: bool = False,
    _extra_dispatch_keys: Any = None, storage_size: Any = None,
) -> Any:  # fmt: skip
    """A tensor of ``cls`` with these properties and no elements: its ``__torch_dispatch__`` says what operators on it are. TypeError for a class without one."""
    if not dispatches(cls):
        raise TypeError(f"{cls.__name__} must define __torch_dispatch__")
    where = _device.device(device) if device is not None else torch.get_default_device()
    if where.type == "cuda" and where.index is None:
        where = _device.device("cuda", 0)
    kind = dtype if dtype is not None else torch.get_default_dtype()
    shape = (int(size),) if isinstance(size, int) else tuple(int(n) for n in size)
    steps = None if strides is None else tuple(int(n) for n in strides)
    made = make_shell(cls, shape, kind, where, None if steps is None or steps == contiguous_strides(shape) else steps)
    if requires_grad:
        set_requires_grad(made, True)
    return made


Tensor._make_wrapper_subclass = staticmethod(_make_wrapper_subclass)  # type: ignore[attr-defined]
