"""``python -m compat.upstream CHECKOUT [--files test_autograd.py ...] [-k PATTERN] [--every N] [-v]``.

What real torch does with each test is kept in ``--keep`` (by the content of the file), so that later runs ask jtorch alone. The table
gives each file's tests that torch passes, how many of them jtorch passes, and the causes of what fails, most frequent first. A test that
touches what only PyTorch's C++ build has (see ``internals.toml``) is counted apart. ``--write SNAPSHOT`` makes ``docs/upstream.md`` of it (and, with
``--known``, of what earlier runs kept alone; what it says of other files stays); ``SNAPSHOT`` says which checkout it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tempfile
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from compat.harness import DOCS, Record, run_all

HERE = Path(__file__).resolve().parent
FILES = ("test_autograd.py", "test_view_ops.py", "test_indexing.py", "test_nn.py", "functorch/test_vmap.py", "functorch/test_eager_transforms.py")
RECYCLE = 250  # tests that one process runs


def command(library: str, file: Path) -> list[str]:
    """The worker for one library and file."""
    return [sys.executable, "-m", "compat.upstream.worker", library, str(file)]


def remembered(kept: Path) -> dict[str, Record]:
    """Records of an earlier run."""
    if not kept.exists():
        return {}
    return {d["name"]: Record.from_json(d) for d in map(json.loads, kept.read_text().splitlines())}


def run(library: str, file: Path, names: list[str], args: argparse.Namespace, kept: Path | None = None) -> dict[str, Record]:
    """Each test's record; ``kept`` holds what is known and takes what is new."""
    before = remembered(kept) if kept else {}
    done = 0

    def seen(r: Record) -> None:
        nonlocal done
        done += 1
        if kept:
            with kept.open("a") as out:
                out.write(json.dumps(r.as_json()) + "\n")
        if args.verbose and library == "jtorch" and r.status != "pass":
            print(f"[{done}] {r.name} {r.status} {r.note}\n    " + "\n    ".join(r.details), flush=True)

    todo = [n for n in names if n not in before]
    fresh = {r.name: r for r in run_all(todo, command(library, file), args.jobs, args.timeout, seen, RECYCLE)}
    return {n: fresh.get(n) or before[n] for n in names}


def chosen(file: Path, names: list[str]) -> list[str]:
    """The tests of a file that are run: of those generated from the database of operators a fixed sample (``internals.toml``), of the others all."""
    for entry in tomllib.loads((HERE / "internals.toml").read_text()).get("sampled", ()):
        if entry["file"] == file.name:
            generated = [n for n in names if re.search(entry["pattern"], n)]
            left_out = set(generated) - set(generated[:: entry["every"]])
            names = [n for n in names if n not in left_out]
    return names


def cause(text: str) -> str:
    """A failure's text without what differs from test to test."""
    text = re.sub(r"0x[0-9a-f]+|-?\d[\d.e+-]*", "#", text)
    return re.sub(r"\b(float|int|uint|complex|bfloat)#", r"\1", text)[:150]


def internal(text: str, note: str) -> str:
    """The reason why a failure counts as one of PyTorch's C++ internals, or an empty string."""
    for entry in tomllib.loads((HERE / "internals.toml").read_text())["internal"]:
        if re.search(entry["pattern"], text + "\n" + note):
            return str(entry["reason"])
    return ""


@dataclass
class Report:
    """What became of a file's tests: how many there are for torch, and by cause those that jtorch fails, and those that are counted apart."""

    file: str
    listed: int
    ran: int
    passed: int
    slow: int
    causes: dict[str, list[str]]
    apart: dict[str, list[str]]

    @property
    def counted(self) -> int:
        return self.ran - sum(map(len, self.apart.values()))


def report(file: Path, listed: int, records: dict[str, Record], shown: int) -> Report:
    """Print a file's line and its causes."""
    causes: dict[str, list[str]] = defaultdict(list)
    apart: dict[str, list[str]] = defaultdict(list)
    passed = 0
    for name, r in records.items():
        if r.status == "pass":
            passed += 1
            continue
        text = r.checks["test"].first if "test" in r.checks and r.status == "fail" else f"{r.status} {r.checks['test'].skip if 'test' in r.checks else ''}"
        why = internal(f"{name}\n{text}\n" + "\n".join(r.details), r.note)
        (apart if why else causes)[why or cause(text)].append(name)
    inside = sum(map(len, apart.values()))
    counted = len(records) - inside
    print(f"\n{file.name}: {passed} of {counted} ({100 * passed / max(counted, 1):.1f} %); {inside} more reach into internals", flush=True)
    for text, names in sorted(causes.items(), key=lambda c: -len(c[1]))[:shown]:
        print(f"  {len(names):4d}  {text}\n        {', '.join(names[:4])}")
    for text, names in sorted(apart.items(), key=lambda c: -len(c[1])):
        print(f"  ({len(names):3d}) {text}: {', '.join(names[:3])}")
    slow = sum(r.status == "timeout" for r in records.values())
    return Report(file.name, listed, len(records), passed, slow, dict(causes), dict(apart))


