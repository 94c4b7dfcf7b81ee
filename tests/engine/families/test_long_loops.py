"""A loop whose sizes never stop changing holds its memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOP = """
import sys
import numpy as np
import jtorch as torch
from jtorch import nn
from jtorch._engine.families import family

first, every = int(sys.argv[1]), int(sys.argv[2])
r = np.random.RandomState(0)
embed, cell, out = nn.Embedding(17, 8), nn.GRU(8, 16, batch_first=True), nn.Linear(16, 17)
model = nn.ModuleList([embed, cell, out])
optimizer = torch.optim.AdamW(model.parameters(), 1e-3)


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1])


for step in range(every):
    b, n = int(r.randint(2, 33)), int(r.randint(2, 257))
    x = torch.tensor(r.randint(0, 17, (b, n)))
    optimizer.zero_grad()
    h = cell(embed(x))[0]
    mask = torch.arange(n)[None] < torch.tensor(r.randint(1, n + 1, b))[:, None]
    loss = (nn.functional.cross_entropy(out(h).flatten(0, 1), x.flatten(), reduction="none").view(b, n) * mask).sum() / mask.sum()
    loss.backward()
    optimizer.step()
    assert np.isfinite(loss.item())
    if step + 1 == first:
        then = resident()
print(then, resident(), family.stats.programs, family.stats.runs)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the resident size is read from /proc")
def test_ten_thousand_sizes_hold_their_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOP, "1000", os.environ.get("JTORCH_LOOP", "10000")], capture_output=True, text=True, check=True, env={**os.environ, "JTORCH_CACHE_DIR": "0"}
    )
    then, now, programs, runs = map(int, done.stdout.split())
    assert now <= then * 1.2, (then, now, programs, runs)
    assert runs > 900
