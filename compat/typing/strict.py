"""pyright in strict mode over the examples, ordinary calls and planted mistakes, under torch's stubs and under jtorch's.

``python -m compat.typing.strict --pyright PATH`` (``npm install pyright`` makes ``node_modules/.bin/pyright``). Errors that jtorch's stubs give and torch's do not are named,
and planted mistakes that torch's catch and jtorch's do not; either makes the exit code 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FILES = [HERE / "calls.py", HERE / "mistakes.py", *(ROOT / "examples" / n for n in ("digits_cnn.py", "char_gpt.py", "lstm_tagger.py"))]
# In strict mode torch's stubs are not whole enough for these, which is no finding of the mistake.
VAGUE = {'torch.manual_seed("x")'}
LIBRARIES = {"torch": [], "jtorch": [("import torch.nn", "import jtorch.nn"), ("import torch\n", "import jtorch as torch\n"), ("from torch", "from jtorch")]}

Errors = set[tuple[str, int]]


def errors(library: str, folder: Path, pyright: str) -> tuple[Errors, dict[tuple[str, int], str]]:
    """(file, line) of each error, and what the first of a line says."""
    folder.mkdir(parents=True)
    for path in FILES:
        text = path.read_text()
        for old, new in LIBRARIES[library]:
            text = text.replace(old, new)
        (folder / path.name).write_text(text)
    settings = {"pythonVersion": "3.11", "extraPaths": [str(ROOT)], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    out = subprocess.run([pyright, "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)], capture_output=True, text=True, check=False).stdout
    said: dict[tuple[str, int], str] = {}
    for d in json.loads(out)["generalDiagnostics"]:
        if d["severity"] == "error":
            said.setdefault((Path(d["file"]).name, d["range"]["start"]["line"] + 1), d["message"].splitlines()[0])
    return set(said), said


def compared(pyright: str) -> tuple[int, list[str], list[str], int]:
    """How many errors torch's stubs give, what jtorch's give beyond, the mistakes that only torch's catch, and how many both do."""
    lines = {p.name: p.read_text().splitlines() for p in FILES}
    with tempfile.TemporaryDirectory() as folder:
        theirs, _ = errors("torch", Path(folder) / "torch", pyright)
        ours, said = errors("jtorch", Path(folder) / "jtorch", pyright)
    planted = {n for n, line in enumerate(lines["mistakes.py"], 1) if n > 9 and line and line not in VAGUE}
    caught = {n for name, n in theirs if name == "mistakes.py"} & planted
    missed = sorted(caught - {n for name, n in ours if name == "mistakes.py"})
    new = sorted(where for where in ours - theirs if where[0] != "mistakes.py")
    return (
        len([w for w in theirs if w[0] != "mistakes.py"]), [f"{name}:{n}: {lines[name][n - 1].strip()}   ({said[name, n]})" for name, n in new],
        [lines["mistakes.py"][n - 1] for n in missed], len(caught) - len(missed),
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compat.typing.strict", description="pyright's strict mode under both libraries' stubs")
    parser.add_argument("--pyright", default=shutil.which("pyright") or "pyright")
    count, new, missed, caught = compared(parser.parse_args().pyright)
    calls = sum(1 for line in (HERE / "calls.py").read_text().splitlines() if "(" in line and not line.startswith(("#", '"""', "import", "from")))
    print(f"{len(FILES) - 1} files, {calls} lines of calls: {count} errors under torch's stubs, {len(new)} under jtorch's where torch's give none")
    print("\n".join(f"    {text}" for text in new))
    print(f"planted mistakes: {caught} caught of {caught + len(missed)} that torch's stubs catch")
    print("\n".join(f"    {text}" for text in missed))
    return 1 if new or missed else 0


if __name__ == "__main__":
    sys.exit(main())
