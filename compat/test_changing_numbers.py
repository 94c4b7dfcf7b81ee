"""A float that changes with every call compiles nothing new, whatever operator it is given to: from op_db's samples, each with its numbers changed again and again."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from compat import bridge, harness
from compat.counting import programs
from compat.opdb.checks import Call, attempt, settle
from compat.opdb.samples import database, pick

_RANDOM = re.compile(r"dropout|bernoulli|normal|uniform|rand|exponential|cauchy|geometric")  # drawn on the host: nothing is compiled for them
_TABLES = {"_upsample_bilinear2d_aa"}  # its numbers make tables of weights, which are constants of the program
NAMES = [n for n in database() if n not in harness.gaps("op_db") and n not in _TABLES and not _RANDOM.search(n)]
QUICK = ["addcdiv", "linalg.vector_norm", "nn.functional.layer_norm", "nn.functional.smooth_l1_loss", "nn.functional.softplus", "renorm"]
TIMES, WARM = 7, 4


def _changed(v: Any, i: int) -> Any:
    """The same arguments with each float a little larger."""
    if v.__class__ is float:
        return v * (1 + 0.003 * (i + 1)) + 1e-4 * (i + 1)
    if isinstance(v, (list, tuple)) and not hasattr(v, "_fields"):
        return type(v)(_changed(x, i) for x in v) if type(v) in (list, tuple) else v
    return {k: _changed(x, i) for k, x in v.items()} if isinstance(v, dict) else v


def _has_float(v: Any) -> bool:
    if isinstance(v, (list, tuple)):
        return any(map(_has_float, v))
    return any(map(_has_float, v.values())) if isinstance(v, dict) else v.__class__ is float


def compiled_anew(name: str, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """How many programs the last calls of one sample compiled; None where none has a float that may change."""
    op = database()[name]
    if torch.float32 not in op.dtypes or op.name.startswith("jiterator"):
        return None
    with programs(monkeypatch) as seen:
        for sample in pick(op, torch.float32, False, 40):
            if not _has_float((sample.args, sample.kwargs)):
                continue
            ours, good = bridge.Translator()(op.op), 0
            for i in range(TIMES):
                x, args, kwargs = Call(sample).ours
                got = attempt(lambda x=x, a=args, k=kwargs, i=i: settle(ours(x, *_changed(a, i), **_changed(k, i))))
                good += got.error is None
                if i == WARM - 1:
                    seen.clear()
            if good == TIMES:
                return sum(seen)
    return None


@pytest.mark.parametrize("part", range(2))
def test_changing_floats_compile_nothing(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _wrong(QUICK[part::2], monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(12))
def test_changing_floats_of_every_operator_compile_nothing(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _wrong(NAMES[part::12], monkeypatch)


def _wrong(names: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    found = {name: compiled_anew(name, monkeypatch) for name in names}
    return {name: n for name, n in found.items() if n}
