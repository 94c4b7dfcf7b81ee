"""How the result of an elementwise operator lies in memory: the order of dims follows the inputs' strides, as torch's TensorIterator has it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jtorch._core.storage.view_steps import is_contiguous

__all__ = ["computed_strides"]


def computed_strides(shape: tuple[int, ...], strides: Any, shapes: Any) -> tuple[int, ...] | None:
    """Strides of a result of ``shape`` from inputs with these strides and shapes (broadcast from the right); None if contiguous."""
    return _computed(tuple(shape), tuple(tuple(s) for s in strides), tuple(tuple(s) for s in shapes))


@lru_cache(maxsize=4096)
def _computed(shape: tuple[int, ...], strides: Any, shapes: Any) -> tuple[int, ...] | None:
    n = len(shape)
    full = []
    for st, sh in zip(strides, shapes, strict=True):
        lead = n - len(sh)
        full.append([0 if i < lead or sh[i - lead] == 1 else st[i - lead] for i in range(n)])
    if all(len(sh) == n and tuple(sh) == shape and tuple(st) == tuple(strides[0]) for st, sh in zip(strides, shapes, strict=True)) and _dense(shape, strides[0]):
        return None if is_contiguous(shape, strides[0]) else tuple(strides[0])
    order = list(range(n - 1, -1, -1))  # fastest first

    def should_swap(a: int, b: int) -> int:
        """1: dim a moves less far than b's place allows; as TensorIterator compares, operand by operand."""
        for st in full:
            sa, sb = st[a], st[b]
            if sa == 0 or sb == 0:
                continue
            if sa < sb:
                return -1
            if sa > sb:
                return 1
            if shape[a] > shape[b]:
                return 1
        return 0

    for i in range(1, n):
        at = i
        for j in range(i - 1, -1, -1):
            c = should_swap(order[j], order[at])
            if c > 0:
                order[j], order[at] = order[at], order[j]
                at = j
            elif c < 0:
                break
    out, step = [0] * n, 1
    for d in order:
        out[d] = step
        step *= shape[d]
    return None if is_contiguous(shape, tuple(out)) else tuple(out)


def _dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """No gaps and no overlap in memory."""
    step = 1
    for s, n in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n != 1):
        if s != step:
            return False
        step *= n
    return True
