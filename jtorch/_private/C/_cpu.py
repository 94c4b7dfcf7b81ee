"""``torch._C._cpu``: questions about the processor."""

from __future__ import annotations

from jtorch.cpu import _init_amx as _init_amx
from jtorch.cpu import _is_amx_fp16_supported as _is_amx_fp16_supported
from jtorch.cpu import _is_amx_tile_supported as _is_amx_tile_supported
from jtorch.cpu import _is_avx2_supported as _is_avx2_supported
from jtorch.cpu import _is_avx512_bf16_supported as _is_avx512_bf16_supported
from jtorch.cpu import _is_avx512_supported as _is_avx512_supported
from jtorch.cpu import _is_vnni_supported as _is_avx512_vnni_supported  # noqa: F401
from jtorch.cpu._capabilities import capabilities as _get_cpu_capability  # noqa: F401
