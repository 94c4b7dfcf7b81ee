"""Libraries' own tests: a share of those that real torch passes, run under ``python -m jtorch -m pytest``; what fails, by cause.

    python -m compat.packages.suites --venv DIR --checkouts DIR [--only kornia] [-v] [--write]

The checkouts are folders named OWNER+NAME, as for compat.programs, with the sources and tests of the release that the table names. What real torch did is kept in ``--keep``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from compat.packages.page import section, write_section

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Suite:
    """Where a library's tests are, and how many of them are run."""

    source: str  # OWNER/NAME
    release: str
    tests: tuple[str, ...]  # files and folders, from ``below``
    every: int = 1
    """One test in so many, by a hash of its name."""
    below: str = ""
    paths: tuple[str, ...] = ()
    """Folders put before the installed packages."""
    options: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    longest: float = 5.0
    """Seconds of a processor; what takes real torch longer is left out."""


SUITES = {
    "einops": Suite("arogozhnikov/einops", "0.8.2", ("einops/tests",), paths=(".",), env=(("EINOPS_TEST_BACKENDS", "numpy,torch"),)),
    "torchmetrics": Suite("Lightning-AI/torchmetrics", "1.9.0", ("tests/unittests/classification",), 500, paths=("src", "tests")),
    "kornia": Suite("kornia/kornia", "0.9.0rc1", ("tests/geometry",), 60, paths=(".",), options=("--device=cpu", "--dtype=float32,float64")),
    "timm": Suite("huggingface/pytorch-image-models", "1.0.31", ("tests/test_models.py", "tests/test_layers.py", "tests/test_layers_pool.py", "tests/test_optim.py", "tests/test_scheduler.py"), 600, paths=(".",), longest=1),
    "safetensors": Suite(
        "huggingface/safetensors", "0.8.0", ("tests/test_pt_comparison.py", "tests/test_pt_model.py", "tests/test_simple.py", "tests/test_handle.py", "tests/test_multithreaded.py", "tests/test_threadable.py"),
        below="bindings/python",
    ),
    "torch_geometric": Suite("pyg-team/pytorch_geometric", "2.8.0", ("test/nn/conv",), 5, paths=(".",), options=("-m", "not rag and not dataset")),
    "x_transformers": Suite("lucidrains/x-transformers", "2.26", ("tests",), 16, paths=(".",), longest=2),
}  # fmt: skip
Tests = dict[str, dict[str, object]]


