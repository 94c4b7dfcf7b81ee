"""Freed memory is kept for the next results, unless somebody has set up the C library's memory."""

import os
import subprocess
import sys

import pytest

from jtorch._engine.values import memory

# Results of 40 MiB: more than the C library keeps by itself.
FAULTS = """
import resource
import jtorch as torch

x = torch.ones(10 << 20)
for turn in range(40):
    if turn == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    y = x + 1
    y[0].item()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 20)
"""
PAGES = (40 << 20) // 4096


def faults(**settings: str) -> int:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_") and name not in ("GLIBC_TUNABLES", "JTORCH_FREE_MB", "LD_PRELOAD")}
    out = subprocess.run([sys.executable, "-c", FAULTS], env={**bare, **settings}, capture_output=True, text=True, check=True).stdout
    return int(out)


@pytest.mark.skipif(memory._libc("mallopt") is None, reason="the C library is not glibc")
def test_large_results_take_the_memory_that_the_last_ones_freed():
    # Left alone, they are new pages each time, which is what is to be seen if this measures anything. (Pages may be larger than 4 KiB: then neither has many.)
    alone = faults(JTORCH_FREE_MB="0")
    if alone > PAGES // 2:
        assert faults(JTORCH_FREE_MB="64") < alone // 2


@pytest.mark.skipif(memory._libc("mallopt") is None, reason="the C library is not glibc")
def test_whoever_has_set_up_the_memory_is_left_alone(monkeypatch):
    called: list[tuple[int, int]] = []
    monkeypatch.setattr(memory, "_libc", lambda name: lambda *a: called.append(a))
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    memory.keep_freed()
    assert not called
    monkeypatch.delenv("MALLOC_ARENA_MAX")
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(memory._config, "FREE_BYTES", 64 << 20)
    for name in [n for n in os.environ if n.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    memory.keep_freed()
    assert called and all(0 < value <= 1 << 28 for _, value in called)
