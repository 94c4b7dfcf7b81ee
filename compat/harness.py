"""What every runner of compat/ shares: a record per case, isolated workers, the lists of gaps, and the scoreboard's files.

A case (an operator, a module, or one dtype of it: ``add@bfloat16``) is run in a worker process, so that a crash or a hang costs
that case and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BOARD = ROOT / "compat" / "scoreboard"
GAPS = ROOT / "compat" / "gaps.toml"
DOCS = ROOT / "docs"


@dataclass
class Check:
    """One check of one case: how often it passed and failed, the first failure, or why it does not apply."""

    passed: int = 0
    failed: int = 0
    first: str = ""
    skip: str = ""

    @property
    def mark(self) -> str:
        return "fail" if self.failed else "pass" if self.passed else "skip"


@dataclass
class Record:
    """All checks of one case. ``status``: pass, fail, missing, crash, timeout, or skip (nothing applies)."""

    name: str
    checks: dict[str, Check] = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""
    state: str = ""  # set from outside: crash, timeout
    details: list[str] = field(default_factory=list)

    def ok(self, check: str) -> None:
        self.checks.setdefault(check, Check()).passed += 1

    def fail(self, check: str, text: str, detail: str = "") -> None:
        entry = self.checks.setdefault(check, Check())
        entry.failed += 1
        entry.first = entry.first or text[:400]
        self.details.append(f"{check}: {text}" + (f"\n    {detail}" if detail else ""))

    def skip(self, check: str, reason: str) -> None:
        entry = self.checks.setdefault(check, Check())
        entry.skip = entry.skip or reason

    def expect(self, check: str, problem: str | None, detail: str = "") -> bool:
        """Count one comparison: ``problem`` is None when it holds."""
        if problem is None:
            self.ok(check)
            return True
        self.fail(check, problem, detail)
        return False

    @property
    def status(self) -> str:
        if self.state:
            return self.state
        marks = {c.mark for n, c in self.checks.items() if n not in REPORTED_ONLY}
        if "fail" in marks:
            return "missing" if set(self.failures()) == {"exists"} else "fail"
        return "pass" if "pass" in marks else "skip"

    def failures(self) -> list[str]:
        return [n for n, c in self.checks.items() if c.failed and n not in REPORTED_ONLY]

    def as_json(self, brief: bool = False) -> dict[str, Any]:
        """``brief``: the checks only where one fails."""
        data: dict[str, Any] = {"name": self.name, "status": self.status, "seconds": round(self.seconds, 2)}
        if self.note:
            data["note"] = self.note
        if brief and not self.failures():
            return data
        data["checks"] = {n: {k: v for k, v in asdict(c).items() if v} for n, c in self.checks.items()}
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        made = cls(data["name"], {n: Check(**c) for n, c in data.get("checks", {}).items()}, data["seconds"], data.get("note", ""))
        if data["status"] in ("crash", "timeout") or "checks" not in data:
            made.state = data["status"]
        return made


REPORTED_ONLY = frozenset({"error_text"})  # counted in the report, no condition of passing
TRANSFORMED = "_transformed"  # ends the section of a run through transformations
FULL = "_full"  # ends the section of a run with all samples, whose cases are single dtypes


def gaps(section: str) -> dict[str, str]:
    """Known gaps of a runner, ``{case: reason}``; a gap that passes has to be struck off the list."""
    return dict(tomllib.loads(GAPS.read_text()).get(section.removesuffix(FULL).removesuffix(TRANSFORMED), {})) if GAPS.exists() else {}


def listed(case: str, known: dict[str, str]) -> str | None:
    """The reason on the list of gaps for a case, or for the entry of which it is one dtype."""
    return known.get(case) or known.get(case.partition("@")[0])


def shown_status(record: Record, known: dict[str, str]) -> str:
    """The status as people see it: what fails and is on the list of gaps is a ``gap``."""
    return "gap" if record.status not in ("pass", "skip") and listed(record.name, known) else record.status


def first_line(e: BaseException) -> str:
    """An exception in one line."""
    text = next((line.strip() for line in str(e).splitlines() if line.strip()), "")
    return f"{type(e).__name__}: {text[:300]}"


# Workers -------------------------------------------------------------------------------------------------------------

MARK = "\x1eRECORD "


def serve(run: Callable[[str], Record]) -> None:
    """A worker's loop: a case's name on stdin, its record on stdout."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a case prints is not part of the protocol
    out.write(f"{MARK}ready\n")
    for line in sys.stdin:
        record = run(line.strip())
        out.write(MARK + json.dumps({**record.as_json(), "details": record.details}) + "\n")


