"""What programs ask of torch.distributed beside collectives: which library is for which device, how much it checks."""

from __future__ import annotations

import enum
import os
import warnings
from typing import Any

from ._groups import Backend, resolve
from ._reduce_op import RedOpType, ReduceOp

__all__ = ["BackendConfig", "DebugLevel", "get_backend_config", "get_debug_level", "reduce_op", "set_debug_level", "set_debug_level_from_env", "supports_complex"]

_DEVICES = {"gloo": ("cpu", "cuda"), "nccl": ("cuda",), "xla": ("cpu", "cuda"), "undefined": ("cpu",)}


class BackendConfig:
    """The library for each type of device, from ``"gloo"`` or ``"cpu:gloo,cuda:nccl"``. ValueError for a device that is named twice or a pair that is none."""

    def __init__(self, backend: Backend) -> None:
        self.device_backend_map: dict[str, Backend] = {}
        name = str(backend)
        if ":" not in name:
            self.device_backend_map = {device: Backend("gloo" if name == "undefined" else name) for device in _DEVICES.get(name, ("cpu", "cuda"))}
            return
        for pair in name.lower().split(","):
            parts = pair.split(":")
            if len(parts) != 2:
                raise ValueError(
                    f"The custom backend string argument is invalid: {name}.\n                Custom backend string is an experimental feature where the backend string must be in the format:\n"
                    '                "<device_type1>:<backend1>,<device_type2>:<backend2>...". e.g. \'cpu:gloo,cuda:nccl\''
                )
            if parts[0] in self.device_backend_map:
                raise ValueError(f"Duplicate device type {parts[0]}                                      in backend string: {parts[1]}. The custom backend string argument is invalid: {name}.")
            self.device_backend_map[parts[0]] = Backend(parts[1])

    def __repr__(self) -> str:
        return ",".join(f"{device}:{backend}" for device, backend in self.device_backend_map.items())

    def get_device_backend_map(self) -> dict[str, Backend]:
        """Device type to library."""
        return self.device_backend_map


def get_backend_config(group: Any = None) -> str:
    """``"cpu:gloo,cuda:gloo"`` for a group of gloo."""
    return str(BackendConfig(Backend(resolve(group).backend)))


class DebugLevel(enum.Enum):
    """How much is checked. (Processes agree before every collective at each of them.)"""

    OFF = 0
    INFO = 1
    DETAIL = 2


DebugLevel.__module__ = BackendConfig.__module__ = "torch.distributed"
_level: list[DebugLevel] = []


def set_debug_level_from_env() -> None:
    """The level in ``TORCH_DISTRIBUTED_DEBUG``. ValueError for one that is none."""
    name = os.environ.get("TORCH_DISTRIBUTED_DEBUG", "OFF").upper()
    if name not in DebugLevel.__members__:
        raise ValueError("The value of TORCH_DISTRIBUTED_DEBUG must be OFF, INFO, or DETAIL.")
    _level[:] = [DebugLevel[name]]


def get_debug_level() -> DebugLevel:
    """The level; at first the one in ``TORCH_DISTRIBUTED_DEBUG``."""
    if not _level:
        set_debug_level_from_env()
    return _level[0]


def set_debug_level(level: DebugLevel) -> None:
    """Set it."""
    _level[:] = [level]


def supports_complex(reduceOp: Any) -> bool:
    """Whether a reduction takes complex numbers."""
    return (reduceOp.op if type(reduceOp) is ReduceOp else reduceOp) in (RedOpType.SUM, RedOpType.AVG, RedOpType.PREMUL_SUM)


class _Old:
    """The old name of :class:`ReduceOp`."""

    def __getattr__(self, name: str) -> Any:
        found = RedOpType.__members__.get(name)
        if found is None:
            raise AttributeError(f"'_reduce_op' object has no attribute '{name}'")
        warnings.warn("`torch.distributed.reduce_op` is deprecated, please use `torch.distributed.ReduceOp` instead", FutureWarning, stacklevel=2)
        return found


reduce_op = _Old()
