"""Hostile checkpoints of ``torch.distributed.checkpoint``: folders written by both libraries, any file of which is changed, cut or replaced; and metadata made to lead out of the folder, to memory that
no file fills, or to names that are nobody's business.

``python -m compat.attack.folders_fuzz --mutants 5000``. Nothing runs, nothing outside of the folder is opened, memory stays near the folder's size, and whoever reads is told what is wrong.
"""

from __future__ import annotations

import argparse
import collections
import os
import pickle
import random
import shutil
import sys
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as theirs

import jtorch
import jtorch.distributed.checkpoint as ours
from jtorch import _config
from jtorch.distributed.checkpoint.api import CheckpointException

from .files_fuzz import CLEAR, FOREIGN, SECONDS, SLACK, mutant, watch


def _state(t: Any) -> dict[str, Any]:
    return {"model": {"w": t.arange(12.0).reshape(3, 4), "b": t.ones(4, dtype=t.bfloat16), "n": t.tensor(3)}, "list": [t.zeros(2), {"x": t.ones(1)}]}


def honest(folder: Path) -> list[Path]:
    """A folder of each library."""
    made = []
    for name, lib, t in (("theirs", theirs, torch), ("ours", ours, jtorch)):
        lib.save(_state(t), checkpoint_id=str(folder / name), no_dist=True)
        made.append(folder / name)
    return made


def filled() -> dict[str, Any]:
    """A state to be filled: ones that no checkpoint has."""
    return {"model": {"w": jtorch.full((3, 4), -7.0), "b": jtorch.full((4,), -7.0, dtype=jtorch.bfloat16), "n": jtorch.tensor(-7)}, "list": [jtorch.full((2,), -7.0), {"x": jtorch.full((1,), -7.0)}]}


def read(folder: Path, whole: bool) -> Any:
    """Into tensors that are there, or all that there is."""
    if whole:
        from jtorch.distributed.checkpoint.state_dict_loader import _load_state_dict_from_keys

        return _load_state_dict_from_keys(checkpoint_id=str(folder))
    state = filled()
    ours.load(state, checkpoint_id=str(folder), no_dist=True)
    return state


def changed(rng: random.Random, folder: Path) -> str:
    """Change one file of a folder; what was done."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    chosen = rng.choice([*files, *[folder / ".metadata"] * 2])
    data, kind = chosen.read_bytes(), rng.random()
    if kind < 0.8:
        data = mutant(rng, data)
    elif kind < 0.9:  # a name of somebody else's
        module, _, name = rng.choice(FOREIGN).rpartition(".")
        known = [b"torch.distributed.checkpoint.metadata", b"MetadataIndex", b"ChunkStorageMetadata", b"torch.distributed.checkpoint.filesystem", b"_StorageInfo", b"Size"]
        for old in rng.sample(known, 2):
            new = (module if b"." in old else name).encode()
            data = data.replace(bytes([len(old)]) + old, bytes([len(new)]) + new).replace(old, new)
    else:
        data = pickle.dumps(rng.choice((None, {}, [1], {"a": {}}, "x" * 100)))
    chosen.write_bytes(data)
    return f"{chosen.name}, {len(data)} bytes"


def attack(name: str, folder: Path, whole: bool, report: collections.Counter[str], faults: list[str]) -> Any:
    """Read one folder; what was read."""
    eye = watch()
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    eye.seen.clear()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    start, found, end = time.thread_time(), None, "read"
    eye.on = True
    try:
        found = read(folder, whole)
    except CheckpointException as error:
        inner = [x[0] for x in error.failures.values()]
        end = type(inner[0]).__name__
        if not isinstance(inner[0], (*CLEAR, FileNotFoundError, ValueError)):
            faults.append(f"{name}: {end}: {str(inner[0])[:300]}")
    except BaseException as error:  # noqa: BLE001
        end = type(error).__name__
        faults.append(f"{name}: {end}: {str(error)[:300]}")
    finally:
        eye.on = False
    report[end] += 1
    within = f"open ('{folder}"
    if seen := [e for e in eye.seen if not e.startswith(within) and ".py'" not in e]:  # a traceback's lines are read
        faults.append(f"{name}: did {seen[:3]}")
    if (seconds := time.thread_time() - start) > SECONDS:
        faults.append(f"{name}: took {seconds:.1f} s")
    _, peak = tracemalloc.get_traced_memory()
    if peak - before > SLACK + 2 * size:
        faults.append(f"{name}: took {peak - before} bytes for a folder of {size}")
    return found


def run(mutants: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    """How they ended, and what must not be."""
    report: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    kept, _config.CACHE_DIR = _config.CACHE_DIR, "0"  # another thread keeps programs
    with tempfile.TemporaryDirectory(prefix="folders") as top, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bases = honest(Path(top) / "honest")
        for base in bases:
            for whole in (False, True):
                found = read(base, whole)
                assert found["model"]["w"].tolist() == torch.arange(12.0).reshape(3, 4).tolist() and found["list"][1]["x"].tolist() == [1.0], base
        tracemalloc.start()
        os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # objects that are no tensors are pickles of the writer's choosing, in torch too, unless this is set
        for at in range(mutants):
            rng = random.Random(f"folder {seed}.{at}")
            folder = Path(top) / f"m{at}"
            shutil.copytree(rng.choice(bases), folder)
            what = changed(rng, folder)
            attack(f"folder {seed}.{at} ({what})", folder, rng.random() < 0.5, report, faults)
            shutil.rmtree(folder)
        tracemalloc.stop()
        os.environ.pop("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    _config.CACHE_DIR = kept
    return report, faults


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    report, faults = run(chosen.mutants, chosen.seed)
    print(f"{sum(report.values())} folders: {dict(report.most_common())}; {len(faults)} faults")
    for text in faults[:40]:
        print(text)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
