"""Runs programs under real torch and under ``python -m jtorch`` and compares what they print.

``python -m compat.run_both script.py...`` shows the differences; :func:`outputs` and :func:`difference` serve the tests.
Comments at a program's head: ``# isolated`` gives it processes of its own, ``# slow`` leaves it to ``make compat-full``, ``# digits: 4`` compares numbers to that many
significant digits (the text between them exactly).
"""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)")


@dataclass(frozen=True)
class Printed:
    """What a program printed, and the traceback it ended with, if any."""

    text: str
    error: str = ""


def command(library: str) -> list[str]:
    """How a script is started under ``torch`` or ``jtorch``."""
    return [sys.executable] if library == "torch" else [sys.executable, "-m", library]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep), "PYTHONHASHSEED": "0"}


def run_script(library: str, path: str | Path, *args: str, timeout: float = 600) -> Printed:
    """One program in a process of its own."""
    done = subprocess.run([*command(library), str(path), *args], capture_output=True, text=True, env=_environment(), cwd=ROOT, timeout=timeout, check=False)
    return Printed(done.stdout, done.stderr if done.returncode else "")


def run_text(library: str, text: str, timeout: float = 600) -> Printed:
    """A program given as text."""
    done = subprocess.run([*command(library), "-c", text], capture_output=True, text=True, env=_environment(), cwd=ROOT, timeout=timeout, check=False)
    return Printed(done.stdout, done.stderr if done.returncode else "")


def outputs(library: str, paths: Iterable[Path], timeout: float = 900) -> dict[Path, Printed]:
    """Many programs, in one process except for those marked ``# isolated``."""
    paths = list(paths)
    alone = [p for p in paths if "# isolated" in head(p)]
    together = [p for p in paths if p not in alone]
    found = {p: run_script(library, p) for p in alone}
    if together:
        done = subprocess.run([*command(library), str(ROOT / "compat" / "child.py"), *map(str, together)], capture_output=True, text=True, env=_environment(), cwd=ROOT, timeout=timeout, check=False)
        for line in done.stdout.split("\n"):  # splitlines would split at the mark itself
            if line.startswith("\x1e"):
                data = json.loads(line[1:])
                found[Path(data["path"])] = Printed(data["printed"], data["error"])
        for p in together:
            found.setdefault(p, Printed("", f"the process ended before it (code {done.returncode})\n{done.stderr[-2000:]}"))
    return found


def head(path: Path) -> list[str]:
    """The comment lines that a program begins with."""
    lines = path.read_text().splitlines()
    return lines[: next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))]


def digits_of(path: Path) -> int | None:
    """The number after ``# digits:`` at a program's head."""
    return next((int(line.split(":")[1]) for line in head(path) if line.startswith("# digits:")), None)


def difference(theirs: Printed, ours: Printed, digits: int | None = None) -> str | None:
    """None when both printed the same; else a diff, or the traceback."""
    if theirs.error:
        return f"real torch failed:\n{theirs.error}"
    if ours.error:
        return f"{ours.error}\nafter printing:\n" + "\n".join(ours.text.splitlines()[-3:])
    same = theirs.text == ours.text if digits is None else _close(theirs.text, ours.text, digits)
    if same:
        return None
    return "\n".join(difflib.unified_diff(theirs.text.splitlines(), ours.text.splitlines(), "torch", "jtorch", lineterm="", n=1))


def _close(a: str, b: str, digits: int) -> bool:
    words = [" ".join(NUMBER.sub(" # ", t).split()) for t in (a, b)]
    if words[0] != words[1]:
        return False
    x, y = ([float(n) for n in NUMBER.findall(t)] for t in (a, b))
    return all(p == q or (p != p and q != q) or abs(p - q) <= 0.6 * 10.0**-digits * max(abs(p), abs(q), 1e-1) for p, q in zip(x, y, strict=True))


def main() -> int:
    paths = [Path(p).resolve() for p in sys.argv[1:]] or sorted((ROOT / "compat" / "seeds").glob("*.py"))
    theirs, ours = outputs("torch", paths), outputs("jtorch", paths)
    bad = 0
    for p in paths:
        found = difference(theirs[p], ours[p], digits_of(p))
        bad += found is not None
        print(f"{p.name}: {'same' if found is None else 'DIFFERENT'}")
        if found:
            print("    " + found.replace("\n", "\n    "))
    print(f"{len(paths) - bad} of {len(paths)} print the same")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
