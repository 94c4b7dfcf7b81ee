"""``python -m compat.programs --venv DIR --checkouts DIR [--only NAME...] [--write]``: runs the programs and writes docs/programs.md."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

from compat.packages.__main__ import ROOT, Found, run
from compat.programs.drivers import FROM, PROGRAMS, packages, repositories

PAGE = ROOT / "docs" / "programs.md"
TOLERANCE = 5e-4  # four significant digits


def judge(theirs: Found, ours: Found) -> str:
    """Same numbers, or what differs."""
    if theirs[1]:
        return f"does not run with torch: {theirs[1]}"
    if ours[1]:
        return f"fails: {ours[1]}"
    if len(theirs[0]) != len(ours[0]):
        return f"differs: {len(ours[0])} numbers for {len(theirs[0])}"
    far = [i for i, (a, b) in enumerate(zip(ours[0], theirs[0], strict=True)) if not math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-6) and not (a != a and b != b)]
    return f"differs: {ours[0][far[0]]:g} for {theirs[0][far[0]]:g}, number {far[0] + 1} of {len(ours[0])}" if far else "same numbers"


def document(verdicts: dict[str, str]) -> str:
    """The table."""
    good = sum(v.startswith("same") for v in verdicts.values())
    lines = [
        "# Programs", "", "Written by `python -m compat.programs --venv DIR --checkouts DIR --write`; do not edit by hand. Each program is other people's and unmodified; the drivers",
        "(`compat/programs/drivers/`) make small data, take 20 steps from one seed and compare the losses with real torch's to 4 significant digits.", "",
        f"{good} of {len(verdicts)} give torch's numbers: {good / max(1, len(verdicts)):.0%}.", "", "| program | from | what came of it |", "|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*lines, *(f"| {name} | {FROM[name]} | {v.replace('|', '/')} |" for name, v in verdicts.items())]) + "\n"


def main() -> int:
    """Run them."""
    parser = argparse.ArgumentParser(prog="python -m compat.programs")
    parser.add_argument("--venv", type=Path, required=True, help="the environment of compat.packages")
    parser.add_argument("--checkouts", type=Path, required=True, help="a folder with one folder for each repository, named OWNER+NAME")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--write", action="store_true", help="write docs/programs.md")
    parser.add_argument("--timeout", type=float, default=300)
    args = parser.parse_args()
    _ = packages, repositories
    os.environ["PROGRAMS_CHECKOUTS"] = str(args.checkouts.absolute())
    python, names = args.venv / "bin" / "python", args.only or sorted(PROGRAMS)
    theirs = dict(run(python, "torch", names, args.timeout, "compat.programs.run"))
    verdicts = {}
    for name, ours in run(python, "jtorch", names, args.timeout, "compat.programs.run"):
        verdicts[name] = judge(theirs[name], ours)
        print(f"{name}: {verdicts[name]}", flush=True)
    if args.write:
        PAGE.write_text(document(verdicts))
    return int(any(not v.startswith("same") for v in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
