"""How results lie in memory: of an elementwise operator the order of dims follows the inputs' strides, as torch's TensorIterator has it; others keep channels_last."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.host_memory import contiguous_strides
from jtorch._core.storage.view_steps import aval_of, is_contiguous

__all__ = ["channels_last", "columns", "computed_strides", "format_of", "formatted_strides", "strides_of_gradient"]


def computed_strides(shape: tuple[int, ...], strides: Any, shapes: Any, numbers: bool = False) -> tuple[int, ...] | None:
    """Strides of a result of ``shape`` from inputs with these strides and shapes (broadcast from the right), and from ``numbers``, which count as tensors of no dims; None if
    contiguous, those of dims of size 1 included."""
    return _computed(tuple(shape), tuple(tuple(s) for s in strides), tuple(tuple(s) for s in shapes), numbers)


@lru_cache(maxsize=4096)
def _computed(shape: tuple[int, ...], strides: Any, shapes: Any, numbers: bool) -> tuple[int, ...] | None:
    n = len(shape)
    full = []
    for st, sh in zip(strides, shapes, strict=True):
        lead = n - len(sh)
        full.append([0 if i < lead or (sh[i - lead] == 1 and shape[i] != 1) else st[i - lead] for i in range(n)])
    if not numbers and all(tuple(sh) == shape for sh in shapes):
        if all(is_contiguous(shape, st) for st in strides):
            return None
        if n == 4 and all(_images_last(shape, st) for st in strides):
            return channels_last(shape)
        if all(st == strides[0] for st in strides) and _dense(shape, strides[0]):
            return strides[0]  # type: ignore[no-any-return]
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
    return _unless_contiguous(shape, tuple(out))


def _unless_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...] | None:
    return None if strides == contiguous_strides(shape) else strides


def format_of(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether images or volumes of these strides are in channels_last, as torch's ``suggest_memory_format`` has it."""
    n = len(shape)
    if n not in (4, 5) or strides[1] == 0:
        return False
    least = 0
    for d in (1, *range(n - 1, 1, -1), 0):
        if not shape[d] or strides[d] < least or (d == 0 and least == strides[1]):
            return False
        least = strides[d] * max(shape[d], 1)
    return True


def channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of channels_last."""
    n = len(shape)
    out, step = [0] * n, 1
    for d in (1, *range(n - 1, 1, -1), 0):
        out[d] = step
        step *= max(shape[d], 1)
    return tuple(out)


def _images_last(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether images lie in channels_last, whatever the strides of dims of size 1 are."""
    step = 1
    for d in (1, 3, 2, 0):
        if shape[d] != 1:
            if strides[d] != step:
                return False
            step *= shape[d]
    return True


def columns(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The strides of matrices that lie column by column, one matrix after another; None if that is contiguous."""
    *batch, rows, cols = shape
    out = (*[n * max(rows, 1) * max(cols, 1) for n in contiguous_strides(tuple(batch))], 1, max(rows, 1))
    return None if is_contiguous(shape, out) else out


def formatted_strides(rule: str, shape: tuple[int, ...], strides: Any, shapes: Any) -> tuple[int, ...] | None:
    """Strides of a result of ``shape`` by an operator's ``format``; None if contiguous."""
    if rule == "pointwise":
        return computed_strides(shape, strides, shapes) if shape == shapes[0] else None
    if rule == "like":  # as empty_like
        if shape != shapes[0]:
            return None
        kept = tuple(strides[0])
        return _unless_contiguous(shape, kept) if is_contiguous(shape, kept) or _dense(shape, kept) else computed_strides(shape, strides[:1], shapes[:1])
    found = [format_of(n, s) for n, s in zip(shapes, strides, strict=True)]
    wanted = found[0] if rule == "first" else len(shape) == 4 and any(found[:2]) if rule == "any" else all(found)
    out = channels_last(shape) if wanted and len(shape) == len(shapes[0]) else None
    return None if out is None else _unless_contiguous(shape, tuple(out))


def strides_of_gradient(leaf: Tensor) -> tuple[int, ...] | None:
    """How a gradient lies in memory: as its leaf, if that has no gaps and no overlap; None if contiguous, as it is then."""
    strides = leaf._s.strides if leaf._view is None else leaf._view.strides
    return strides if strides is not None and _dense(aval_of(leaf).shape, strides) else None


def _dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """No gaps and no overlap in memory."""
    step = 1
    for s, n in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n != 1):
        if s != step:
            return False
        step *= n
    return True