class Worker:
    """A subprocess that runs cases; replaced after ``recycle`` cases, after a crash and after a timeout."""

    def __init__(self, command: list[str], timeout: float, recycle: int = 60) -> None:
        self.command, self.timeout, self.recycle = command, timeout, recycle
        self.process: subprocess.Popen[str] | None = None
        self.lines: Queue[str | None] = Queue()
        self.done = 0

    def start(self) -> None:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env, cwd=ROOT)
        self.lines, self.done = Queue(), 0
        threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True).start()
        if self._next(180.0) is None:
            raise RuntimeError(f"the worker did not start: {' '.join(self.command)}")

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: Queue[str | None]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                lines.put(line[len(MARK) :])
        lines.put(None)

    def _next(self, timeout: float) -> str | None:
        """A line; an empty one if the worker has taken ``timeout`` seconds of a processor for it, or five times that by the clock: the machine may have other work."""
        begin, used = time.perf_counter(), self._used()
        while True:
            try:
                return self.lines.get(timeout=min(timeout, 1.0))
            except Empty:
                waited = time.perf_counter() - begin
                if waited >= timeout and (used is None or waited >= 5 * timeout or (self._used() or 0.0) - used >= timeout):
                    return ""

    def _used(self) -> float | None:
        """Seconds of a processor that the worker has taken; None where the system does not say."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()  # type: ignore[union-attr]
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, name: str) -> Record:
        if self.process is None or self.process.poll() is not None or self.done >= self.recycle:
            self.stop()
            self.start()
        assert self.process is not None and self.process.stdin is not None
        begin = time.perf_counter()
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        line = self._next(self.timeout)
        self.done += 1
        if not line:
            state = "timeout" if line == "" else "crash"
            code = self.process.poll() if state == "crash" else None
            self.stop()
            return Record(name, seconds=time.perf_counter() - begin, state=state, note=f"exit code {code}" if code is not None else "")
        data = json.loads(line)
        details = data.pop("details")
        record = Record.from_json(data)
        record.details = details
        return record

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def run_all(names: Iterable[str], command: list[str], jobs: int, timeout: float, seen: Callable[[Record], None], recycle: int = 60) -> list[Record]:
    """Run every case in ``jobs`` isolated workers; ``seen`` hears of each record as it comes."""
    todo: Queue[str] = Queue()
    for name in names:
        todo.put(name)
    records: list[Record] = []
    lock = threading.Lock()

    def loop() -> None:
        worker = Worker(command, timeout, recycle)
        try:
            while True:
                try:
                    name = todo.get_nowait()
                except Empty:
                    return
                record = worker.run(name)
                with lock:
                    records.append(record)
                    seen(record)
        finally:
            worker.stop()

    threads = [threading.Thread(target=loop) for _ in range(jobs)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return sorted(records, key=lambda r: r.name)


# Scoreboard ----------------------------------------------------------------------------------------------------------


def load(section: str) -> dict[str, Record]:
    """The records last written for a runner."""
    return {d["name"]: Record.from_json(d) for d in _written(section).get("cases", ())}


def _written(section: str) -> dict[str, Any]:
    path = BOARD / f"{section}.json"
    return json.loads(path.read_text()) if path.exists() else {}  # type: ignore[no-any-return]


def write(section: str, records: dict[str, Record], known: Iterable[str], settings: str) -> None:
    """Write ``scoreboard/<section>.json`` and the list of passing cases. ``known``: every case there is."""
    BOARD.mkdir(parents=True, exist_ok=True)
    names, full = sorted(set(known)), section.endswith(FULL)
    cases = [json.dumps(records[n].as_json(brief=full)) for n in names if n in records]
    head = json.dumps({"settings": settings, "of": len(names)}).removesuffix("}")
    (BOARD / f"{section}.json").write_text(head + ', "cases": [\n' + ",\n".join(cases) + "\n]}\n")
    if not full and not section.endswith(TRANSFORMED):
        passing = [n for n in names if n in records and records[n].status == "pass"]
        (BOARD / f"{section}_passing.txt").write_text("\n".join(passing) + "\n" if passing else "")
    document()


def totals(statuses: Iterable[str]) -> dict[str, int]:
    return dict(Counter(statuses).most_common())


def in_words(count: dict[str, int]) -> str:
    return ", ".join(f"{n} {s}" for s, n in count.items())


def by_check(records: Iterable[Record], known: dict[str, str]) -> dict[str, list[int]]:
    """How many cases pass and fail each check; gaps are not counted."""
    per: dict[str, list[int]] = {}
    for r in records:
        for n, c in r.checks.items():
            if c.mark != "skip" and shown_status(r, known) != "gap":
                per.setdefault(n, [0, 0])[c.mark == "fail"] += 1
    return dict(sorted(per.items()))


def document() -> None:
    """Write docs/scoreboard.md from what the scoreboard's files hold."""
    lines = ["# Scoreboard", "", "Written by `make scoreboard` from real torch's own databases; do not edit by hand.", ""]
    for section, title in (("op_db", "Operators (op_db)"), ("module_db", "Modules (module_db)"), ("optim_db", "Optimizers (optim_db)")):
        lines += _part(section, title, "entries")
    lines += _part("op_db" + TRANSFORMED, "Operators under transformations (`--transforms`)", "entries")
    lines += _part("op_db" + FULL, "Operators by dtype (`make compat-full`)", "pairs of an entry and a dtype")
    DOCS.mkdir(exist_ok=True)
    (DOCS / "scoreboard.md").write_text("\n".join(lines))


