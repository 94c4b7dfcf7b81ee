"""``torch.backends``: switches that programs set. XLA chooses its own algorithms; the ones that mean something are connected."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from jtorch import _config
from jtorch._engine.values import jax_devices

__all__ = ["cpu", "cuda", "cudnn", "mha", "mkl", "mkldnn", "mps", "nnpack", "openmp", "opt_einsum", "quantized", "xnnpack"]


class _Switches(ModuleType):
    """A module of attributes that can be set and read; setting them changes nothing unless said otherwise. ``flags`` sets some of them for a while."""

    def __init__(self, name: str, available: bool = False, **values: Any) -> None:
        super().__init__(f"{__name__}.{name}", f"``torch.backends.{name}``: kept for programs that set them; XLA chooses its own algorithms.")
        self.__dict__.update(values, is_available=lambda: available)
        sys.modules[self.__name__] = self

    @contextlib.contextmanager
    def flags(self, **values: Any) -> Iterator[None]:
        """Inside, switches have these values. TypeError for one that is not there."""
        if unknown := [name for name in values if name not in self.__dict__]:
            raise TypeError(f"flags() got an unexpected keyword argument '{unknown[0]}'")
        before = {name: getattr(self, name) for name in values}
        for name, value in values.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    def set_flags(self, **values: Any) -> tuple[Any, ...]:
        """Set switches; what they were."""
        before = tuple(getattr(self, name) for name in values)
        for name, value in values.items():
            setattr(self, name, value)
        return before


class _Matmul:
    """``allow_tf32`` is torch's older spelling of ``set_float32_matmul_precision("high")``."""

    @property
    def allow_tf32(self) -> bool:
        return _config.float32_matmul_precision != "highest"

    @allow_tf32.setter
    def allow_tf32(self, yes: bool) -> None:
        _config.set_float32_matmul_precision("high" if yes else "highest")

    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True
    allow_fp16_accumulation = False
    fp32_precision = "none"


class _Cuda(_Switches):
    """``torch.backends.cuda``: which attention kernels may be used is XLA's choice, whatever is asked; what was asked can be read."""

    def __init__(self) -> None:
        super().__init__("cuda", matmul=_Matmul())
        self.is_built = lambda: bool(jax_devices("cuda"))
        for name in ("flash_sdp", "mem_efficient_sdp", "math_sdp", "cudnn_sdp"):
            self._switch(f"enable_{name}", f"{name}_enabled", True)
        self._switch("allow_fp16_bf16_reduction_math_sdp", "fp16_bf16_reduction_math_sdp_allowed", False)

    def _switch(self, write: str, read: str, value: bool) -> None:
        kept = [value]
        setattr(self, write, lambda enabled: kept.__setitem__(0, bool(enabled)))
        setattr(self, read, lambda: kept[0])


cudnn: Any = _Switches(
    "cudnn", enabled=True, benchmark=False, benchmark_limit=None, deterministic=False, allow_tf32=True, fp32_precision="none",
    depthwise_kernel="auto", version=lambda: None,
)  # fmt: skip
cuda: Any = _Cuda()
mps: Any = _Switches("mps", is_built=lambda: False)
mkl: Any = _Switches("mkl", VERBOSE_OFF=0, VERBOSE_ON=1, verbose=contextlib.nullcontext)
mkldnn: Any = _Switches("mkldnn", enabled=True, deterministic=False, allow_tf32=True, fp32_precision="none", verbose=contextlib.nullcontext)
openmp: Any = _Switches("openmp")
nnpack: Any = _Switches("nnpack", enabled=False)
xnnpack: Any = _Switches("xnnpack", enabled=False)
quantized: Any = _Switches("quantized", engine="none", supported_engines=["none"])
opt_einsum: Any = _Switches("opt_einsum", True, enabled=True, strategy="auto")
_fast_path = [True]
mha: Any = _Switches("mha", get_fastpath_enabled=lambda: _fast_path[0], set_fastpath_enabled=lambda value: _fast_path.__setitem__(0, value))
cpu: Any = _Switches("cpu", get_cpu_capability=lambda: "DEFAULT")
