"""What checkpoints name as ``torch._utils``: functions that rebuild tensors, and the wrapper that carries an exception between processes."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, NoReturn

from jtorch.serialization._rebuild import (
    _get_obj_state as _get_obj_state,
)
from jtorch.serialization._rebuild import (
    _rebuild_device_tensor_from_cpu_tensor as _rebuild_device_tensor_from_cpu_tensor,
)
from jtorch.serialization._rebuild import (
    _rebuild_device_tensor_from_numpy as _rebuild_device_tensor_from_numpy,
)
from jtorch.serialization._rebuild import (
    _rebuild_from_type_v2 as _rebuild_from_type_v2,
)
from jtorch.serialization._rebuild import (
    _rebuild_meta_tensor_no_storage as _rebuild_meta_tensor_no_storage,
)
from jtorch.serialization._rebuild import (
    _rebuild_nested_tensor as _rebuild_nested_tensor,
)
from jtorch.serialization._rebuild import (
    _rebuild_parameter as _rebuild_parameter,
)
from jtorch.serialization._rebuild import (
    _rebuild_parameter_with_state as _rebuild_parameter_with_state,
)
from jtorch.serialization._rebuild import (
    _rebuild_qtensor as _rebuild_qtensor,
)
from jtorch.serialization._rebuild import (
    _rebuild_sparse_tensor as _rebuild_sparse_tensor,
)
from jtorch.serialization._rebuild import (
    _rebuild_tensor as _rebuild_tensor,
)
from jtorch.serialization._rebuild import (
    _rebuild_tensor_v2 as _rebuild_tensor_v2,
)
from jtorch.serialization._rebuild import (
    _rebuild_tensor_v3 as _rebuild_tensor_v3,
)
from jtorch.serialization._rebuild import (
    _rebuild_wrapper_subclass as _rebuild_wrapper_subclass,
)
from jtorch.serialization._rebuild import (
    _rebuild_xla_tensor as _rebuild_xla_tensor,
)
from jtorch.serialization._rebuild import (
    _set_obj_state as _set_obj_state,
)


class KeyErrorMessage(str):
    """A string whose repr is itself, because KeyError prints the repr of its argument."""

    __slots__ = ()

    def __repr__(self) -> str:
        return self


class ExceptionWrapper:
    """An exception as type and text, so that it can cross a process or thread; :meth:`reraise` raises it again with its traceback as text."""

    def __init__(self, exc_info: Any = None, where: str = "in background") -> None:
        exc_info = exc_info or sys.exc_info()
        # Only text is kept: a live traceback would keep every frame, and with them this object, alive.
        self.exc_type = exc_info[0]
        self.exc_msg = "".join(traceback.format_exception(*exc_info))
        self.where = where

    def reraise(self) -> NoReturn:
        """Raise an exception of the original type; RuntimeError where the type cannot be made from one message."""
        text: str = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            text = KeyErrorMessage(text)
        elif getattr(self.exc_type, "message", None):
            raise self.exc_type(message=text)
        try:
            error = self.exc_type(text)
        except Exception:
            raise RuntimeError(text) from None
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: only so does what the frames hold go with it


def cpu_count() -> int | None:
    """Number of CPU cores that this process may use, or None when unknown."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()
