"""Ordinary pickles under torch's names: what ``python -m jtorch`` writes, torch reads, and the other way round."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

MAKE = """
import pickle, torch
from torch import nn
import torch.nn.functional as F

def made():
    torch.manual_seed(0)
    t, a, p = torch.arange(6.0).view(2, 3), torch.ones(2), nn.Parameter(torch.ones(2))
    a.note = p.note = "x"
    m = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.LSTM(3, 2))
    return {
        "tensor": t, "view": t.t(), "attribute": a, "parameter": p, "sparse": torch.eye(2).to_sparse(), "bfloat16": torch.ones(2, dtype=torch.bfloat16),
        "functions": [torch.relu, F.gelu, F.relu, torch.add, nn.init.xavier_uniform_], "classes": [nn.Linear, torch.Tensor, torch.optim.Adam, nn.MultiheadAttention],
        "kinds": [torch.float32, torch.Size([1, 2]), torch.device("cpu"), torch.strided], "module": m, "state": m.state_dict(), "optimizer": torch.optim.Adam(m.parameters()),
        "distribution": torch.distributions.Normal(torch.zeros(1), torch.ones(1)), "data": torch.utils.data.TensorDataset(torch.ones(2)),
    }

def written():
    return {(name, protocol): pickle.dumps(obj, protocol) for name, obj in made().items() for protocol in (2, 4)}
"""
OTHER = """
import sys
theirs = pickle.load(open(sys.argv[1], "rb"))
read = {key: pickle.loads(data) for key, data in theirs.items()}
assert read["attribute", 2].note == "x" and read["functions", 4][0] is torch.relu and type(read["module", 4]) is nn.Sequential
assert all(torch.equal(a, b) for a, b in zip(read["state", 2].values(), made()["state"].values()))
pickle.dump(written(), open(sys.argv[2], "wb"))
"""


def test_pickles_cross(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(MAKE, names)
    with open(tmp_path / "theirs", "wb") as stream:
        pickle.dump(names["written"](), stream)
    (tmp_path / "other.py").write_text(MAKE + OTHER)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "jtorch", str(tmp_path / "other.py"), str(tmp_path / "theirs"), str(tmp_path / "ours")], capture_output=True, text=True
    )
    assert not done.returncode, done.stderr[-2000:]
    with open(tmp_path / "ours", "rb") as stream:
        ours = pickle.load(stream)
    read = {key: pickle.loads(data) for key, data in ours.items()}
    here = names["made"]()
    for key, obj in read.items():
        assert type(obj) is type(here[key[0]]) and not type(obj).__module__.startswith("jtorch")
    assert read["attribute", 2].note == "x" and read["functions", 4][0] == torch.relu
    assert all(torch.equal(a, b) for a, b in zip(read["state", 2].values(), here["state"].values(), strict=True))
