"""Automatic mixed precision: ``torch.autocast``, ``custom_fwd`` and ``custom_bwd``, ``GradScaler``. Source:
https://docs.pytorch.org/docs/stable/amp.html"""

from __future__ import annotations

from jtorch._namespace import torch as _torch
from jtorch.amp import by_device as _by_device
from jtorch.amp import casting as _casting
from jtorch.amp import lists as _lists
from jtorch.amp import state as _state
from jtorch.amp.autocast_mode import _enter_autocast, _exit_autocast, autocast, custom_bwd, custom_fwd, is_autocast_available
from jtorch.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_also = (_enter_autocast, _exit_autocast)

_lists.fill()
_casting.install()
_torch.autocast, _torch.GradScaler = autocast, GradScaler
for _name in _state.__all__:
    setattr(_torch, _name, getattr(_state, _name))
for _name, _function in _state.OLD.items():
    setattr(_torch, _name, _function)
_by_device.install()
