"""How long a script that imports transformers takes from its start to its end, under real torch and under ``python -m jtorch``: ``python -m compat.packages.start --venv DIR [--write]``.

The environment needs transformers, torch and jax. A pair is a process of each, one after the other; what other processes do to one it does to the other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compat.packages.page import write_section

ROOT = Path(__file__).parent.parent.parent
ALLOWED = 1.3
SCRIPTS = {
    "import transformers": "import transformers\n",
    "its models and its Trainer": "import torch\nfrom transformers import AutoTokenizer, GPT2LMHeadModel, Trainer\n",
}


def seconds(command: list[str]) -> float:
    """One process, by the clock."""
    began = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def row(name: str, theirs: list[float], ours: list[float]) -> str:
    """Least and median of both, and of their ratios."""
    ratios = [b / a for a, b in zip(theirs, ours, strict=True)]
    cells = [name, str(len(theirs)), *(f"{f(v):.2f} s" for v in (theirs, ours) for f in (min, statistics.median))]
    return " | ".join([*cells, f"{min(ours) / min(theirs):.2f}", f"{statistics.median(ratios):.2f}"])


def document(rows: list[str]) -> str:
    """The table."""
    lines = [
        "## How long they take to start", "", "Written by `python -m compat.packages.start --venv DIR --write`: whole processes in pairs, one under real torch and one under `python -m jtorch`.",
        f"At most {ALLOWED} times torch's time is allowed.", "", "| script | pairs | torch, least | median | jtorch, least | median | ratio of the least | median ratio |", "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*lines, *(f"| {r} |" for r in rows)]) + "\n"


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m compat.packages.start", description=__doc__)
    parser.add_argument("--venv", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--only", type=int, help="one script, by its number: what it finds is kept until the others are there, too")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "jtorch-start")
    parser.add_argument("--write", action="store_true", help="write the section of docs/packages.md")
    args = parser.parse_args()
    args.keep.mkdir(parents=True, exist_ok=True)
    python = str(args.venv.absolute() / "bin" / "python")
    for i, (name, text) in enumerate(SCRIPTS.items()):
        if args.only not in (None, i):
            continue
        script = args.keep / f"script{i}.py"
        script.write_text(text)
        theirs, ours = [], []
        for _ in range(args.pairs):
            theirs.append(seconds([python, str(script)]))
            ours.append(seconds([python, "-m", "jtorch", str(script)]))
        (args.keep / f"row{i}").write_text(row(name, theirs, ours))
        print(row(name, theirs, ours), flush=True)
    found = [args.keep / f"row{i}" for i in range(len(SCRIPTS))]
    if args.write and all(f.exists() for f in found):
        write_section("start", document([f.read_text() for f in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
