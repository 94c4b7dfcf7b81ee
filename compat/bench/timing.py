"""Clocks, and the tables that come of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax


def alternate(runs: dict[str, Callable[[], Any]], rounds: int, warm: int = 2) -> dict[str, float]:
    """Median seconds of each function; they take turns, so that a slow moment of the machine hits them all."""
    for _ in range(warm):
        for f in runs.values():
            f()
    times: dict[str, list[float]] = {k: [] for k in runs}
    for _ in range(rounds):
        for k, f in runs.items():
            begin = time.perf_counter()
            f()
            times[k].append(time.perf_counter() - begin)
    return {k: statistics.median(v) for k, v in times.items()}


class Compilations:
    """Counts XLA compilations (programs that came from the persistent cache included) from here on."""

    _count = 0
    _listening = False

    def __init__(self) -> None:
        if not Compilations._listening:
            Compilations._listening = True
            jax.monitoring.register_event_duration_secs_listener(Compilations._heard)
        self.start = Compilations._count

    @staticmethod
    def _heard(event: str, seconds: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            Compilations._count += 1

    @property
    def count(self) -> int:
        return Compilations._count - self.start


class Table:
    """Rows printed as they come and kept for the document."""

    def __init__(self, title: str, columns: list[str], note: str = "") -> None:
        self.title, self.columns, self.note = title, columns, note
        self.rows: list[list[str]] = []
        print(f"\n{title}\n  " + "".join(f"{c:>22s}" if i else f"{c:34s}" for i, c in enumerate(columns)), flush=True)

    def row(self, *cells: Any) -> None:
        texts = [c if isinstance(c, str) else f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells]
        self.rows.append(texts)
        print("  " + "".join(f"{c:>22s}" if i else f"{c:34s}" for i, c in enumerate(texts)), flush=True)

    def merged(self, old: str, key: int) -> None:
        """Take over the rows of an earlier table, as text, that were not measured now; rows are known by their first ``key`` cells."""
        before = [[c.strip() for c in line.strip().strip("|").split("|")] for line in old.splitlines() if line.startswith("|")][2:]
        mine = {tuple(r[:key]): r for r in self.rows}
        known = {tuple(r[:key]) for r in before}
        width = len(self.columns)
        self.rows = [mine.get(tuple(r[:key]), (r + [""] * width)[:width]) for r in before] + [r for r in self.rows if tuple(r[:key]) not in known]

    def markdown(self) -> str:
        lines = [f"## {self.title}", "", *([self.note, ""] if self.note else []), "| " + " | ".join(self.columns) + " |", "|" + "---|" * len(self.columns)]
        return "\n".join(lines + ["| " + " | ".join(r) + " |" for r in self.rows]) + "\n"
