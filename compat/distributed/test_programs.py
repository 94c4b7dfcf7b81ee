"""Programs of several processes, under real torch with gloo and under jtorch: each process writes what it saw, and both must have seen the same."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from compat.run_both import ROOT, command

FOLDER = Path(__file__).parent / "programs"
NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?|-?\d+e[-+]?\d+")


def free_port() -> str:
    with socket.socket() as s:
        s.bind(("", 0))
        return str(s.getsockname()[1])


def seen(library: str, program: Path, folder: Path, *more: str) -> dict[str, list[str]]:
    """What each process wrote."""
    folder.mkdir()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command(library), str(program), free_port(), str(folder), *more], capture_output=True, text=True, env=env, timeout=550, check=False)
    assert done.returncode == 0, f"{library}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return {p.name: p.read_text().splitlines() for p in sorted(folder.iterdir())}


def equal(a: str, b: str, digits: int) -> bool:
    """Equal, numbers with a point to so many digits."""
    if a == b:
        return True
    mine, theirs = NUMBER.findall(a), NUMBER.findall(b)
    if NUMBER.sub("#", a) != NUMBER.sub("#", b) or len(mine) != len(theirs):
        return False
    return all(abs(float(x) - float(y)) <= 10.0**-digits * max(abs(float(x)), abs(float(y)), 1e-6) for x, y in zip(mine, theirs, strict=True))


def compare(program: Path, folder: Path, *more: str) -> None:
    """Both libraries have seen the same."""
    torch, ours = (seen(library, program, folder / library, *more) for library in ("torch", "jtorch"))
    assert list(torch) == list(ours)
    different = [f"{rank}: torch {a}\n   jtorch {b}" for rank in torch for a, b in zip(torch[rank], ours[rank], strict=False) if not equal(a, b, 4)]
    assert not different, "\n".join(different)
    assert [len(x) for x in torch.values()] == [len(x) for x in ours.values()]


LONG = ("dtensor", "fsdp", "training")  # an operator on DTensors is a program for each type of placement


@pytest.mark.parametrize("program", ["ordinary", "elastic", *[pytest.param(p, marks=pytest.mark.slow) for p in LONG]])
def test_program(program: str, tmp_path: Path) -> None:
    compare(FOLDER / f"{program}.py", tmp_path)


def test_every_program_is_run() -> None:
    assert {p.stem for p in FOLDER.glob("*.py")} == {"ordinary", "elastic", "ddp", "collectives", *LONG}


@pytest.mark.slow
def test_every_type(tmp_path: Path) -> None:
    compare(FOLDER / "collectives.py", tmp_path, "full")


@pytest.mark.slow
def test_functions_that_are_launched(tmp_path: Path) -> None:
    compare(FOLDER / "elastic.py", tmp_path, "full")
