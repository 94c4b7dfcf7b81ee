"""Draws the floors of jtorch, from the imports themselves, as a Mermaid diagram between the marks in docs/tour.md. `make docs` runs it.

An arrow goes from who imports to who is imported. What follows from other arrows is left out (a transitive reduction), so that the picture shows
the order of the floors and not each import; how many imports an arrow stands for is written on it.
"""

from __future__ import annotations

import pathlib
import sys
import tomllib

import grimp

ROOT = pathlib.Path(__file__).parent.parent
TARGET = ROOT / "docs" / "tour.md"
BEGIN, END = "<!-- floors: written by tools/draw_floors.py -->\n", "<!-- end of floors -->\n"


def _floors(container: str) -> dict[str, tuple[str, ...]]:
    """The floors inside a package, from the top down, as its contract in pyproject.toml has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c.get("containers") == [f"jtorch.{container}"])
    return {f"{container}.{name}": (f"{container}.{name}",) for name in layers}


# What a person calls these parts, from the top of the house down. A part is a set of packages; the first that holds a module counts.
PARTS: dict[str, tuple[str, ...]] = {
    "torch's API in torch's own words": (
        "nn", "optim", "func", "amp", "autograd", "utils", "serialization", "distributions", "distributed", "linalg", "fft", "special", "random", "cuda", "fx",
        "jit", "library", "profiler", "export", "ao", "sparse", "testing", "signal", "backends", "hub", "overrides",
    ),
    "_api": ("_api",),
    **_floors("_core"),
    **_floors("_engine"),
    "_ops": ("_ops",),
    "_random": ("_random",),
    "_registry": ("_registry",),
}  # fmt: skip


def _part_of(module: str) -> str | None:
    name = module.removeprefix("jtorch.")
    for part, packages in PARTS.items():
        if any(name == p or name.startswith(p + ".") for p in packages):
            return part
    return None


def arrows() -> dict[tuple[str, str], int]:
    """How many imports lead from one part to another."""
    graph = grimp.build_graph("jtorch", exclude_type_checking_imports=True, cache_dir=None)
    found: dict[tuple[str, str], int] = {}
    for module in graph.modules:
        here = _part_of(module)
        for other in graph.find_modules_directly_imported_by(module):
            there = _part_of(other)
            if here and there and here != there:
                found[here, there] = found.get((here, there), 0) + 1
    return found


def _reduced(found: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    below: dict[str, set[str]] = {}
    for a, b in found:
        below.setdefault(a, set()).add(b)

    def reaches(a: str, b: str, seen: set[str]) -> bool:
        return any(c == b or (c not in seen and not seen.add(c) and reaches(c, b, seen)) for c in below.get(a, ()))  # type: ignore[func-returns-value]

    return {(a, b): n for (a, b), n in found.items() if not any(reaches(c, b, {c}) for c in below[a] if c != b)}


def picture() -> str:
    """The diagram."""
    found = arrows()
    kept = _reduced(found)
    lines = ["```mermaid", "flowchart TD"]
    names = {part: f"p{i}" for i, part in enumerate(PARTS)}
    for floor in ("_core", "_engine"):
        lines.append(f"  subgraph {floor}")
        lines += [f'    {key}["{part}"]' for part, key in names.items() if part.startswith(floor + ".") and any(part in pair for pair in found)]
        lines.append("  end")
    lines += [f'  {key}["{part}"]' for part, key in names.items() if not part.startswith(("_core.", "_engine."))]
    lines += [f"  {names[a]} -->|{n}| {names[b]}" for (a, b), n in sorted(kept.items(), key=lambda x: (list(names).index(x[0][0]), list(names).index(x[0][1])))]
    return "\n".join([*lines, "```", ""])


def page() -> str:
    """The tour, with the picture as it is now."""
    before, rest = TARGET.read_text().split(BEGIN)
    return before + BEGIN + picture() + END + rest.split(END)[1]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(TARGET.read_text() != page())
    TARGET.write_text(page())
