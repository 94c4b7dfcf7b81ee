"""Programs that are compiled and print what they print in torch: how the tests of replays name, run and compare them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import jtorch


class Cases(dict[str, Any]):
    """Programs ``f(lib, compile)`` by name; ``replayed`` are those in which a call ought to have been replayed."""

    def __init__(self) -> None:
        super().__init__()
        self.replayed: set[str] = set()

    def case(self, replayed: bool) -> Callable[[Any], Any]:
        def keep(f: Any) -> Any:
            self[f.__name__] = f
            if replayed:
                self.replayed.add(f.__name__)
            return f

        return keep

    def check(self, name: str) -> None:
        """The program under jtorch, compiled, against torch's, which is not."""
        made: list[Any] = []

        def comp(fn: Any) -> Any:
            found = jtorch.compile(fn)
            made.append(found._run_compiled._compiled if isinstance(found, jtorch.nn.Module) else found._compiled)
            return found

        wanted = flat(self[name](torch, lambda fn: fn))
        same(flat(self[name](jtorch, comp)), wanted)
        runs = [c for c in made if c.runs]
        assert bool(runs) == (name in self.replayed), [c.why for c in made]


def loop(lib: Any, compiled: Any, calls: int, make: Any) -> list[Any]:
    lib.manual_seed(1)
    return [compiled(*make(i)) for i in range(calls)]


def net_of(lib: Any, *extra: Any) -> Any:
    lib.manual_seed(0)
    return lib.nn.Sequential(lib.nn.Linear(4, 8), *extra, lib.nn.ReLU(), lib.nn.Linear(8, 1))


def flat(x: Any) -> list[Any]:
    if isinstance(x, (list, tuple)):
        return [leaf for part in x for leaf in flat(part)]
    if isinstance(x, (torch.Tensor, jtorch.Tensor)):
        return [(x.requires_grad, tuple(x.shape), str(x.dtype), x.detach().numpy().copy())]
    return [x]


def same(got: list[Any], wanted: list[Any]) -> None:
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        if isinstance(b, tuple) and len(b) == 4 and isinstance(b[3], np.ndarray):
            assert a[:3] == b[:3]
            np.testing.assert_allclose(a[3], b[3], rtol=2e-5, atol=2e-6)
        elif isinstance(b, float):
            assert a == pytest.approx(b, rel=1e-5, abs=1e-6)
        else:
            assert str(a) == str(b)
