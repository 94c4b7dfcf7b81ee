"""``python -m compat.bench [--only operators steps compiled looks adamw first recompilations starts shapes memory models kernels big] [-k PATTERN] [--write]``."""

from __future__ import annotations

import argparse
import os
import platform
import sys

import jax
import torch

from compat.bench import big_models, calls, kernels, memory, sections, shapes, ten_models
from compat.harness import DOCS

SECTIONS = {
    "operators": sections.operators,
    "steps": sections.steps,
    "compiled": calls.compiled,
    "looks": calls.looks,
    "adamw": sections.adamw,
    "recompilations": sections.recompilations,
    "first": sections.first_steps,
    "starts": sections.starts,
    "shapes": shapes.changing_sizes,
    "memory": memory.memory,
    "models": ten_models.table,
    "kernels": kernels.table,
    "big": big_models.table,
}

ROWS = {"models": 1, "kernels": 2, "shapes": 1, "big": 1}  # sections that can be made in parts, and how many cells name a row


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat.bench")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md: all of it, or the sections that were measured")
    parser.add_argument("-k", default="", help="of models, kernels, shapes and big models only rows whose name has this pattern; the others stay as they are, so that the tables can be made in parts")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(cores or 1)
    where = f"{platform.machine()}, {cores} cores, {jax.default_backend()}; Python {platform.python_version()}, jax {jax.__version__}, torch {torch.__version__}"
    print(where)
    tables = {name: SECTIONS[name](args.k) if name in ROWS else SECTIONS[name]() for name in args.only}
    if args.write:
        page = DOCS / "benchmarks.md"
        head = "\n".join(["# Benchmarks", "", "Written by `make bench`; do not edit by hand.", "", f"Measured on: {where}.", "", ""])
        parts: dict[str, str] = {}
        if len(tables) < len(SECTIONS) or args.k:  # the others stay as they are
            head, *old = page.read_text().split("## ")
            parts = {part.split("\n")[0]: f"## {part.rstrip()}\n" for part in old}
        for name, table in tables.items():
            if args.k and name in ROWS:
                table.merged(parts.get(table.title, ""), ROWS[name])
        parts |= {t.title: t.markdown() for t in tables.values()}
        DOCS.mkdir(exist_ok=True)
        page.write_text(head + "\n".join(parts.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
