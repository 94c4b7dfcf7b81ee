"""What the processor can do, as the system tells it: the names that ``torch.cpu.get_capabilities`` uses."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

__all__ = ["capabilities"]

# torch's name, and the system's where it is another. On Arm the system's words are few.
_X86 = (
    "sse sse2 sse3=pni ssse3 sse4_1 sse4_2 sse4a avx avx2 avx_vnni avx512_f=avx512f avx512_cd=avx512cd avx512_dq=avx512dq avx512_bw=avx512bw avx512_vl=avx512vl "
    "avx512_ifma=avx512ifma avx512_vbmi=avx512vbmi avx512_vbmi2 avx512_bitalg avx512_vpopcntdq avx512_vnni avx512_bf16 avx512_fp16 avx512_vp2intersect "
    "avx512_4vnniw avx512_4fmaps avx10_1 avx10_2 avx_vnni_int8 avx_vnni_int16 avx_ne_convert amx_bf16 amx_tile amx_int8 amx_fp16 fma3=fma fma4 f16c bmi=bmi1 bmi2 "
    "popcnt lzcnt=abm aes sha=sha_ni clflush clflushopt clwb"
)
_ARM = "neon=asimd fp16_arith=asimdhp bf16 i8mm dot=asimddp sve sve2 sve_bf16=svebf16 sme sme2 atomics fhm=asimdfhm rdm=asimdrdm crc32 aes sha1 sha2 pmull"


def capabilities() -> dict[str, Any]:
    """{name: whether the processor has it}, with the architecture and the number of logical processors."""
    try:
        lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    except OSError:
        lines = []
    said = {key.strip(): value.strip() for key, _, value in lines if value.strip()}
    flags = set(said.get("flags", said.get("Features", "")).split())
    machine = platform.machine()
    arm = machine.lower() in ("aarch64", "arm64")
    found: dict[str, Any] = {}
    for entry in (_ARM if arm else _X86).split():
        name, _, flag = entry.partition("=")
        found[name] = (flag or name) in flags
    return {**found, "architecture": machine, "cpu_name": said.get("model name", machine), "num_logical_cores": os.cpu_count() or 1}
