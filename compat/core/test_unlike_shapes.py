"""What does not broadcast is refused in torch's words, whichever operator meets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import jtorch
from compat import bridge

CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "where": lambda t, a, b: t.where(a > 0, b, b), "where three": lambda t, a, b: t.where(t.ones(2, 3) > 0, t.ones(4), b), "lerp": lambda t, a, b: t.lerp(a, b, 0.5),
    "lerp weight": lambda t, a, b: t.lerp(a, a, b), "masked_fill": lambda t, a, b: a.masked_fill(b > 0, 1.0), "masked_scatter": lambda t, a, b: a.masked_scatter(b > 0, t.ones(5)),
    "lerp_": lambda t, a, b: a.lerp_(b, 0.5),
    "ldexp": lambda t, a, b: t.ldexp(a, b), "isclose": lambda t, a, b: t.isclose(a, b), "allclose": lambda t, a, b: t.allclose(a, b), "polar": lambda t, a, b: t.polar(a, b), "complex": lambda t, a, b: t.complex(a, b),
    "logical_and": lambda t, a, b: t.logical_and(a, b), "heaviside": lambda t, a, b: t.heaviside(a, b), "dist": lambda t, a, b: t.dist(a, b), "normal": lambda t, a, b: t.normal(a, b), "add": lambda t, a, b: a + b,
    "take_along_dim": lambda t, a, b: t.take_along_dim(t.ones(6, 2), t.zeros(2, 1, dtype=t.int64), 1), "broadcast_tensors": lambda t, a, b: t.broadcast_tensors(a, b),
    "solve": lambda t, a, b: t.linalg.solve(t.eye(2).expand(2, 2, 2), t.ones(3, 2, 1)), "cholesky_solve": lambda t, a, b: t.cholesky_solve(t.ones(3, 2, 1), t.eye(2).expand(2, 2, 2)),
    "solve_triangular": lambda t, a, b: t.linalg.solve_triangular(t.eye(2).expand(2, 2, 2), t.ones(3, 2, 1), upper=True),
    "lu_solve": lambda t, a, b: t.linalg.lu_solve(*t.linalg.lu_factor(t.eye(2).expand(2, 2, 2)), t.ones(3, 2, 1)), "ldl_solve": lambda t, a, b: t.linalg.ldl_solve(*t.linalg.ldl_factor(t.eye(2).expand(2, 2, 2)), t.ones(3, 2, 1)),
    "attention": lambda t, a, b: t.nn.functional.scaled_dot_product_attention(t.ones(2, 3, 4), t.ones(3, 3, 4), t.ones(3, 3, 4)),
    "attention value": lambda t, a, b: t.nn.functional.scaled_dot_product_attention(t.ones(2, 3, 4), t.ones(2, 3, 4), t.ones(3, 3, 4)),
    "shapes": lambda t, a, b: t.broadcast_shapes((2, 3), (4, 5)), "shapes in front": lambda t, a, b: t.broadcast_shapes([1, 6, 1], (2, 2)), "shapes negative": lambda t, a, b: t.broadcast_shapes((2, -3), 1),
    "shapes of floats": lambda t, a, b: t.broadcast_shapes(2.0), "a distribution": lambda t, a, b: t.distributions.MultivariateNormal(t.ones(2, 2), t.eye(2).expand(3, 2, 2)),
}  # fmt: skip


def refused(t: Any, case: Callable[[Any, Any, Any], Any]) -> tuple[str, str]:
    with pytest.raises((RuntimeError, ValueError)) as found:
        case(t, t.ones(2), t.ones(3))
    return found.type.__name__, str(found.value).splitlines()[0]


@pytest.mark.parametrize("name", CASES)
def test_shapes_that_do_not_broadcast(name: str) -> None:
    assert refused(bridge.jtorch(), CASES[name]) == refused(torch, CASES[name])


def test_no_shape_and_other_sequences() -> None:
    for args in ((), (None, (2,)), ((), 3, [2, 1]), ((1, 0), (3, 1))):
        assert tuple(bridge.jtorch().broadcast_shapes(*args)) == tuple(torch.broadcast_shapes(*args))


@pytest.mark.parametrize("name", ["trapezoid", pytest.param("cumulative_trapezoid", marks=pytest.mark.slow)])
def test_sample_points_of_other_shapes(name: str) -> None:
    """The dim is counted in what is integrated, and taken in the sample points; where these have one place there, they have no step."""

    def found(library: Any, ys: tuple[int, ...], xs: tuple[int, ...], dim: int) -> Any:
        y, x = (library.arange(1.0, 1 + torch.Size(s).numel()).reshape(s) for s in (ys, xs))
        try:
            out = getattr(library, name)(y, x**2, dim=dim)
        except Exception as error:
            return type(error).__name__, str(error)
        return tuple(out.shape), out.tolist()

    for ys in ((3,), (2, 3), (2, 1), (0,), (2, 0)):
        for xs in ((), (1,), (2,), (3,), (2, 3), (1, 3), (2, 1), (0,), (4,), (2, 3, 2)):
            for dim in range(-len(ys), len(ys)):
                assert found(jtorch, ys, xs, dim) == found(torch, ys, xs, dim), (ys, xs, dim)
