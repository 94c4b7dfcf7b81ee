"""``torch.backends``: switches that programs set. XLA chooses its own algorithms; the ones that mean something are connected."""

from __future__ import annotations

from typing import Any

from jtorch import _config


class _Switches:
    """Attributes that can be set and read; setting them changes nothing unless said otherwise."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def is_available(self) -> bool:
        return False

    def flags(self, **_: Any) -> Any:
        from contextlib import nullcontext

        return nullcontext()


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


cudnn: Any = _Switches(enabled=True, benchmark=False, deterministic=False, allow_tf32=True, benchmark_limit=10)
cudnn.version = lambda: None
cuda: Any = _Switches(matmul=_Matmul())
for _name in ("flash_sdp", "mem_efficient_sdp", "math_sdp", "cudnn_sdp"):
    setattr(cuda, f"enable_{_name}", lambda enabled: None)
    setattr(cuda, f"{_name}_enabled", lambda: True)
mps: Any = _Switches()
mps.is_built = lambda: False
mkl: Any = _Switches()
mkldnn: Any = _Switches(enabled=True)
openmp: Any = _Switches()
quantized: Any = _Switches(engine="none", supported_engines=["none"])
opt_einsum: Any = _Switches(enabled=True, strategy="auto")
opt_einsum.is_available = lambda: True