def once(suite: Suite, library: str, args: argparse.Namespace, choice: dict[str, object], found: Path) -> None:
    """One process of pytest."""
    folder = args.checkouts.absolute() / suite.source.replace("/", "+") / suite.below
    names = json.loads(Path(str(choice["names"])).read_text()) if "names" in choice else []
    tests = sorted({n.partition("::")[0] for n in names}) or suite.tests
    command = [
        str(args.venv.absolute() / "bin" / "python"), *(["-m", "jtorch"] if library == "jtorch" else []), "-m", "pytest", "-q", "-o", "addopts=", "-p", "compat.packages.sampling", "-p", "no:cacheprovider",
        "--continue-on-collection-errors", f"--timeout={args.timeout if library == 'jtorch' else min(args.timeout, 30 * suite.longest)}", *suite.options, *tests,
    ]  # fmt: skip
    paths = [*(str(folder / p) for p in suite.paths), str(ROOT)]
    env = {**os.environ, **dict(suite.env), "PYTHONPATH": os.pathsep.join(paths), "SUITE": json.dumps({**choice, "found": str(found)}), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with (found.parent / f"{found.stem}.log").open("a") as log:
        subprocess.run(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT)


def read(found: Path) -> tuple[Tests, str, int]:
    """(what became of each test, the one that was running at the end, how many there are)."""
    tests: Tests = {}
    running, collected = "", 0
    for line in map(json.loads, found.read_text().splitlines() if found.exists() else ()):
        if "began" in line:
            running = line["began"]
        elif "name" in line:
            before = tests.get(line["name"])
            if before is None or before["outcome"] == "passed":
                tests[line["name"]] = line
        else:
            collected = max(collected, line["collected"])
    return tests, "" if running in tests else running, collected


def run(suite: Suite, library: str, args: argparse.Namespace, choice: dict[str, object], found: Path) -> tuple[Tests, int]:
    """Every chosen test, in as many processes as it takes: one that ends its process has failed."""
    found.unlink(missing_ok=True)
    names: list[str] = []
    while True:
        once(suite, library, args, choice, found)
        tests, running, collected = read(found)
        if running:
            with found.open("a") as out:
                out.write(json.dumps({"name": running, "outcome": "failed", "text": "the process ended", "seconds": 0.0, "all": ""}) + "\n")
            tests, _, collected = read(found)
        names = names or (json.loads(Path(str(choice["names"])).read_text()) if "names" in choice else [])
        left = [n for n in names if n not in tests]
        if not running or not left:
            return tests, collected
        rest = found.with_suffix(".left")
        rest.write_text(json.dumps(left))
        choice = {"names": str(rest)}


def cause(text: str) -> str:
    """A failure's text without what differs from test to test."""
    return re.sub(r"0x[0-9a-f]+|-?\d[\d.e+-]*", "#", text)[:160].replace("|", "/")


def main() -> int:
    """Run them."""
    parser = argparse.ArgumentParser(prog="python -m compat.packages.suites", description=__doc__)
    parser.add_argument("--venv", type=Path, required=True, help="the environment of compat.packages")
    parser.add_argument("--checkouts", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("-k", "--pattern", default="", help="only tests whose name this matches")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "suites", help="folder for what real torch did")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one test, by the clock: a busy machine compiles slowly")
    parser.add_argument("--write", action="store_true", help="write the section of docs/packages.md")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    args.keep.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name in args.only or SUITES:
        suite = SUITES[name]
        kept = args.keep / f"{name}-{suite.release}-{suite.every}-torch.json"
        if not kept.exists():
            theirs, collected = run(suite, "torch", args, {"every": suite.every}, args.keep / f"{name}-torch.jsonl")
            kept.write_text(json.dumps([theirs, collected]))
        theirs, collected = json.loads(kept.read_text())
        good = sorted(n for n, t in theirs.items() if t["outcome"] == "passed" and t["seconds"] <= suite.longest and re.search(args.pattern, n))
        wanted = args.keep / f"{name}-wanted.json"
        wanted.write_text(json.dumps(good))
        began = time.monotonic()
        ours, _ = run(suite, "jtorch", args, {"names": str(wanted)}, args.keep / f"{name}-jtorch.jsonl")
        passed = [n for n in good if n in ours and ours[n]["outcome"] == "passed"]
        wrong = {n: str(ours[n]["text"]) if n in ours else "it was not collected" for n in good if n not in passed}
        causes = Counter(map(cause, wrong.values()))
        print(f"{name}: {len(passed)} of {len(good)} (of {collected} tests, one in {suite.every}; {len(theirs)} tried with torch), {time.monotonic() - began:.0f} s", flush=True)
        for text, n in causes.most_common():
            which = [k for k, t in wrong.items() if cause(t) == text]
            print(f"  {n:4d}  {text}\n        {', '.join(which[:3])}")
            if args.verbose:
                print("        " + str(ours.get(which[0], {}).get("all", "")).replace("\n", "\n        "))
        rows[name] = f"{suite.source} {suite.release}, {', '.join(suite.tests)} | {collected} | one in {suite.every} | {len(good)} | {len(passed)} | " + "; ".join(f"{n}: {t}" for t, n in causes.most_common(6))
    if args.write:
        write_section("own tests", document({**section_rows(), **rows}))
    return 0


def section_rows() -> dict[str, str]:
    """The rows as they stand in the page."""
    found = re.findall(r"^\| (\w+) \| (.*) \|$", section("own tests"), re.MULTILINE)
    return {name: rest for name, rest in found if name in SUITES}


def document(rows: dict[str, str]) -> str:
    """The table."""
    counts = [[int(n) for n in r.split(" | ")[3:5]] for r in rows.values()]
    total, passed = sum(c[0] for c in counts), sum(c[1] for c in counts)
    lines = [
        "## Their own tests", "", "Written by `python -m compat.packages.suites --venv DIR --checkouts DIR --write`. A share of each library's tests, drawn by a hash of their names, from the release's own sources;",
        "counted are those that pass with real torch in a few seconds each.", "", f"{passed} of {total} pass: {passed / max(1, total):.1%}.", "",
        "| library | tests | how many there are | drawn | pass with torch | pass with jtorch | what fails |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*lines, *(f"| {name} | {rows[name]} |" for name in sorted(rows))]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