def _part(section: str, title: str, what: str) -> list[str]:
    """The document's part about one section."""
    records, known = list(load(section).values()), gaps(section)
    if not records:
        return []
    written = _written(section)
    count = f"{len(records)}" if written.get("of", len(records)) == len(records) else f"{len(records)} of {written['of']}"
    counted = in_words(totals(shown_status(r, known) for r in records))
    lines = [f"## {title}", "", f"{count} {what}, {written['settings']}: {counted}.", ""]
    if section.endswith(FULL):
        lines += _by_dtype(records, known)
    elif per := by_check(records, known):
        lines += ["| check | entries that pass | entries that fail |", "|---|---|---|"]
        lines += [f"| {n} | {a} | {b} |" for n, (a, b) in per.items()] + [""]
    bad = [r for r in records if r.status not in ("pass", "skip")]
    if bad:
        lines += ["| entry | status | checks that fail | first failure, or the reason on the list of gaps |", "|---|---|---|---|"]
        for r in sorted(bad, key=lambda r: r.name):
            why = listed(r.name, known) or next((r.checks[n].first for n in r.failures()), r.note)
            lines.append(f"| {r.name} | {shown_status(r, known)} | {', '.join(r.failures())} | {cell(why)} |")
        lines.append("")
    skipped = [r.name for r in records if r.status == "skip"]
    if skipped and not section.endswith(FULL):
        lines += ["Nothing to run on a CPU with the default dtypes: " + ", ".join(sorted(skipped)) + ".", ""]
    return lines


