"""Installs the packages into one virtual environment, runs every thing under real torch and under jtorch, compares the numbers, and writes docs/packages.md.

    python -m compat.packages --venv /tmp/packages [--only timm einops] [--write]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compat.packages import scan
from compat.packages.page import PAGE, rows, section, write_section
from compat.packages.things import THINGS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TOLERANCE = 1e-3


@dataclass
class Outcome:
    """One thing: its numbers or error under each library, and the verdict."""

    name: str
    torch: str
    jtorch: str
    verdict: str


Found = tuple[list[float], str]  # numbers, and the error or nothing


def run(python: Path, library: str, names: list[str], timeout: float, module: str = "compat.packages.run") -> Iterator[tuple[str, Found]]:
    """(name, (numbers, error)) of each thing, as they come."""
    command = [str(python), *(["-m", "jtorch"] if library == "jtorch" else []), "-m", module, *names]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "JTORCH_TRACEBACK": "full", "PACKAGES_TIMEOUT": str(timeout)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("\x1e"):
                found = json.loads(line[1:])
                print(f"{library} {found['name']}: {found['error'] or len(found['numbers'])} ({found['seconds']:.0f} s)", found["traceback"], file=sys.stderr, flush=True)
                yield found["name"], (found["numbers"], found["error"])


def judge(name: str, theirs: Found, ours: Found) -> Outcome:
    """Same numbers, or jtorch alone (where the package's compiled library is of another torch), or what differs."""
    if ours[1]:
        verdict = f"fails: {ours[1]}"
    elif theirs[1]:
        verdict = "works (not with this torch)"
    elif len(theirs[0]) == len(ours[0]) and all(math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-5) or (a != a and b != b) for a, b in zip(theirs[0], ours[0])):
        verdict = "same numbers"
    else:
        far = next((f"{a:g} for {b:g}" for a, b in zip(ours[0], theirs[0]) if not math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-5)), f"{len(ours[0])} for {len(theirs[0])} numbers")
        verdict = f"differs: {far}"
    return Outcome(name, theirs[1], ours[1], verdict)


def document(verdicts: dict[str, str]) -> str:
    """The table."""
    good = sum(v.startswith(("same", "works")) for v in verdicts.values())
    used = scan.names()
    lines = [
        "# Packages", "", "Written by `python -m compat.packages --venv DIR --write`; do not edit by hand. Each package (pinned in `compat/packages/requirements.txt`) is imported under",
        "`python -m jtorch` and one real thing is done with it (`compat/packages/things/`), beside real torch where its compiled parts load there.", "",
        f"{good} of {len(verdicts)} work: {good / max(1, len(verdicts)):.0%}. `compat/packages/names.txt` lists {len(used)} dotted names of torch that these packages use.", "",
        "| package | what came of it |", "|---|---|",
    ]  # fmt: skip
    return "\n".join([*lines, *(f"| {name} | {verdicts[name].replace('|', '/')} |" for name in sorted(verdicts))]) + "\n"


def main() -> int:
    """Run them."""
    parser = argparse.ArgumentParser(prog="python -m compat.packages")
    parser.add_argument("--venv", type=Path, required=True, help="the virtual environment, made and filled if it is not there")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--write", action="store_true", help="write docs/packages.md")
    parser.add_argument("--timeout", type=float, default=300)
    args = parser.parse_args()
    python = args.venv / "bin" / "python"
    if not python.exists():
        venv.create(args.venv, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", HERE / "requirements.txt"], check=True)
    from compat.packages.things import audio, science, text, training, vision

    _ = audio, science, text, training, vision
    names = args.only or sorted(THINGS)
    theirs = dict(run(python, "torch", names, args.timeout))
    outcomes = []
    for name, ours in run(python, "jtorch", names, args.timeout):
        outcomes.append(judge(name, theirs[name], ours))
        print(f"{name}: {outcomes[-1].verdict}", flush=True)
    if args.write:
        kept, others = section("own tests"), rows(PAGE.read_text().partition("<!--")[0]) if args.only else {}
        PAGE.write_text(document(others | {o.name: o.verdict for o in outcomes}))
        if kept:
            write_section("own tests", kept)
    return int(any(not o.verdict.startswith(("same", "works")) for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
