"""``torch.utils._triton``: whether Triton compiles kernels for torch. It does not for JAX's arrays, so libraries take their other way."""

from __future__ import annotations

__all__ = ["has_triton", "has_triton_package", "has_triton_tma", "has_triton_tma_device", "has_triton_stable_tma_api"]


def has_triton_package() -> bool:
    """Whether it can be imported and used with these tensors."""
    return False


has_triton = has_triton_tma = has_triton_tma_device = has_triton_stable_tma_api = has_triton_package
