"""Puts the core together: operators to namespaces, behaviour to the bare Tensor. Importing it once makes ``_namespace`` complete for operators."""

from __future__ import annotations

from typing import Any

from jtorch._engine.recording.trace import flush
from jtorch._core.dispatch.signature_binding import number_of
from jtorch._core.storage.view_steps import aval_of
from jtorch import _config, _device, _dtypes, _namespace, _ops, _types
from jtorch._engine.values import jax_settings as _jax_setup  # noqa: F401
from jtorch._engine.values.thread_state import state

from jtorch._core.dispatch import torch_function
from jtorch._core.tensor import derived_functions
from jtorch._core.tensor import legacy_constructors
from jtorch._core.graph import grad_modes
from jtorch._core.tensor import return_types
from jtorch._core.storage.bare_tensor import Tensor

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
for _name in grad_modes.__all__:
    setattr(torch, _name, getattr(grad_modes, _name))


def set_default_dtype(d: Any) -> None:
    """The type of ``torch.tensor(1.5)``."""
    if d is _dtypes.default:
        return
    flush("setting")
    _dtypes.set_default(d)
    _config.changed()


def get_default_dtype() -> Any:
    """The type of ``torch.tensor(1.5)``: float32 unless ``set_default_dtype`` says otherwise."""
    return _dtypes.default


def get_float32_matmul_precision() -> str:
    """``"highest"``, ``"high"`` or ``"medium"``: what ``set_float32_matmul_precision`` was given."""
    return _config.float32_matmul_precision


def is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a tensor."""
    return isinstance(obj, Tensor)


def set_default_device(device: Any) -> None:
    """Where factories put tensors when nobody says."""
    _device.set_default(device)


def _are_types(name: str, **given: Any) -> None:
    for place, (argument, kind) in enumerate(given.items()):
        if not isinstance(kind, _dtypes.dtype):
            raise TypeError(f"{name}(): argument '{argument}' (position {place + 1}) must be torch.dtype, not {type(kind).__name__}")


def promote_types(type1: Any, type2: Any) -> Any:
    """The smallest type that holds the values of both."""
    _are_types("promote_types", type1=type1, type2=type2)
    return _dtypes.promote_types(type1, type2)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether torch stores results of one type in a tensor of the other."""
    _are_types("can_cast", from_=from_, to=to)
    return not (from_.category > to.category)


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The type that arithmetic between the two gives."""
    def operand(x: Any) -> tuple[Any, int]:
        if isinstance(x, Tensor):
            a = aval_of(x)
            return a.dtype, _dtypes.DIMENSIONED if a.shape else _dtypes.ZERO_DIM
        return _dtypes.of_python(number_of(x).__class__), _dtypes.NUMBER

    return _dtypes.result_type([operand(tensor1), operand(tensor2)])


for _fn in (set_default_dtype, get_default_dtype, get_float32_matmul_precision, is_tensor, set_default_device, promote_types, can_cast, result_type):
    setattr(torch, _fn.__name__, _fn)
torch.get_default_device = _device.current_default
torch.set_float32_matmul_precision = _config.set_float32_matmul_precision

derived_functions.attach_all()
from jtorch._core.tensor import attributes  # noqa: E402, F401
from jtorch._core.tensor import autograd_methods  # noqa: E402, F401
from jtorch._core.tensor import methods  # noqa: E402, F401
from jtorch._core.tensor import indexing  # noqa: E402, F401
from jtorch._core.tensor import storage_objects  # noqa: E402
from jtorch._core.dispatch import as_strided  # noqa: E402, F401
from jtorch._core.tensor.python_operators import attach_operators  # noqa: E402

attach_operators()
torch.UntypedStorage, torch.TypedStorage = storage_objects.UntypedStorage, storage_objects.TypedStorage
torch._C_return_types = return_types.TYPES
torch._overrides = torch_function
legacy_constructors.install()

if _config.EAGER:
    state.mode |= 64
