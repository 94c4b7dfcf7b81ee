"""safetensors' own torch module, run by ``python -m jtorch`` and by torch: files, slices, models with tied weights, shards; mapped files take no memory twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("safetensors.torch")

PROGRAM = """
import json, os, sys, torch
from torch import nn
from safetensors.torch import load, load_file, load_model, safe_open, save, save_file, save_model
folder, other = sys.argv[1:3]
told = {}

def tell(name, fn):
    try:
        told[name] = fn()
    except Exception as error:
        told[name] = [type(error).__name__, str(error).strip()[:60]]

torch.manual_seed(0)
base = torch.arange(6.0)
kinds = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 uint16 uint32 uint64 float8_e4m3fn float8_e5m2".split()
tensors = {kind: torch.ones(2, 3).to(getattr(torch, kind)) for kind in kinds}
tensors |= {"grid": base.view(2, 3), "empty": torch.zeros(0, 3), "scalar": torch.tensor(3), "packed": torch.ones(2, 3).t().contiguous()}
path = os.path.join(folder, "x.safetensors")

def plain(found):
    return sorted((k, str(v.dtype), list(v.shape), v.float().tolist() if not v.is_complex() else v.real.tolist()) for k, v in found.items())

save_file(tensors, path, metadata={"format": "pt"})
tell("same file", lambda: open(path, "rb").read() == open(os.path.join(other, "x.safetensors"), "rb").read() if os.path.exists(os.path.join(other, "x.safetensors")) else True)
for backend in ("mmap", "pread"):
    tell("load " + backend, lambda: plain(load_file(path, backend=backend)))
tell("bytes", lambda: plain(load(save(tensors))))

def opened():
    with safe_open(path, "pt") as f:
        part = f.get_slice("grid")
        return sorted(f.keys()), f.metadata(), f.get_tensor("grid").tolist(), part[:, 1:].tolist(), part.get_shape(), part[0].tolist()

tell("opened", opened)
tell("shared", lambda: save_file({"x": base, "y": base[1:]}, os.path.join(folder, "no")))
tell("transposed", lambda: save_file({"x": base.view(2, 3).t()}, os.path.join(folder, "no")))
base.add_(1)
save_file({"x": base[:3], "y": base[3:]}, os.path.join(folder, "halves"))
tell("halves", lambda: plain(load_file(os.path.join(folder, "halves"))))

def tied():
    m = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    m.tied = m[0]
    return m

first, second = tied(), tied()
optimizer = torch.optim.AdamW(first.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    first[1](first[0](torch.ones(1, 2))).sum().backward()
    optimizer.step()
save_model(first, os.path.join(folder, "model"))
tell("model", lambda: [list(map(list, load_model(second, os.path.join(folder, "model")))), all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))])
tell("values", lambda: [[round(x, 3) for x in p.flatten().tolist()] for p in second.parameters()])

# Shards: an index, and parameters that take the loaded tensors as they are.
index = {}
for at, names in enumerate((["0.weight", "0.bias"], ["1.weight", "1.bias"])):
    save_file({n: first.state_dict()[n].clone() for n in names}, os.path.join(folder, f"shard{at}"))
    index |= dict.fromkeys(names, f"shard{at}")

def sharded():
    with torch.device("meta"):
        m = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    for shard in sorted(set(index.values())):
        m.load_state_dict(load_file(os.path.join(folder, shard)), strict=False, assign=True)
    o = torch.optim.SGD(m.parameters(), lr=0.1)
    m(torch.ones(1, 2)).sum().backward()
    o.step()
    return [[round(x, 3) for x in p.flatten().tolist()] for p in m.parameters()]

tell("sharded", sharded)
json.dump(told, open(os.path.join(folder, "told"), "w"))
"""


def test_safetensors_under_both(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    told: dict[str, Any] = {}
    for name, other in (("torch", "jtorch"), ("jtorch", "torch")):
        (tmp_path / name).mkdir()
        head = [sys.executable, "-W", "ignore", *(["-m", "jtorch"] if name == "jtorch" else [])]
        done = subprocess.run([*head, str(tmp_path / "program.py"), str(tmp_path / name), str(tmp_path / other)], capture_output=True, text=True)
        assert not done.returncode, done.stderr[-3000:]
        told[name] = json.loads((tmp_path / name / "told").read_text())
    for step, found in told["torch"].items():
        assert told["jtorch"][step] == found, step


MEMORY = """
import sys, torch

def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1024

torch.ones(3).sum().item()
before = anonymous()
if sys.argv[1] == "safetensors":
    from safetensors.torch import load_file
    loaded = load_file(sys.argv[2])
else:
    loaded = torch.load(sys.argv[2], mmap=sys.argv[1] == "mmap")
there = anonymous()
total = sum(float(t.sum()) for t in loaded.values())
print(round(there - before), round(anonymous() - before), total)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how much memory is anonymous")
@pytest.mark.parametrize("how", ["load", "mmap", "safetensors"])
def test_nothing_is_in_memory_twice(how: str, tmp_path: Path) -> None:
    tensors, path = {str(i): torch.full((4 << 20,), 0.5) for i in range(4)}, str(tmp_path / "x")  # 64 MB
    if how == "safetensors":
        from safetensors.torch import save_file

        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    (tmp_path / "memory.py").write_text(MEMORY)
    done = subprocess.run([sys.executable, "-W", "ignore", "-m", "jtorch", str(tmp_path / "memory.py"), how, path], capture_output=True, text=True)
    assert not done.returncode, done.stderr[-3000:]
    loaded, summed, total = done.stdout.split()
    assert float(total) == 4 * (2 << 20)
    assert int(loaded) < (70 if how == "load" else 6) and int(summed) < 90
