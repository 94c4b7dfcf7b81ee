"""Running the programs of ``programs.py`` under torch and under jtorch, size after size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import jtorch
from compat.bench.timing import Compilations
from jtorch import _config
from jtorch._engine.families import family

from .programs import Program

__all__ = ["arrays_of", "differentiated", "run", "settled", "ways"]

_BUCKETS = ((9, 16), (17, 24), (25, 32))  # what different dims are drawn from: one bucket each


def ways(p: Program) -> list[tuple[str, ...]]:
    """Which dims may change: each by itself, and all together (the sides of an image only together)."""
    names = p.sizes
    sides = tuple(n for n in names if n in "hw")
    alone = [sides if n in "hw" else (n,) for n in names]
    return list(dict.fromkeys([*alone, tuple(names)]))


def arrays_of(p: Program, sizes: dict[str, int], r: np.random.RandomState) -> list[np.ndarray]:
    """Inputs of these sizes."""
    return [_drawn(text, sizes, r) for text in p.inputs]


def _drawn(text: str, sizes: dict[str, int], r: np.random.RandomState) -> np.ndarray:
    what, *dims = text.split()
    shape = [sizes[d] if d in sizes else int(d) for d in dims]
    kind, _, below = what.partition(":")
    if kind == "f":
        return np.asarray(r.randn(*shape).astype("f"))
    if kind == "?":
        return np.asarray(r.rand(*shape) < 0.5)
    if kind == "l":
        lengths = r.randint(1, sizes[below] + 1, shape)
        lengths[0] = sizes[below]
        return np.asarray(lengths)
    return np.asarray(r.randint(0, sizes[below] if below else int(kind[1:]), shape))


def differentiated(t: Any, p: Program, state: Any, arrays: Sequence[np.ndarray]) -> list[Any]:
    """The results of a program, and the gradients of all that can have one."""
    inputs = [t.tensor(a) for a in arrays]
    leaves = [x.requires_grad_() for x in inputs if x.is_floating_point()]
    given = inputs if state is None else [state, *inputs]
    if state is not None:
        for q in state.parameters():
            q.grad = None
            leaves.append(q)
    out = p.run(t, *given)
    total = sum([o.cos().sum() for o in out if isinstance(o, t.Tensor) and o.requires_grad], t.zeros(()))
    if total.requires_grad:
        total.backward()
    return [o.detach() if isinstance(o, t.Tensor) else t.tensor(o) for o in out] + [x.grad for x in leaves if x.grad is not None]


def settled(t: Any, values: Sequence[Any]) -> list[np.ndarray]:
    """Results as numpy has them."""
    return [(v.float() if v.dtype in (t.bfloat16, t.float16) else v).resolve_conj().numpy() for v in values]


def run(p: Program, way: Sequence[str], steps: int) -> tuple[list[str], list[int], int]:
    """What differs between the libraries, how many programs each step compiled, and how often one for all sizes ran. ``way``: the dims that change."""
    _config.changed()
    r, draw = np.random.RandomState(0), np.random.RandomState(sum(map(ord, p.name)))
    sizes: list[dict[str, int]] = [{} for _ in range(steps)]
    for i, name in enumerate(p.sizes):
        low, high = _BUCKETS[i % len(_BUCKETS)]
        drawn = [high, *draw.permutation(np.arange(low, high))] if name in way else [high - 2] * steps
        for s, n in zip(sizes, drawn, strict=False):
            s[name] = int(n)
    states = []
    for t in (torch, jtorch):
        t.manual_seed(0)
        states.append(None if p.state is None else p.state(t))
    wrong, counts, before = [], [], family.stats.runs
    for k, here in enumerate(sizes):
        arrays = arrays_of(p, here, r)
        torch.manual_seed(k)
        jtorch.manual_seed(k)
        theirs = settled(torch, differentiated(torch, p, states[0], arrays))
        compiled = Compilations()
        ours = settled(jtorch, differentiated(jtorch, p, states[1], arrays))
        counts.append(compiled.count)
        if len(theirs) != len(ours):
            wrong.append(f"{here}: {len(ours)} results, torch {len(theirs)}")
        for i, (a, b) in enumerate(zip(theirs, ours, strict=False)):
            if a.shape != b.shape or a.dtype != b.dtype or not np.allclose(a, b, rtol=p.within, atol=p.within, equal_nan=True):
                wrong.append(f"{here}: result {i}, {b.dtype}{b.shape}, torch {a.dtype}{a.shape}")
    return wrong, counts, family.stats.runs - before
