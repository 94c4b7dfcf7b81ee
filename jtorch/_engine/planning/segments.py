"""Where a trace is cut.

XLA's compile time on CPU grows faster than the program, and its fusions get worse; equal pieces can share one executable. So a long trace is cut
where its structure repeats (the layers of a model, forward, backward and update each), and every repetition is one segment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["cut", "repetition"]

SHORT = 140  # nodes that are one program whatever their structure
LONG = 320  # nodes without repetition that are still one program
_LEAST = 8  # a run of updates, or between updates, shorter than this is no piece of its own
TINY = 9  # a repetition this short is no layer: calls of many small programs would cost more than they compute
CHAIN = 240  # so many nodes of it are one program: calling one costs what recording twenty nodes does
HEAVY = 480  # a tiny repetition of more weight than this is a long loop: its pieces are cut by weight
PIECE = 48  # the weight of such a piece: what it takes to compile it grows with what it holds, and all share it
FAR = 240  # nodes after which a value that is still read has to be stored, and so is a kernel of its own
UNIT = 24  # a repetition shorter than this is joined with its neighbours
PART = 45  # a piece that is not looked into
WHOLE = 1000  # nodes that are one program where pieces would share little
# (share of the nodes that would be compiled, bytes that are alive at once): where so much would be, and no more is alive, one program is compiled sooner than the pieces, and runs no slower. First
# step and the others, in pieces and as one: a transformer encoder of 4 layers (0.6, 32 MiB) 2.9 s 46 ms, 1.8 s 41 ms; a U-Net of 895 nodes (0.9, 88 MiB) 14.7 s 0.70 s, 11.1 s 0.66 s. A GPT of 4 layers
# (0.5, 86 MiB) 2.5 s 157 ms, 2.1 s 178 ms: what its program needs at once is taken from the system anew each time.
LITTLE = ((0.45, 64 << 20), (0.85, 256 << 20))


def cut(
    tokens: Sequence[int], reads: Sequence[Sequence[int]], updates: Sequence[bool], weigh: Callable[[int], int] | None = None, held: Sequence[int] = (), wide: bool = False,
    sizes: Sequence[int] | None = None,
) -> list[int]:  # fmt: skip
    """Boundaries (starts of segments after the first) for nodes with these tokens; ``reads[i]`` are the nodes that node i reads.

    Equal tokens mean equal operators on equal avals. ``updates`` marks an optimizer's updates: they depend on nothing but a gradient each, so
    nothing is lost by cutting them finely, and their kernels are what is compiled again and again. ``weigh(i)`` says how many of XLA's operations
    node i is, and ``held`` are the nodes whose values somebody holds; both matter for long loops alone. ``wide``: it runs on several devices,
    where JAX needs time for each part of each array that a program gives or takes, and is small enough for its arrays to be there all at once. ``sizes``: bytes of what each node gives.
    """
    n = len(tokens)
    if n <= (LONG if wide else SHORT):
        return []
    t = np.asarray(tokens)
    kind = np.asarray(updates, bool)
    cuts: list[int] = []
    last = _last_reads(n, reads)
    crossing = _crossing(last)
    load = None if weigh is None else _Load(weigh, last, held)
    borders = [0, *(np.flatnonzero(kind[1:] != kind[:-1]) + 1).tolist(), n]
    for a, b in zip(borders, borders[1:], strict=False):
        if b - a < _LEAST:
            continue
        cuts += (a, b)
        _divide(t, a, b, crossing, cuts, _Sizes(16, 4) if kind[a] else _Sizes(PART, UNIT), None if kind[a] else load)
    found = sorted(set(c for c in cuts if 0 < c < n))
    return [] if sizes is not None and n <= WHOLE and len(borders) == 2 and _share_little(tokens, found, _crossing(last, sizes)) else found


def _share_little(tokens: Sequence[int], cuts: list[int], alive: np.ndarray) -> bool:
    """Whether pieces would have few nodes in common, and the whole has not too much alive at once (``alive``: bytes at each boundary)."""
    pieces = {tuple(tokens[a:b]) for a, b in zip([0, *cuts], [*cuts, len(tokens)], strict=True)}
    compiled = sum(map(len, pieces)) / len(tokens)
    return any([compiled >= share and alive.max() <= most for share, most in LITTLE])


class _Sizes(NamedTuple):
    short: int  # a piece that is not looked into
    unit: int  # the least length of a segment that repeats


def _last_reads(n: int, reads: Sequence[Sequence[int]]) -> np.ndarray:
    """The last node that reads each, -1 where none does."""
    last = np.full(n, -1, np.int64)
    for i, sources in enumerate(reads):
        for s in sources:
            last[s] = i
    return last


def _crossing(last: np.ndarray, sizes: Sequence[int] | None = None) -> np.ndarray:
    """For each boundary i, how many values made before node i are read at or after it, or with ``sizes`` how many bytes."""
    n = len(last)
    delta = np.zeros(n + 2, np.int64)
    made = np.nonzero(last >= 0)[0]
    each = 1 if sizes is None else np.asarray(sizes, np.int64)[made]
    np.add.at(delta, made + 1, each)
    np.add.at(delta, last[made] + 1, -each)
    return np.cumsum(delta)[: n + 1]


class _Load:
    """What nodes weigh for the compiler."""

    def __init__(self, weigh: Callable[[int], int], last: np.ndarray, held: Sequence[int]) -> None:
        self.weigh = weigh
        self.stored = last > np.arange(len(last)) + FAR
        self.stored[list(held)] = True

    def of(self, start: int, period: int) -> float:
        """The weight of one turn: what is fused into what follows costs little."""
        return sum(max(self.weigh(i), 1) * (1.0 if self.stored[i] or self.weigh(i) > 2 else 0.2) for i in range(start, start + period))


def _divide(t: np.ndarray, start: int, end: int, crossing: np.ndarray, cuts: list[int], sizes: _Sizes, load: _Load | None) -> None:
    if end - start <= sizes.short:
        return
    found = _repetition(t[start:end], sizes)
    if found is None:
        _chop(start, end, crossing, cuts)
        return
    first, period, times = found
    first += start
    least = sizes.unit if period > TINY else max(sizes.unit, CHAIN)
    if period <= TINY and load is not None:
        turn = load.of(first + period * (times // 2), period)
        if turn * times > HEAVY:
            least = min(least, period * max(1, int(PIECE / turn)))
    unit = period * max(1, -(-least // period))
    spare = period * times - unit * (period * times // unit)
    # The phase is free as long as whole units fit: take the one that cuts the fewest values.
    count = (period * times) // unit
    if count < 2:
        _chop(start, end, crossing, cuts)
        return
    slack = min(period - 1, spare + (end - (first + period * times)))
    phase = min(range(slack + 1), key=lambda p: (int(crossing[first + p]), p)) if slack > 0 else 0
    first += phase
    if first + unit * count > end:
        count -= 1
    bounds = [first + k * unit for k in range(count + 1)]
    cuts += bounds
    _divide(t, start, bounds[0], crossing, cuts, sizes, load)
    _divide(t, bounds[-1], end, crossing, cuts, sizes, load)


def _repetition(t: np.ndarray, sizes: _Sizes) -> tuple[int, int, int] | None:
    """(first, period, times) of the run of equal blocks that covers most of ``t``; the shortest period among equals. None if little repeats."""
    n = len(t)
    best: tuple[int, int, int] | None = None
    covered = 0
    for period in range(1, n // 2 + 1):
        same = t[:-period] == t[period:]
        if np.count_nonzero(same) < max(period, covered - period):
            continue
        edges = np.flatnonzero(np.diff(np.concatenate(([0], same.view(np.int8), [0]))))
        starts, ends = edges[::2], edges[1::2]
        k = int(np.argmax(ends - starts))
        run = int(ends[k] - starts[k])
        if run < period:
            continue
        times = run // period + 1
        if times * period > covered + (0 if best is None else best[1] // 2) and times * period >= sizes.unit:
            best, covered = (int(starts[k]), period, times), times * period
    return best if covered >= min(n // 3, 2 * sizes.short) else None


def _chop(start: int, end: int, crossing: np.ndarray, cuts: list[int]) -> None:
    """A long piece without repetition: cut where the fewest values cross."""
    cuts.append(start)
    while end - start > LONG:
        low = start + LONG // 2
        at = low + int(np.argmin(crossing[low : start + LONG]))
        cuts.append(at)
        start = at
    cuts.append(end)


def repetition(tokens: Sequence[int]) -> tuple[int, int, int] | None:
    """(first, period, times) of what repeats at the end of a long sequence; None if nothing does."""
    found = _repetition(np.asarray(tokens), _Sizes(1, 1))
    if found is None or found[0] + found[1] * (found[2] + 1) < len(tokens):
        return None
    return found
