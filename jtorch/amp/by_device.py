"""``torch.cuda.amp`` and ``torch.cpu.amp``: the older spellings, with the device type in the module's name."""

from __future__ import annotations

import functools
import sys
import warnings
from types import ModuleType
from typing import Any

from jtorch._engine.values.values import jax_devices
from jtorch._namespace import torch
from jtorch.amp import autocast_mode
from jtorch.amp.autocast_mode import autocast
from jtorch.amp.grad_scaler import GradScaler

__all__ = ["install"]


def _warn(kind: str, name: str, args: str, instead: str, stacklevel: int = 4) -> None:
    text = f"`torch.{kind}.amp.{name}({args})` is deprecated. Please use `torch.amp.{name}({instead})` instead."
    warnings.warn(text, FutureWarning, stacklevel=stacklevel)


_PARTS = {"autocast_mode": ("autocast", "custom_bwd", "custom_fwd"), "grad_scaler": ("GradScaler",), "common": ("amp_definitely_not_available",)}


def _module(kind: str) -> ModuleType:
    default = "float16" if kind == "cuda" else "bfloat16"

    class _autocast(autocast):
        __doc__ = f"``torch.amp.autocast('{kind}', ...)``, deprecated."

        def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
            _warn(kind, "autocast", "args...", f"'{kind}', args...")
            super().__init__(kind, enabled=enabled, dtype=getattr(torch, default) if dtype is None else dtype, cache_enabled=cache_enabled)

    class _GradScaler(GradScaler):
        __doc__ = f"``torch.amp.GradScaler('{kind}', ...)``, deprecated."

        def __init__(
            self, init_scale: float = 65536.0, growth_factor: float = 2.0, backoff_factor: float = 0.5, growth_interval: int = 2000,
            enabled: bool = True,
        ) -> None:  # fmt: skip
            _warn(kind, "GradScaler", "args...", f"'{kind}', args...")
            super().__init__(kind, init_scale, growth_factor, backoff_factor, growth_interval, enabled)

    module: Any = ModuleType(f"jtorch.{kind}.amp", f"``torch.{kind}.amp``: older spellings of ``torch.amp``.")
    for cls, name in ((_autocast, "autocast"), (_GradScaler, "GradScaler")):
        cls.__name__ = cls.__qualname__ = name
        cls.__module__ = module.__name__
        setattr(module, name, cls)
    module.__path__ = []  # torch.cuda.amp is a package
    module.__all__ = ["GradScaler", "autocast"]
    if kind == "cuda":

        def custom_fwd(fwd: Any = None, *, cast_inputs: Any = None) -> Any:
            """``torch.amp.custom_fwd(..., device_type="cuda")``, deprecated."""
            _warn("cuda", "custom_fwd", "args...", "args..., device_type='cuda'", 3)
            return functools.partial(autocast_mode.custom_fwd, device_type="cuda")(fwd=fwd, cast_inputs=cast_inputs)

        def custom_bwd(bwd: Any) -> Any:
            """``torch.amp.custom_bwd(..., device_type="cuda")``, deprecated."""
            _warn("cuda", "custom_bwd", "args...", "args..., device_type='cuda'", 3)
            return autocast_mode.custom_bwd(bwd, device_type="cuda")

        module.amp_definitely_not_available = lambda: not jax_devices("cuda")
        module.custom_fwd, module.custom_bwd = custom_fwd, custom_bwd
        module.__all__ += ["amp_definitely_not_available", "custom_bwd", "custom_fwd"]
    for part, names in _PARTS.items():
        there = [name for name in names if hasattr(module, name)]
        if there:
            below: Any = ModuleType(f"{module.__name__}.{part}", f"A part of ``torch.{kind}.amp``.")
            below.__all__ = there
            vars(below).update({name: getattr(module, name) for name in there})
            setattr(module, part, below)
    return module


def install() -> None:
    """Publish the modules."""
    for kind in ("cuda", "cpu"):
        module = _module(kind)
        sys.modules[module.__name__] = module
        sys.modules.update({below.__name__: below for part in _PARTS if (below := getattr(module, part, None)) is not None})
        parent = sys.modules.get(f"jtorch.{kind}")
        if parent is not None:
            parent.amp = module  # type: ignore[attr-defined]
