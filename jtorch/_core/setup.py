"""Puts the core together: operators to namespaces, behaviour to the bare Tensor. Importing it once makes ``_namespace`` complete for operators."""

from __future__ import annotations

from typing import Any

from jtorch import _config, _device, _dtypes, _namespace, _ops, _types
from jtorch._engine import setup as _jax_setup  # noqa: F401
from jtorch._engine.state import state

from . import attach, construct, modes, overrides, returns
from .tensor import Tensor

_ = _ops
torch: Any = _namespace.torch

for _kind in _dtypes.ALL.values():
    setattr(torch, _kind.name, _kind)
for _alias, _kind in _dtypes.ALIASES.items():
    setattr(torch, _alias, _kind)
for _name, _constant in _types.CONSTANTS.items():
    setattr(torch, _name, _constant)
for _class in (_types.Size, _types.memory_format, _types.layout, _types.qscheme, _types.finfo, _types.iinfo):
    setattr(torch, _class.__name__, _class)
torch.dtype, torch.device, torch.Tensor = _dtypes.dtype, _device.device, Tensor
for _name in modes.__all__:
    setattr(torch, _name, getattr(modes, _name))
torch.set_default_dtype, torch.get_default_dtype = None, lambda: _dtypes.default


def set_default_dtype(d: Any) -> None:
    """The type of ``torch.tensor(1.5)``."""
    if d is _dtypes.default:
        return
    from jtorch._engine.trace import flush

    flush("setting")
    _dtypes.set_default(d)
    _config.changed()


def set_default_device(device: Any) -> None:
    """Where factories put tensors when nobody says."""
    _device.set_default(device)


def promote_types(type1: Any, type2: Any) -> Any:
    """The smallest type that holds the values of both."""
    return _dtypes.promote_types(type1, type2)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether torch stores results of one type in a tensor of the other."""
    return not (from_.category > to.category)


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The type that arithmetic between the two gives."""
    from .bind import number_of
    from .views import aval_of

    def operand(x: Any) -> tuple[Any, int]:
        if isinstance(x, Tensor):
            a = aval_of(x)
            return a.dtype, _dtypes.DIMENSIONED if a.shape else _dtypes.ZERO_DIM
        return _dtypes.of_python(number_of(x).__class__), _dtypes.NUMBER

    return _dtypes.result_type([operand(tensor1), operand(tensor2)])


for _fn in (set_default_dtype, set_default_device, promote_types, can_cast, result_type):
    setattr(torch, _fn.__name__, _fn)
torch.get_default_device = _device.current_default
torch.set_float32_matmul_precision = _config.set_float32_matmul_precision
torch.get_float32_matmul_precision = lambda: _config.float32_matmul_precision
torch.is_tensor = lambda obj: isinstance(obj, Tensor)

attach.attach_all()
from . import describing, graph_methods, methods  # noqa: E402, F401
from . import getitem  # noqa: E402, F401
from . import memory  # noqa: E402
from . import strided  # noqa: E402, F401
from .dunder import attach_operators  # noqa: E402

attach_operators()
torch.UntypedStorage, torch.TypedStorage = memory.UntypedStorage, memory.TypedStorage
torch._C_return_types = returns.TYPES
torch._overrides = overrides
construct.install()

if _config.EAGER:
    state.mode |= 64
