"""What is drawn inside ``torch.vmap``: by which lanes, in which order, and what is refused, in both libraries."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

DRAWS: dict[str, Any] = {
    "rand_like": lambda lib, x, g: lib.rand_like(x),
    "randint_like": lambda lib, x, g: lib.randint_like(x, 2, 20),
    "randperm": lambda lib, x, g: lib.randperm(5, generator=g),
    "bernoulli": lambda lib, x, g: lib.bernoulli(x, generator=g),
    "bernoulli of one p": lambda lib, x, g: lib.bernoulli(x, 0.5, generator=g),
    "normal": lambda lib, x, g: lib.normal(x, 2.0, generator=g),
    "normal of two": lambda lib, x, g: lib.normal(x, x.detach() + 1, generator=g),
    "poisson": lambda lib, x, g: lib.poisson(x * 9, generator=g),
    "binomial": lambda lib, x, g: lib.binomial(lib.full((2, 3), 9.0), x, generator=g),
    "gamma": lambda lib, x, g: lib._standard_gamma(x + 1, generator=g),
    "dirichlet": lambda lib, x, g: lib._sample_dirichlet(x + 1, generator=g),
    "multinomial": lambda lib, x, g: lib.multinomial(x, 3, generator=g),
    "multinomial with replacement": lambda lib, x, g: lib.multinomial(x, 4, True, generator=g),
    "uniform_": lambda lib, x, g: x.uniform_(generator=g),
    "bernoulli_ by p": lambda lib, x, g: x.bernoulli_(lib.full((2, 3), 0.4), generator=g),
    "bernoulli_ by itself": lambda lib, x, g: x.bernoulli_(x.clone(), generator=g),
    "out=": lambda lib, x, g: lib.rand(3, out=lib.zeros(3)),
}


def _drawn(lib: Any, name: str, randomness: str, dim: int | None) -> Any:
    g = lib.Generator()
    g = g.set_state(g.manual_seed(7).get_state())
    lib.manual_seed(3)
    shape = [2, 3]
    if dim is not None:
        shape.insert(dim % 3, 4)
    x = (lib.arange(24.0) / 24)[: 24 if dim is not None else 6].reshape(shape)
    try:
        out = lib.func.vmap(lambda v, _: DRAWS[name](lib, v, g), in_dims=(dim, 0), randomness=randomness)(x, lib.zeros(4))
    except RuntimeError as error:
        return str(error)
    return out.tolist()


_QUICK = ("poisson", "multinomial", "bernoulli_ by p")


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")  # torch's own binomial does that there
@pytest.mark.parametrize("name", [n if n in _QUICK else pytest.param(n, marks=pytest.mark.slow) for n in DRAWS])
def test_draws_are_as_in_torch(name: str) -> None:
    for randomness in ("error", "same", "different"):
        for dim in (0, -1, None):
            theirs, ours = _drawn(torch, name, randomness, dim), _drawn(jtorch, name, randomness, dim)
            assert type(ours) is type(theirs), (randomness, dim, ours, theirs)
            if isinstance(ours, str):
                assert ours == theirs
            else:
                torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-5, atol=1e-6)


def test_nested_maps_draw_as_in_torch() -> None:
    def both(lib: Any, outer: str, inner: str) -> Any:
        lib.manual_seed(0)
        x = lib.arange(24.0).reshape(2, 3, 4) / 24
        draw = lib.func.vmap(lambda row, w: lib.poisson(row * 9) + lib.multinomial(w, 1) + lib.rand(4), randomness=inner)
        try:
            return lib.func.vmap(draw, randomness=outer, in_dims=(0, None))(x, lib.ones(3, 4)).tolist()
        except RuntimeError as error:
            return str(error)

    for outer in ("different", "same"):
        for inner in ("different", "same"):
            assert both(jtorch, outer, inner) == both(torch, outer, inner), (outer, inner)
