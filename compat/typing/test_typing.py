"""The type stubs: nothing to complain of in ordinary calls, and an error for each planted mistake. mypy reads ours as it reads torch's."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from compat.typing.strict import compared

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
# What PyTorch's own stubs let pass, under mypy as under pyright.
LOOSE = {"torch.linalg.inv(3)", "torch.manual_seed(\"x\")"}


def complaints(folder):
    """File -> lines with errors. Both files in one run: reading the stubs is what costs."""
    for name in ("calls.py", "mistakes.py"):
        text = (HERE / name).read_text()
        for old, new in (("import torch.nn", "import jtorch.nn"), ("import torch\n", "import jtorch as torch\n"), ("from torch", "from jtorch")):
            text = text.replace(old, new)
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "mypy", "--config-file", "", "--no-error-summary", "--ignore-missing-imports", "--follow-imports", "silent",
               "--cache-dir", str(folder / "cache"), str(folder / "calls.py"), str(folder / "mistakes.py")]  # fmt: skip
    out = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={"MYPYPATH": str(ROOT), "PATH": ""}, timeout=500).stdout
    found: dict[str, set[int]] = {"calls.py": set(), "mistakes.py": set()}
    for name, line in re.findall(r"^(?:.*/)?(calls\.py|mistakes\.py):(\d+): error", out, re.M):
        found[name].add(int(line))
    return found


def test_ordinary_calls_and_mistakes(tmp_path):
    found = complaints(tmp_path)
    calls, mistakes = ((HERE / name).read_text().splitlines() for name in ("calls.py", "mistakes.py"))
    # The same name is used for many things here, which mypy minds and torch's stubs do not help.
    assert not [calls[n - 1] for n in sorted(found["calls.py"])]
    planted = {n for n, line in enumerate(mistakes, 1) if n > 9 and line and line not in LOOSE}
    assert len(planted) > 50
    assert not [mistakes[n - 1] for n in sorted(planted - found["mistakes.py"])]


def test_stubs_are_current():
    done = subprocess.run([sys.executable, "tools/write_stubs.py", "--check"], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pyright") is None, reason="pyright is not on PATH")
def test_pyright_strict_says_no_more_than_of_torch():
    _, new, missed, caught = compared("pyright")
    assert not new and not missed
    assert caught >= 50
