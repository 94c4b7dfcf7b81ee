"""``python -m compat.programs --venv DIR --checkouts DIR [--only NAME...] [--write]``: runs the programs and writes docs/programs.md.

What differs is asked for its cause: both libraries run it in float64, and real torch alone runs it in float32 with other kernels (see ``run.py``). Where float64 agrees
and real torch differs from itself, the program follows its last bits, and no other library can give its numbers. With ``--only``, the other rows stay as they are.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from compat.packages.__main__ import ROOT, Found, run
from compat.programs.drivers import FROM, PROGRAMS, load

PAGE = ROOT / "docs" / "programs.md"
TOLERANCE = 5e-4  # four significant digits


def first(ours: list[float], theirs: list[float], tolerance: float = TOLERANCE) -> int | None:
    """Where the numbers first differ."""
    return next((i for i, (a, b) in enumerate(zip(ours, theirs)) if not math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-6) and not (a != a and b != b)), None)


def judge(theirs: Found, ours: Found) -> str:
    """Same numbers, or what differs."""
    if theirs[1]:
        return f"does not run with torch: {theirs[1]}"
    if ours[1]:
        return f"fails: {ours[1]}"
    if len(theirs[0]) != len(ours[0]):
        return f"differs: {len(ours[0])} numbers for {len(theirs[0])}"
    far = first(ours[0], theirs[0])
    return "same numbers" if far is None else f"differs: {ours[0][far]:g} for {theirs[0][far]:g}, number {far + 1} of {len(ours[0])}"


def explain(verdict: str, theirs: Found, plain: Found, double: tuple[Found, Found], other: Found) -> str:
    """A difference with its cause: rounding, if float64 has none and real torch's kernels differ from each other; else what float64 says."""
    if any(f[1] or not f[0] for f in double):
        return f"{verdict}; in float64: {double[1][1] or double[0][1]}"
    if (far := first(double[1][0], double[0][0], 1e-5)) is not None:
        inner = f"in float64 too: {double[1][0][far]:g} for {double[0][0][far]:g}, number {far + 1}"
        if other[1] or (at := first(other[0], double[0][0], 1e-5)) is None:
            return f"{verdict}; {inner}"
        return f"rounding: {verdict.removeprefix('differs: ')}; {inner}, and real torch without oneDNN gives {other[0][at]:g} for {double[0][0][at]:g} there, number {at + 1}"
    if plain[1] or (at := first(plain[0], theirs[0])) is None:
        return f"{verdict}; in float64 the same numbers"
    return f"rounding: {verdict.removeprefix('differs: ')}; in float64 the same numbers, and real torch without oneDNN gives {plain[0][at]:g} for {theirs[0][at]:g}, number {at + 1}"


def document(verdicts: dict[str, str]) -> str:
    """The table."""
    good, rounded = (sum(v.startswith(word) for v in verdicts.values()) for word in ("same", "rounding"))
    lines = [
        "# Programs", "", "Written by `python -m compat.programs --venv DIR --checkouts DIR --write`; do not edit by hand. Each program is other people's and unmodified; the drivers",
        "(`compat/programs/drivers/`) make small data, take 20 steps from one seed and compare the losses with real torch's to 4 significant digits.", "",
        f"{good} of {len(verdicts)} give torch's numbers: {good / max(1, len(verdicts)):.0%}. {rounded} more follow their last bits (`rounding`): real torch with other kernels (without oneDNN,",
        "four threads) differs from itself as well, and in float64 the two agree as far as real torch agrees with itself there.", "", "| program | from | what came of it |", "|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*lines, *(f"| {name} | {FROM[name]} | {verdicts[name].replace('|', '/')} |" for name in sorted(verdicts))]) + "\n"


def written() -> dict[str, str]:
    """The verdicts as the page has them."""
    return {m[1]: m[2] for m in re.finditer(r"^\| (\w+) \| [^|]* \| (.*) \|$", PAGE.read_text(), re.MULTILINE) if m[1] in PROGRAMS}


def main() -> int:
    """Run them."""
    parser = argparse.ArgumentParser(prog="python -m compat.programs")
    parser.add_argument("--venv", type=Path, required=True, help="the environment of compat.packages")
    parser.add_argument("--checkouts", type=Path, required=True, help="a folder with one folder for each repository, named OWNER+NAME")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--write", action="store_true", help="write docs/programs.md")
    parser.add_argument("--timeout", type=float, default=300)
    args = parser.parse_args()
    load()
    os.environ["PROGRAMS_CHECKOUTS"] = str(args.checkouts.absolute())
    python, names = args.venv / "bin" / "python", args.only or sorted(PROGRAMS)

    def ask(library: str, which: list[str], how: str = "") -> Iterator[tuple[str, Found]]:
        os.environ["PROGRAMS_AS"] = how
        return run(python, library, which, args.timeout, "compat.programs.run") if which else iter(())

    theirs, verdicts = dict(ask("torch", names)), {}
    for name, ours in ask("jtorch", names):
        verdicts[name] = judge(theirs[name], ours)
        print(f"{name}: {verdicts[name]}", flush=True)
    differ = [name for name, verdict in verdicts.items() if verdict.startswith("differs")]
    plain, double, other = (dict(ask("torch", differ, how)) for how in ("plain", "double", "double plain"))
    same = dict(ask("jtorch", differ, "double"))
    for name in differ:
        verdicts[name] = explain(verdicts[name], theirs[name], plain[name], (double[name], same[name]), other[name])
        print(f"{name}: {verdicts[name]}", flush=True)
    if args.write:
        PAGE.write_text(document({**(written() if args.only else {}), **verdicts}))
    return int(any(not v.startswith(("same", "rounding")) for v in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
