"""Measurements side by side."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

from .measurement import Measurement, ordered_unique, select_unit, trim_sigfig, unit_to_english

__all__ = ["Colorize", "Compare"]

_BOLD, _BLUE, _GREEN, _END = "\033[1m", "\033[34m", "\033[92m", "\033[0m"


class Colorize(enum.Enum):
    NONE = "none"
    COLUMNWISE = "columnwise"
    ROWWISE = "rowwise"


class Compare:
    """A table of measurements: a row for each sub-label (below its number of threads), a column for each description."""

    def __init__(self, results: list[Measurement]) -> None:
        self._results: list[Measurement] = []
        self.extend_results(results)
        self._trim = False
        self._colorize = Colorize.NONE
        self._highlight_warnings = False

    def __str__(self) -> str:
        return "\n".join(self._render())

    def extend_results(self, results: Sequence[Measurement]) -> None:
        """Add measurements."""
        for r in results:
            if not isinstance(r, Measurement):
                raise ValueError(f"Expected an instance of `Measurement`, got {type(r)} instead.")
        self._results.extend(results)

    def trim_significant_figures(self) -> None:
        """Show no more digits than mean something."""
        self._trim = True

    def colorize(self, rowwise: bool = False) -> None:
        """Show the best in each column (row) in colour."""
        self._colorize = Colorize.ROWWISE if rowwise else Colorize.COLUMNWISE

    def highlight_warnings(self) -> None:
        """Mark what fluctuates."""
        self._highlight_warnings = True

    def print(self) -> None:
        """Print the tables."""
        print(str(self))

    def _render(self) -> list[str]:
        merged = Measurement.merge(self._results)
        labels = ordered_unique(m.label for m in merged)
        return ["\n".join(self._table([m for m in merged if m.label == label])) for label in labels]

    def _table(self, group: list[Measurement]) -> list[str]:
        unit, scale = select_unit(min(m.median for m in group))
        columns = ordered_unique((m.env, m.description) for m in group)
        rows = sorted(ordered_unique((m.num_threads, m.task_spec.env or "", m.as_row_name) for m in group), key=lambda r: r[0])
        found = {((m.num_threads, m.task_spec.env or "", m.as_row_name), (m.env, m.description)): m for m in group}
        digits = max(m.significant_figures for m in group)
        shown = {at: self._shown(m, scale, digits) for at, m in found.items()}
        names = [f"      {r[2]}" for r in rows]
        first = max(len(n) for n in (*names, *(f"{r[0]} threads: " for r in rows)))
        widths = [max(len(c[1] or ""), *(len(shown.get((r, c), "")) for r in rows)) + 2 for c in columns]
        heads = [f"{c[1] or '':^{w}}" for c, w in zip(columns, widths, strict=True)]
        head = " " * first + "  |" + "|".join(heads)
        title = f" {group[0].label or ''} "
        lines = [f"[{title:-^{max(len(head) - 2, len(title))}}]", head]
        for row, name in zip(rows, names, strict=True):
            threads = f"{row[0]} threads: "
            if not any(line.startswith(threads) for line in lines):
                lines.append(threads + "-" * max(len(head) - len(threads), 0))
            cells = [self._coloured(f"{shown.get((row, c), ''):^{w}}", found, row, c, rows, columns) for c, w in zip(columns, widths, strict=True)]
            lines.append(f"{name:<{first}}  |" + "|".join(cells))
        return [*lines, "", f"Times are in {unit_to_english(unit)}s ({unit}).", ""]

    def _shown(self, m: Measurement, scale: float, digits: int) -> str:
        value = m.median / scale
        if self._trim:
            value = trim_sigfig(value, m.significant_figures)
            text = f"{value:.{min(max(digits - len(str(int(value))), 0), 1)}f}"
        else:
            text = f"{value:.1f}"
        return text + (f" (! {100 * m.iqr / m.median:.0f}%)" if self._highlight_warnings and m.has_warnings else "")

    def _coloured(self, text: str, found: dict[Any, Measurement], row: Any, column: Any, rows: list[Any], columns: list[Any]) -> str:
        m = found.get((row, column))
        if self._colorize is Colorize.NONE or m is None:
            return text
        others = [found.get((r, column)) for r in rows] if self._colorize is Colorize.COLUMNWISE else [found.get((row, c)) for c in columns]
        ratio = m.median / min(o.median for o in others if o is not None)
        if ratio <= 1.03:
            return f"{_GREEN}{_BOLD}{text}{_END}{_END}"
        return f"{_BLUE}{_BOLD}{text}{_END}{_END}" if ratio <= 1.1 else text
