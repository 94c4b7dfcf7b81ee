"""Each distribution inside ``jax.jit`` over its parameters gives what it gives outside: moments, densities, and with the same key the same samples."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import jtorch
from compat.distributions.cases import CASES
from jtorch.func import rngs, to_jax, to_torch

_QUICK = ("Exponential",)
_ASKED = ("mean", "variance", "entropy", "log_prob", "sample", "rsample")


def _asked(make: Any, arrays: list[Any], value: Any, key: Any, name: str) -> Any:
    given = iter(arrays)
    d = make(jtorch, jtorch.distributions, lambda _: to_torch(next(given)))
    with rngs(key):
        found = getattr(d, name)
        return to_jax(found(to_torch(value)) if name == "log_prob" else found((2,)) if "sample" in name else found() if name == "entropy" else found)


@pytest.mark.filterwarnings("ignore:Singular sample detected")  # torch's Wishart draws again what was good
@pytest.mark.parametrize("name", [n if n in _QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CASES])
def test_inside_is_outside(name: str) -> None:
    make, arrays, key = CASES[name][0], [], jax.random.key(3)

    def parameter(numbers: Any) -> Any:
        arrays.append(jax.numpy.asarray(np.array(numbers, "float32")))
        return jtorch.tensor(numbers)

    jtorch.manual_seed(0)
    d = make(jtorch, jtorch.distributions, parameter)
    value = to_jax(d.sample())
    wanted = {}
    for what in _ASKED:
        if what != "rsample" or d.has_rsample:
            try:
                wanted[what] = _asked(make, arrays, value, key, what)
            except NotImplementedError:  # as in torch, which the other tests here compare
                continue
    found = jax.jit(lambda arrays, value, key: {what: _asked(make, arrays, value, key, what) for what in wanted})(arrays, value, key)
    assert "log_prob" in found
    for what, outside in wanted.items():
        assert found[what].dtype == outside.dtype, what
        np.testing.assert_allclose(found[what], outside, rtol=1e-4, atol=1e-5, err_msg=what)
