"""Mutated checkpoints under both libraries: what jtorch takes, torch takes too, and both read the same values.

``python -m compat.attack.files_beside_torch --mutants 5000``. torch does not look at sizes of everything either; what only it takes is counted, not blamed.
"""

from __future__ import annotations

import argparse
import collections
import io
import random
import sys
import warnings
from typing import Any

import numpy as np
import torch

import jtorch

from .files_fuzz import honest, mutant


def plain(obj: Any, depth: int = 0) -> Any:
    """What was loaded, as nested tuples of numbers and bytes."""
    if isinstance(obj, (torch.Tensor, jtorch.Tensor)):
        if str(obj.layout) != "torch.strided":
            return (str(obj.layout), tuple(obj.shape), str(obj.dtype))
        head = (tuple(obj.shape), tuple(obj.stride()), obj.storage_offset(), str(obj.dtype), obj.requires_grad)
        if str(obj.dtype) in ("torch.bfloat16", "torch.uint16") or obj.numel() > 1 << 16 or obj.is_meta:
            return head
        return (*head, np.ascontiguousarray(obj.detach().resolve_conj().resolve_neg().numpy()).tobytes())
    if isinstance(obj, dict):
        return tuple((plain(k, depth + 1), plain(v, depth + 1)) for k, v in obj.items())
    if isinstance(obj, (list, tuple)):
        return tuple(plain(item, depth + 1) for item in obj)
    return repr(obj) if isinstance(obj, (int, float, str, bytes, bool, type(None))) else type(obj).__name__


def tried(lib: Any, file: bytes) -> tuple[str, Any]:
    """``("loaded", contents)`` or the error's type and text."""
    try:
        return "loaded", plain(lib.load(io.BytesIO(file)))
    except Exception as error:
        return type(error).__name__, str(error)


def compared(mutants: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    """Counts of how both ended, and the files that only jtorch took or that it read differently."""
    ends: collections.Counter[str] = collections.Counter()
    faults = []
    bases = honest()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for at in range(mutants):
            rng = random.Random(f"mutant {seed}.{at}")
            file = mutant(rng, rng.choice(bases))
            theirs, ours = tried(torch, file), tried(jtorch, file)
            ends[f"torch {'loads' if theirs[0] == 'loaded' else 'refuses'}, jtorch {'loads' if ours[0] == 'loaded' else 'refuses'}"] += 1
            if ours[0] == "loaded" and (theirs[0] != "loaded" or theirs[1] != ours[1]):
                faults.append(f"mutant {seed}.{at}: torch {theirs[0]} {str(theirs[1])[:160]!r}, jtorch {str(ours[1])[:160]!r}")
    return ends, faults


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    ends, faults = compared(chosen.mutants, chosen.seed)
    print(dict(ends))
    print(f"{len(faults)} taken or read differently")
    for text in faults[:60]:
        print(text)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
