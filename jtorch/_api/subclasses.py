"""Methods that plain tensors run without asking anybody ask on subclasses: each subclass gets them once, when it is defined.

So ``x.float()`` and ``x.numel()`` cost nothing more on a tensor, and on a subclass they go through its ``__torch_function__``, as in torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

from jtorch._core.dispatch.torch_function import has_override, override
from jtorch._core.storage.bare_tensor import Tensor

_OWN = frozenset((
    "__new__", "__init__", "__init_subclass__", "__hash__", "__getattribute__", "__getattr__", "__setattr__", "__delattr__", "__dir__", "__del__",
    "__class_getitem__", "__torch_function__", "__jax_array__", "__array__", "__cuda_array_interface__", "__reduce_ex__", "__reduce__", "__getstate__",
    "__setstate__", "as_subclass", "jax",
))  # fmt: skip


def _asking(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return override(method, args, kwargs) if has_override(args, kwargs) else method(*args, **kwargs)

    return call


@functools.cache
def _silent() -> dict[str, Any]:
    """Tensor's methods that do not ask by themselves."""
    found = {}
    for name, method in vars(Tensor).items():
        asks = hasattr(method, "jtorch_ops") or hasattr(method, "jtorch_public")
        hidden = name.startswith("_") and not name.endswith("__")
        if isinstance(method, FunctionType) and not asks and not hidden and name not in _OWN:
            found[name] = _asking(method)
    return found


def _defined(cls: Any, **kwargs: Any) -> None:
    super(Tensor, cls).__init_subclass__(**kwargs)
    if cls.__module__.startswith("jtorch."):
        return  # parameters and buffers are plain
    for name, method in _silent().items():
        if getattr(cls, name, None) is getattr(Tensor, name):
            setattr(cls, name, method)


Tensor.__init_subclass__ = classmethod(_defined)  # type: ignore[assignment]
