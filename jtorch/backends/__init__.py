"""``torch.backends``: switches that programs set. XLA chooses its own algorithms; the ones that mean something are connected."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from jtorch import _config
from jtorch._engine.values.values import jax_devices

__all__ = ["cpu", "cuda", "cudnn", "cusparselt", "kleidiai", "mha", "miopen", "mkl", "mkldnn", "mps", "nnpack", "openmp", "opt_einsum", "quantized", "xnnpack"]


class _Switches(ModuleType):
    """A module of attributes that can be set and read; setting them changes nothing unless said otherwise. ``flags`` sets some of them for a while."""

    def __init__(self, name: str, available: bool = False, **values: Any) -> None:
        super().__init__(f"{__name__}.{name}", f"``torch.backends.{name}``: kept for programs that set them; XLA chooses its own algorithms.")
        self.__dict__.update(values, is_available=lambda: available, _order=tuple(n for n, v in values.items() if not callable(v)))
        sys.modules[self.__name__] = self

    @contextlib.contextmanager
    def flags(self, *given: Any, **values: Any) -> Iterator[None]:
        """Inside, switches have these values. TypeError for one that is not there."""
        values = {**dict(zip(self._order, given, strict=False)), **values}
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

    def set_flags(self, *given: Any, **values: Any) -> tuple[Any, ...]:
        """Set switches, by place or name; None leaves one. What all of them were."""
        before = tuple(getattr(self, name) for name in self._order)
        for name, value in {**dict(zip(self._order, given, strict=False)), **values}.items():
            if value is not None:
                setattr(self, name, value)
        return before


class _Precision:
    """How exactly one kind of operator multiplies float32, as a text."""

    def __init__(self, fp32_precision: str = "none") -> None:
        self.fp32_precision = fp32_precision


class _NoPlans:
    """The plans of cuFFT. XLA keeps its own. AssertionError without a GPU."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if not jax_devices("cuda"):
            raise AssertionError("Torch not compiled with CUDA enabled")
        return {"size": 0, "max_size": 0}.get(name) if name in ("size", "max_size") else lambda *args: None


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


class _SDPAParams(NamedTuple):
    """What a kernel for attention would be asked with."""

    query: Any
    key: Any
    value: Any
    attn_mask: Any
    dropout: float
    is_causal: bool
    enable_gqa: bool


class _Cuda(_Switches):
    """``torch.backends.cuda``: which attention kernels may be used is XLA's choice, whatever is asked; what was asked can be read."""

    def __init__(self) -> None:
        super().__init__("cuda", matmul=_Matmul())
        self.is_built = lambda: bool(jax_devices("cuda"))
        for name in ("flash_sdp", "mem_efficient_sdp", "math_sdp", "cudnn_sdp"):
            self._switch(f"enable_{name}", f"{name}_enabled", True)
        self._switch("allow_fp16_bf16_reduction_math_sdp", "fp16_bf16_reduction_math_sdp_allowed", False)
        self.cufft_plan_cache = _NoPlans()
        self.sdp_kernel = contextlib.contextmanager(self._sdp_kernel)
        for name in ("preferred_linalg_library", "preferred_blas_library", "preferred_rocm_fa_library"):
            setattr(self, name, lambda backend=None: "default")  # XLA chooses
        for name in ("is_flash_attention_available", "is_ck_sdpa_available"):
            setattr(self, name, lambda: False)
        for name in ("can_use_flash_attention", "can_use_efficient_attention", "can_use_cudnn_attention"):
            setattr(self, name, lambda params, debug=False: False)
        self.SDPAParams = _SDPAParams

    def _sdp_kernel(self, enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True) -> Iterator[dict[str, Any]]:
        """Inside, these kinds of attention kernels may be used; XLA's choice stays its own. An older spelling of torch.nn.attention.sdpa_kernel."""
        wanted = {"flash_sdp": enable_flash, "math_sdp": enable_math, "mem_efficient_sdp": enable_mem_efficient, "cudnn_sdp": enable_cudnn}
        before = {name: getattr(self, f"{name}_enabled")() for name in wanted}
        try:
            for name, value in wanted.items():
                getattr(self, f"enable_{name}")(value)
            yield {}
        finally:
            for name, value in before.items():
                getattr(self, f"enable_{name}")(value)

    def _switch(self, write: str, read: str, value: bool) -> None:
        kept = [value]
        setattr(self, write, lambda enabled: kept.__setitem__(0, bool(enabled)))
        setattr(self, read, lambda: kept[0])


cudnn: Any = _Switches(
    "cudnn", enabled=True, benchmark=False, benchmark_limit=None, deterministic=False, allow_tf32=True, fp32_precision="none",
    depthwise_kernel="auto", version=lambda: None, is_acceptable=lambda tensor: False,
)  # fmt: skip
cuda: Any = _Cuda()
cudnn.conv, cudnn.rnn = _Precision("tf32"), _Precision("tf32")
mps: Any = _Switches("mps", is_built=lambda: False, is_macos_or_newer=lambda major, minor: False, is_macos13_or_newer=lambda minor=0: False)
mkl: Any = _Switches("mkl", VERBOSE_OFF=0, VERBOSE_ON=1, verbose=contextlib.nullcontext)
mkldnn: Any = _Switches(
    "mkldnn", enabled=True, deterministic=False, allow_tf32=None, fp32_precision="none", verbose=contextlib.nullcontext, is_acl_available=lambda: False,
)  # fmt: skip
mkldnn.VERBOSE_OFF, mkldnn.VERBOSE_ON, mkldnn.VERBOSE_ON_CREATION = 0, 1, 2
mkldnn.conv, mkldnn.matmul, mkldnn.rnn = _Precision(), _Precision(), _Precision()
kleidiai: Any = _Switches("kleidiai")
cusparselt: Any = _Switches("cusparselt", version=lambda: None, get_max_alg_id=lambda: None)
miopen: Any = _Switches("miopen", immediate=False)
openmp: Any = _Switches("openmp")
nnpack: Any = _Switches("nnpack", enabled=False)
xnnpack: Any = _Switches("xnnpack", enabled=False)
quantized: Any = _Switches("quantized", engine="none", supported_engines=["none"])
opt_einsum: Any = _Switches("opt_einsum", True, enabled=True, strategy="auto", get_opt_einsum=lambda: import_module("opt_einsum"))
_fast_path = [True]
mha: Any = _Switches("mha", get_fastpath_enabled=lambda: _fast_path[0], set_fastpath_enabled=lambda value: _fast_path.__setitem__(0, value))
cpu: Any = _Switches("cpu", get_cpu_capability=lambda: "DEFAULT")
fp32_precision = "none"
_frozen = [False]


def flags_frozen() -> bool:
    """Whether ``disable_global_flags`` was called."""
    return _frozen[0]


@contextlib.contextmanager
def __allow_nonbracketed_mutation() -> Iterator[None]:
    """Inside, switches may be set although they were frozen."""
    before, _frozen[0] = _frozen[0], False
    try:
        yield
    finally:
        _frozen[0] = before


def disable_global_flags() -> None:
    """Note that switches are not to be set any more, except by ``flags``."""
    _frozen[0] = True
