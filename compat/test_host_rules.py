"""What a forked worker computes with (numpy and scipy, a rule for each of JAX's primitives) agrees with torch on op_db's samples: nothing that an operator comes to is without a rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from compat import harness
from compat.opdb.checks import OpChecks, Options
from compat.opdb.samples import cases, database
from jtorch._engine.recording.trace import flush
from jtorch._engine.values.thread_state import State, state

NAMES = [n for n in database() if n not in harness.gaps("op_db")]
PARTS = 24
# What numpy has a rule of its own for; with every tenth of the others, the share of the ordinary run.
KINDS = re.compile(r"^(fft|linalg|nn\.functional\.(conv|.*pool|unfold|fold|grid)|special\.(bessel_j0|i1|zeta)|stft|istft|cholesky|svd|qr|digamma|igamma|sort|topk|cumsum)")
QUICK = [n for i, n in enumerate(NAMES) if (KINDS.match(n) and i % 3 == 0) or i % 12 == 0]


@pytest.fixture
def on_host() -> Iterator[None]:
    """This thread as one of a forked worker."""
    flush()
    State.host = State.host_only = state.host = state.host_only = state.trace.host = True
    try:
        yield
    finally:
        flush()
        State.host = State.host_only = state.host = state.host_only = state.trace.host = False


def _wrong(names: list[str], samples: int) -> list[str]:
    found = []
    for name in names:
        record = OpChecks(name, Options(samples=samples, only=("values",))).run()
        if record.failures():
            found += [name, *record.details[:2]]
    return found


@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize("part", range(4))
def test_operators_in_a_worker(part: int) -> None:
    assert not _wrong(QUICK[part::4], 1)


@pytest.mark.slow
@pytest.mark.usefixtures("on_host")
@pytest.mark.parametrize("part", range(PARTS))
def test_operators_in_a_worker_with_every_type(part: int) -> None:
    assert not _wrong([case for name in NAMES[part::PARTS] for case in cases(name, True)], 8)
