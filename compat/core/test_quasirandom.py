"""Sobol's points, overridable functions and exchanged tensors: what torch gives."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch
import torch.overrides

from compat import bridge


@pytest.mark.parametrize("scramble", [False, True])
@pytest.mark.parametrize("dimension", [1, 3, 60])
def test_sobol_points(dimension: int, scramble: bool) -> None:
    def seen(t: Any) -> list[Any]:
        t.manual_seed(5)
        engine = t.quasirandom.SobolEngine(dimension, scramble=scramble, seed=3)
        found = [engine.draw(5), engine.draw(3), engine.fast_forward(4).draw(2, dtype=t.float64), engine.reset().draw_base2(3), engine.draw(out=t.empty(0))]
        found.append(t.quasirandom.SobolEngine(dimension, scramble=scramble).draw(2))
        return [*(x.numpy() for x in found), t.rand(2).numpy(), repr(engine)]

    importlib.import_module("jtorch.quasirandom")
    for theirs, ours in zip(seen(torch), seen(bridge.jtorch()), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_sobol_errors() -> None:
    for t in (torch, bridge.jtorch()):
        with pytest.raises(ValueError, match="Supported range of dimensionality"):
            t.quasirandom.SobolEngine(0)
        engine = t.quasirandom.SobolEngine(1)
        engine.draw(3)
        with pytest.raises(ValueError, match="3 points have been previously generated, then: n=3\\+2\\*\\*2=7"):
            engine.draw_base2(2)


def test_overridable_functions() -> None:
    ours = importlib.import_module("jtorch.overrides")
    t = bridge.jtorch()
    for path in ("add", "Tensor.add", "nn.functional.relu", "linalg.norm", "fft.fft", "Tensor.sum", "stack"):
        theirs_fn, our_fn = (bridge_path(lib, path) for lib in (torch, t))
        assert ours.resolve_name(our_fn) == torch.overrides.resolve_name(theirs_fn)
        assert ours.is_tensor_method_or_property(our_fn) == torch.overrides.is_tensor_method_or_property(theirs_fn)
        assert our_fn in ours.get_testing_overrides() and our_fn not in ours.get_ignored_functions()
        assert ours.get_testing_overrides()[our_fn](1, 2) == -1
    for path in ("set_default_dtype", "is_grad_enabled", "get_default_dtype"):
        assert bridge_path(t, path) in ours.get_ignored_functions()
    assert {t, t.Tensor, t.nn.functional} <= {*ours.get_overridable_functions(), t}
    assert ours.resolve_name(len) is torch.overrides.resolve_name(len) is None


def bridge_path(library: Any, path: str) -> Any:
    for part in path.split("."):
        library = getattr(library, part)
    return library


def test_exchanged_tensors() -> None:
    def seen(t: Any) -> list[Any]:
        a, b = t.nn.Parameter(t.ones(2)), t.zeros(3, requires_grad=True)
        a.note = 1
        (a * 2).sum().backward()
        t.utils.swap_tensors(a, b)
        found = [type(a).__name__, type(b).__name__, a.tolist(), b.tolist(), a.grad, b.grad.tolist(), hasattr(a, "note"), b.note]
        (b * 5).sum().backward()
        (a * 3).sum().backward()
        return [*found, b.grad.tolist(), a.grad.tolist()]

    assert seen(bridge.jtorch()) == seen(torch)
