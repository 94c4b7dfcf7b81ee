"""Numbers that never repeat themselves, in every number argument that the registry knows of: nothing is compiled for them, and nothing of them stays.

``python -m compat.attack.numbers [--slice 0/8]``. The calls are made from the signatures: each operator that takes a number is tried on tensors of a few shapes and types until one suits it, and those
that none suits are named. (``compat/test_changing_numbers.py`` does the same with op_db's samples, as a test.)
"""

from __future__ import annotations

import argparse
import itertools
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from compat import bridge
from compat.counting import programs
from jtorch._core.tensor.derived_functions import function_for
from jtorch._registry import OPS

KINDS = {"Scalar", "Tensor|Scalar", "float", "Number", "index", "Scalar[]", "float[]", "index[]", "Number[]"}
WARM, TIMES = 4, 4  # calls that may compile, and calls that may not
_SHAPES = ((3, 3), (4,), (2, 3, 4), (1, 2, 4, 4), (1, 2, 4, 4, 4), (3,), ())
_RANDOM = ("dropout", "bernoulli", "normal", "uniform", "rand", "exponential", "cauchy", "geometric", "multinomial", "rrelu", "poisson", "gumbel")


def places() -> dict[str, tuple[str, str, int, str]]:
    """By an id: the operator, the parameter, which overload, and the parameter's kind; each function of the registry once."""
    found: dict[str, tuple[str, str, int, str]] = {}
    seen: set[Any] = set()
    for name, overloads in OPS.items():
        at = 0
        for record in overloads:
            for signature in record.signatures:
                for p in signature.params:
                    key = record.fn, p.name, at
                    if p.kind in KINDS and key not in seen and not any(word in name for word in _RANDOM):
                        seen.add(key)
                        found[f"{name}.{p.name}.{at}"] = name, p.name, at, p.kind
                at += 1
    return found


PLACES = places()


def _tensors(t: Any) -> Iterator[Callable[[int], Any]]:
    for shape in _SHAPES:
        yield lambda k, shape=shape: t.linspace(0.2, 0.7 + k, max(1, t.Size(shape).numel())).reshape(shape) + (t.eye(3) * 2 if shape == (3, 3) else 0)
    yield lambda k: t.arange(4) % (k + 2)
    yield lambda k: t.tensor([[True, False], [False, True]])


_OTHERS: dict[str, tuple[Any, ...]] = {
    "int": (0, 1, 2), "int[]": ([2], [2, 2], [2, 2, 2], [3], [3, 3], [4, 4]), "bool": (False,), "str": ("mean", "bilinear"), "any": (None,), "Tensor[]": (), "dtype": (None,), "index": (1,),
    "Scalar": (0.5,), "Tensor|Scalar": (0.5,), "float": (0.5,), "Number": (0.5,), "index[]": ([1],), "float[]": ([0.0, 1.0],), "Scalar[]": ([0.5],), "Number[]": ([0.5],),
}  # fmt: skip


def _number(kind: str, i: int, whole: bool) -> Any:
    """The i-th of numbers that are all different."""
    base = kind.removesuffix("[]")
    x = i % 3 - 1 + 3 * (i // 3 % 2) if base == "index" else i + 1 if whole else 0.31 + 0.0137 * i
    return [x, x + 1] if kind == "float[]" else [x] if kind.endswith("[]") else x


def calls(name: str, which: str, at: int, kind: str) -> Iterator[Callable[[int], Any]]:
    """Calls that may suit: functions of the number's number."""
    t = bridge.jtorch()
    signature = [s for record in OPS[name] for s in record.signatures][at]
    fn = function_for(name)
    for make, whole in itertools.product(_tensors(t), (False, True)):
        if whole and kind not in ("Scalar", "Tensor|Scalar", "Number"):
            continue
        choices: list[tuple[Any, ...]] = []
        names: list[str] = []
        for k, p in enumerate(signature.params):
            if p.name != which and p.required:
                names.append(p.name)
                given = (make(k), t.eye(3) * 2, t.ones(4)) if p.kind == "Tensor" else ([make(0), make(1)],) if p.kind in ("Tensor[]", "Tensor?[]") else _OTHERS.get(p.kind, ())
                choices.append(given)
        for given in itertools.islice(itertools.product(*choices), 12):
            rest = dict(zip(names, given, strict=True))
            yield lambda i, rest=rest, whole=whole: fn(**rest, **{which: _number(kind, i, whole)})


def settled(out: Any) -> Any:
    """Wait for a result; its shape, or several."""
    for x in out if isinstance(out, (tuple, list)) else (out,):
        x.tolist()
    return [tuple(x.shape) for x in out] if isinstance(out, (tuple, list)) else tuple(out.shape)


def suitable(place: str) -> Callable[[int], Any] | None:
    """The first call that suits: whatever its number is, the result is of one shape. None if there is none."""
    for call in calls(*PLACES[place]):
        try:
            if len({str(settled(call(i))) for i in range(6)}) == 1:  # indices come again after six
                return call
        except Exception:  # noqa: BLE001, S112 - it does not suit
            continue
    return None


def compiled(place: str, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """How many programs are compiled for the last of the numbers; None if no call was found that suits."""
    with programs(monkeypatch) as seen, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in calls(*PLACES[place]):
            try:
                shapes = {str(settled(call(i))) for i in range(WARM)}
                seen.clear()
                shapes |= {str(settled(call(i))) for i in range(WARM, WARM + TIMES)}
            except Exception:  # noqa: BLE001, S112 - it does not suit
                continue
            if len(shapes) == 1:
                return sum(seen)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slice", default="0/1", help="K/N: every N-th place, from K")
    k, _, n = parser.parse_args().slice.partition("/")
    chosen = list(PLACES)[int(k) :: int(n)]
    patch = pytest.MonkeyPatch()
    found = {place: compiled(place, patch) for place in chosen}
    bad = {place: count for place, count in found.items() if count}
    print(f"{len(chosen)} arguments; compiled anew: {bad}; no call suits: {[place for place, count in found.items() if count is None]}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