def _by_dtype(records: Iterable[Record], known: dict[str, str]) -> list[str]:
    """A table of statuses by dtype, the part of a case's name after the ``@``."""
    per: dict[str, Counter[str]] = {}
    for r in records:
        per.setdefault(r.name.partition("@")[2] or "none", Counter())[shown_status(r, known)] += 1
    kinds = [k for k in ("pass", "fail", "missing", "crash", "timeout", "gap", "skip") if any(c[k] for c in per.values())]
    head = ["| dtype | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    return head + [f"| {d} | " + " | ".join(str(c[k]) for k in kinds) + " |" for d, c in sorted(per.items())] + [""]


def cell(text: str, width: int = 160) -> str:
    """Text for a table's cell: one line, no bars."""
    text = re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= width else text[: width - 1] + "…"


def arguments(parser: argparse.ArgumentParser, timeout: float) -> None:
    """The options that every runner has."""
    parser.add_argument("-v", "--verbose", action="store_true", help="print every failure with its sample")
    parser.add_argument("--max-details", type=int, default=8)
    parser.add_argument("-j", "--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--timeout", type=float, default=timeout, help="seconds for one case")
    parser.add_argument("--write", action="store_true", help="write compat/scoreboard/ and docs/scoreboard.md")
    parser.add_argument("--slice", type=_slice, default=(1, 1), metavar="I/N", help="every Nth case from the Ith on: with --write, N such runs fill the scoreboard")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep every record in FILE as it comes, and do not run again what it holds")
    parser.add_argument("--here", action="store_true", help="run in this process: for a debugger, no isolation")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)


def _slice(text: str) -> tuple[int, int]:
    i, n = (int(part) for part in text.split("/"))
    if not 1 <= i <= n:
        raise ValueError(text)
    return i, n


def run_here(names: Iterable[str], run: Callable[[str], Record], args: Any) -> int:
    """Run cases in this process and print what fails."""
    for n in names:
        r = run(n)
        print(r.name, r.status, ", ".join(r.failures()))
        print("\n".join("    " + d for d in r.details[: args.max_details]))
    return 0


def main_loop(section: str, names: list[str], every: list[str], command: list[str], args: Any) -> int:
    """Run cases, print one line each and the totals, write the scoreboard if asked; the exit code says whether all is as listed."""
    if not names:
        print(f"{section} has no entry of that name")
        return 2
    begin, known = time.perf_counter(), gaps(section)
    shown = 0
    names = names[args.slice[0] - 1 :: args.slice[1]]
    before: dict[str, Record] = {}
    if args.resume is not None and args.resume.exists():
        lines = args.resume.read_text().splitlines()
        before = {d["name"]: Record.from_json(d) for d in map(json.loads, lines) if d["name"] in set(names)}
        names = [n for n in names if n not in before]
        print(f"{len(before)} taken from {args.resume.name}, {len(names)} to run", flush=True)
    merged = {**load(section), **before} if args.write else {}

    def seen(r: Record) -> None:
        nonlocal shown
        shown += 1
        merged[r.name] = r
        if args.resume is not None:
            with args.resume.open("a") as log:
                log.write(json.dumps(r.as_json()) + "\n")
        if args.write and shown % 25 == 0:  # a long run that is cut off keeps what it had
            write(section, merged, every, args.settings)
        if args.verbose or r.status != "pass" or len(names) <= 40:
            print(f"[{shown}/{len(names)}] {r.name:48s} {shown_status(r, known):8s} {r.seconds:6.1f}s  {', '.join(r.failures())}", flush=True)
        if args.verbose:
            for d in r.details[: args.max_details]:
                print("   ", d)
            print("      " + "; ".join(f"{n} {c.passed}/{c.passed + c.failed}" if c.passed or c.failed else f"{n}: {c.skip}" for n, c in r.checks.items()))

    records = [*before.values(), *run_all(names, command, args.jobs, args.timeout, seen)]
    print(f"\n{section}: {len(names)} run in {time.perf_counter() - begin:.0f} s: {in_words(totals(shown_status(r, known) for r in records))}")
    for n, (a, b) in by_check(records, known).items():
        print(f"  {n:14s} {a:4d} pass {b:4d} fail")
    stale = [r.name for r in records if r.name in known and r.status == "pass"]
    if stale:
        print(f"on the list of gaps, but passing (strike them off {GAPS.name}): {', '.join(stale)}")
    if args.write:
        write(section, merged, every, args.settings)
        print(f"wrote {BOARD.relative_to(ROOT)}/{section}.json and docs/scoreboard.md")
    bad = [r for r in records if shown_status(r, known) not in ("pass", "skip", "gap")]
    return 1 if bad or stale else 0
