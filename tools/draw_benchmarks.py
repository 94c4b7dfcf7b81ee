"""Plots of the tables in docs/benchmarks.md, into docs/plots/, and a line under each table's title that shows its plot. `make docs` runs it.

Only what stands in the tables is drawn, so a table that `make bench` measures anew needs nothing else.
"""

from __future__ import annotations

import pathlib
import re
from typing import NamedTuple

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "benchmarks.md"
COLOURS = {"jtorch": "#d9480f", "torch": "#495057", "jax": "#1c7ed6", "optax": "#1c7ed6"}
LEFT_OUT = re.compile(r" / |agree|of it|^programs$")  # columns that follow from others, or are part of one
MOST = 40  # rows that can be told apart in a plot
WIDE = 40  # between the smallest number and the largest: then the scale is logarithmic


class Plot(NamedTuple):
    """A table: its title, what the rows are, and a series of numbers (None: there is none) for each column that is drawn."""

    title: str
    rows: list[str]
    series: dict[str, list[float | None]]

    @property
    def file(self) -> str:
        return "plots/" + re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") + ".svg"


def plots(text: str) -> list[Plot]:
    """The tables of a page that have numbers to be compared."""
    found = []
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        title = part.splitlines()[0]
        cells = [[c.strip() for c in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
        if len(cells) < 3:
            continue
        head, _, *rows = cells
        series: dict[str, list[float | None]] = {}
        whose = ""  # a column that names no library is of the one before
        for i, name in enumerate(head[1:], 1):
            values = [float(r[i]) if re.fullmatch(r"\d+(\.\d+)?", r[i]) else None for r in rows]
            if not LEFT_OUT.search(name) and any(v is not None for v in values):
                whose = name.split(",")[0] if any(word in name for word in COLOURS) else whose
                series[name if whose in name else f"{whose}, {name}"] = values
        if series and len(rows) <= MOST:
            found.append(Plot(title, [r[0] for r in rows], series))
    return found


def draw(plot: Plot, target: pathlib.Path) -> None:
    """Horizontal bars, a group for each row of the table, with the numbers beside them."""
    count = len(plot.series)
    figure, axes = plt.subplots(figsize=(7.5, 0.7 + len(plot.rows) * (0.2 * count + 0.15)), layout="constrained")
    numbers = [v for values in plot.series.values() for v in values if v]
    if numbers and max(numbers) > WIDE * min(numbers):
        axes.set_xscale("log")
    for k, (name, values) in enumerate(plot.series.items()):
        kind = next((c for word, c in COLOURS.items() if word in name.split(",")[0]), "#868e96")
        at = [i + (k - (count - 1) / 2) * 0.8 / count for i, v in enumerate(values) if v is not None]
        bars = axes.barh(at, [v for v in values if v is not None], 0.75 / count, label=name, color=kind, alpha=0.55 if "warm" in name or "second" in name else 1.0)
        axes.bar_label(bars, [f"{v:g}" for v in values if v is not None], padding=3, fontsize=7)
    axes.set_yticks(range(len(plot.rows)), plot.rows)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(plot.title, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    if count > 1:
        axes.legend(fontsize=7, frameon=False)
    figure.savefig(target, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def shown(text: str, every: list[Plot]) -> str:
    """The page with a line for each plot below its title."""
    for plot in every:
        line = f"![{plot.title}]({plot.file})"
        if line not in text:
            text = text.replace(f"## {plot.title}\n", f"## {plot.title}\n\n{line}\n", 1)
    return text


def main() -> None:
    """Draw them all; what is no longer on the page goes."""
    matplotlib.rcParams.update({"svg.hashsalt": "jtorch", "svg.fonttype": "none", "font.family": "sans-serif"})
    text = PAGE.read_text()
    every = plots(text)
    folder = PAGE.parent / "plots"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for plot in every:
        draw(plot, PAGE.parent / plot.file)
    PAGE.write_text(shown(text, every))


if __name__ == "__main__":
    main()