def page(reports: list[Report], snapshot: str, timeout: float, before: str = "") -> str:
    """``docs/upstream.md``. What ``before``, the page as it was, says of other files stays."""
    fresh = {r.file for r in reports}
    rows, causes = ([line for line in before.splitlines() if (m := re.match(pattern, line)) and m[1] not in fresh] for pattern in (r"\| (\w+\.py) \|", r"- (\w+\.py)[:,]"))
    lines = [
        "# PyTorch's own test files",
        "",
        "`python -m compat.upstream CHECKOUT` runs them, and `--write` makes this page. The tests that real torch 2.13.0 passes are the denominator; what reaches into PyTorch's C++",
        "internals is counted apart (`compat/upstream/internals.toml`); of tests that are generated for each operator a sample is run (there, too). The project ships none of these files.",
        "Values that are wrong in themselves (an index out of range) are exceptions where somebody looks at what depends on them; at the end of `assertRaises` the runner looks.",
        "",
        f"Snapshot: {snapshot} A test that takes longer than {timeout:g} s of a processor, or five times that by the clock, counts as failed; how many did so is said.",
        "",
        "| file | tests | run | counted | pass | % | of the rest, out of time | apart |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in reports:
        lines.append(f"| {r.file} | {r.listed} | {r.ran} | {r.counted} | {r.passed} | {100 * r.passed / max(r.counted, 1):.1f} | {r.slow} | {r.ran - r.counted} |")
    lines += [*rows, "", "What fails, by cause (a cause that several tests share comes first; of the others the tests' names):", ""]
    for r in reports:
        shared = [(t, n) for t, n in sorted(r.causes.items(), key=lambda c: -len(c[1])) if len(n) > 1]
        lines += [f"- {r.file}: {len(n)} x `{t.partition(' To execute')[0].replace('`', '')[:140]}`" for t, n in shared]
        single = sorted(n[0].partition(".")[2] for n in r.causes.values() if len(n) == 1)
        if single:
            lines.append(f"- {r.file}, one by one: {', '.join(single)}")
    return "\n".join(lines + causes) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat.upstream", description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of PyTorch, or its test folder")
    parser.add_argument("--files", nargs="+", default=list(FILES))
    parser.add_argument("-k", "--pattern", default="", help="only tests whose Class.method this matches")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="a sample: every Nth test")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "upstream", help="folder for what real torch did")
    parser.add_argument("--resume", action="store_true", help="keep jtorch's records there as well and do not run again what passed or failed before")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("-j", "--jobs", type=int, default=1)
    parser.add_argument("--causes", type=int, default=40)
    parser.add_argument("--write", metavar="SNAPSHOT", help="make docs/upstream.md")
    parser.add_argument("--known", action="store_true", help="run nothing: report what was kept (by --resume)")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    folder = args.checkout / "test" if (args.checkout / "test").is_dir() else args.checkout
    args.keep.mkdir(parents=True, exist_ok=True)
    reports: list[Report] = []
    for one in args.files:
        file = (folder / one).resolve()
        stem = f"{file.stem}-{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
        listed = run("torch", file, ["?"], args, args.keep / f"{stem}-names.jsonl")["?"]
        names = [n for n in chosen(file, listed.note.split()) if re.search(args.pattern, n)][:: args.every]
        known = args.keep / f"{stem}-torch.jsonl"
        theirs = remembered(known) if args.known else run("torch", file, names, args, known)
        good = [n for n in names if n in theirs and theirs[n].status == "pass"]
        kept = args.keep / f"{stem}-jtorch.jsonl"
        if args.known:
            before = remembered(kept)
            reports.append(report(file, len(good), {n: before[n] for n in good if n in before}, args.causes))
            continue
        ours = run("jtorch", file, good, args, kept if args.resume else None)
        reports.append(report(file, len(good), ours, args.causes))
    passed, counted = sum(r.passed for r in reports), sum(r.counted for r in reports)
    print(f"\n{passed} of {counted} tests that real torch passes ({100 * passed / max(counted, 1):.1f} %)")
    if args.write:
        before = (DOCS / "upstream.md").read_text() if (DOCS / "upstream.md").exists() else ""
        (DOCS / "upstream.md").write_text(page(reports, args.write, args.timeout, before))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
