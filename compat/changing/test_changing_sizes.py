"""Programs whose sizes change with each call compute what torch computes, and from the fourth size on compile nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jtorch import _config
from jtorch._engine.recording.trace import flush

from .programs import PROGRAMS, Program
from .running import run, ways

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # torch calls some functions beta
STEPS = 7
QUICK = ("masked softmax", "conv1d strided")
EVERY = [(p, way) for p in PROGRAMS.values() for way in ways(p)]


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_config, "CACHE_DIR", "0")  # what an earlier process has left
    monkeypatch.setattr(_config, "LOG", _config.LOG | {"faults"})
    flush()
    yield
    _config.changed()


def check(p: Program, way: tuple[str, ...]) -> None:
    wrong, counts, runs = run(p, way, STEPS)
    assert not wrong, wrong[:3]
    if p.exact:  # sizes that decide what is computed: each has a program
        return
    assert sum(counts[4:]) <= (6 if p.wanders else 0), counts
    assert runs >= STEPS - 4 or not sum(counts[1:]), runs  # or nothing is compiled for it at all


@pytest.mark.parametrize("name", QUICK)
def test_changing_sizes(name: str) -> None:
    p = PROGRAMS[name]
    check(p, tuple(p.sizes))


@pytest.mark.slow
@pytest.mark.parametrize(("p", "way"), EVERY, ids=[f"{p.name}-{''.join(way)}" for p, way in EVERY])
def test_every_program(p: Program, way: tuple[str, ...]) -> None:
    check(p, way)
