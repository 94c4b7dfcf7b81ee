"""``torch.types``: names for annotations."""

from __future__ import annotations

import builtins
from typing import Any, Union

from jtorch import _device, _dtypes, _types
from jtorch._core.storage.bare_tensor import Tensor

Number = builtins.int | builtins.float | builtins.bool
_int, _float, _bool, _complex = builtins.int, builtins.float, builtins.bool, builtins.complex
_dtype, _device_, _layout, _size = _dtypes.dtype, _device.device, _types.layout, Union[_types.Size, list, tuple]
Device = Union[_device.device, str, builtins.int, None]
FileLike = Any
Storage = Any
_TensorOrTensors = Union[Tensor, tuple]
