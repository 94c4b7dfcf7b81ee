"""Derivatives where a formula meets zeros, nan and infinity: under both, to the order that tells them apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

NAN, INF = float("nan"), float("inf")
CASES = {  # the function, its inputs, the order
    "scatter prod, a zero for each": (lambda t, x, s: t.scatter_reduce(x, 0, t.tensor([0, 0, 0, 1, 1]), s, "prod"), ([1.5, 0.0], [2.0, 0.0, 4.0, 3.0, 0.0]), 2),
    "norm 2 of zeros": (lambda t, x: t.linalg.vector_norm(x, 2, 1), ([[0.0, 0.0], [3.0, 4.0]],), 2),
    "norm 1.5 with a zero": (lambda t, x: t.linalg.vector_norm(x, 1.5), ([0.0, 3.0, 4.0],), 2),
    "norm 0.5 with a zero": (lambda t, x: t.linalg.vector_norm(x, 0.5), ([0.0, 3.0, 4.0],), 2),
    "norm -1 with a zero": (lambda t, x: t.linalg.vector_norm(x, -1), ([0.0, 3.0, 4.0],), 2),
    "norm 3 of zeros": (lambda t, x: t.linalg.vector_norm(x, 3, 1), ([[0.0, 0.0], [0.0, 4.0]],), 2),
    **{
        f"{name} with correction {c}": (lambda t, x, name=name, c=c: getattr(t, name)(x, 1, correction=c), ([[1.0, 2.0, 4.0], [2.0, 2.0, 2.0]],), order)
        for name in ("var", "std") for c, order in ((0, 2), (2.5, 2), (3, 1), (4, 2))
    },
    "prod with nan": (lambda t, x: t.prod(x, 1), ([[NAN, 2.0, 3.0], [5.0, 2.0, 3.0]],), 2),
    "prod with infinity": (lambda t, x: t.prod(x), ([INF, 2.0, 3.0],), 2),
    "prod with a zero": (lambda t, x: t.prod(x, 1), ([[0.0, 2.0, 3.0], [5.0, 2.0, 3.0]],), 2),
    "prod of one": (lambda t, x: t.prod(x), ([2.0],), 2),
    "cumprod with nan": (lambda t, x: t.cumprod(x, 0), ([NAN, 2.0, 3.0],), 2),
    "cumprod with infinity": (lambda t, x: t.cumprod(x, 0), ([INF, 2.0, 3.0],), 2),
    "cumprod with a zero": (lambda t, x: t.cumprod(x, 0), ([2.0, 0.0, 3.0],), 2),
    **{f"cdist {p} with nan and infinity": (lambda t, x, y, p=p: t.cdist(x, y, p), ([[1.0, 2.0], [INF, 1.0], [NAN, 0.0]], [[0.0, 1.0], [INF, 2.0], [NAN, NAN]]), 1) for p in (1.0, 2.0, 3.0, INF)},
    "matrix_exp of one": (lambda t, x: t.matrix_exp(x), ([[0.5]],), 2),
    **{f"cholesky_solve, upper {u}": (lambda t, x, y, u=u: t.cholesky_solve(x, y, upper=u), ([[1.0], [2.0]], [[2.0, 0.3], [0.7, 1.5]]), 2) for u in (False, True)},
    "cov by narrower weights": (lambda t, x: t.cov(x, correction=2, aweights=t.tensor([0.3666, 0.0583, 0.7006], dtype=t.float32)), ([[1.0, 3.0, 4.5], [2.0, 2.5, 0.5]],), 1),
    "renorm with nan": (lambda t, x: t.renorm(x, 2, 0, 1.0), ([[NAN, 2.0], [3.0, 4.0]],), 1),
}


def derivatives(library: Any, name: str) -> list[Any]:
    function, inputs, order = CASES[name]
    xs = [library.tensor(x, dtype=library.float64, requires_grad=True) for x in inputs]
    found = [function(library, *xs)]
    every = []
    for _ in range(order):
        weighted = sum((g * library.arange(1.0, g.numel() + 1, dtype=g.dtype).reshape(g.shape)).sum() for g in found)
        found = list(library.autograd.grad(weighted, xs, create_graph=True))
        every += [g.detach().numpy() for g in found]
    return every


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("name", CASES)
def test_edges(name: str) -> None:
    for ours, theirs in zip(derivatives(jtorch, name), derivatives(torch, name), strict=True):
        torch.testing.assert_close(torch.from_numpy(ours.copy()), torch.from_numpy(theirs.copy()), equal_nan=True)


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize("operator", ["scatter_reduce", "index_reduce"])
def test_product_with_several_zeros_at_a_place(operator: str) -> None:
    """It has no second derivative: torch raises, and here it is nan for the zeros that meet, while what else there is stays a number."""

    def second(library: Any) -> Any:
        x, source = (library.tensor(v, requires_grad=True) for v in ([1.5, 2.0], [2.0, 0.0, 0.0, 3.0, 4.0]))
        out = getattr(library, operator)(x, 0, library.tensor([0, 0, 0, 1, 1]), source, "prod")
        (first,) = library.autograd.grad(out.sum(), source, create_graph=True)
        assert first.tolist() == [0, 0, 0, 8, 6]
        return library.autograd.grad(first.sum(), source)[0]

    with pytest.raises(RuntimeError, match="Double backward is unsupported"):
        second(torch)
    found = second(jtorch)
    assert found.isnan().tolist() == [False, True, True, False, False]
    assert found[3:].tolist() == pytest.approx([2, 2])


@pytest.mark.parametrize("library", [torch, jtorch], ids=["torch", "jtorch"])
def test_a_module_that_is_called(library: Any) -> None:
    """``torch.autograd.gradcheck`` is a function and a module's name: an import from the module leaves the function there."""
    from importlib import import_module

    module = import_module(f"{library.__name__}.autograd.gradcheck")
    assert module.gradcheck is not None and callable(library.autograd.gradcheck)
    x = library.ones(2, dtype=library.float64, requires_grad=True)
    assert library.autograd.gradcheck(library.sin, (x,)) and module.gradcheck(library.sin, (x,))


@pytest.mark.parametrize("library", [torch, jtorch], ids=["torch", "jtorch"])
def test_assert(library: Any) -> None:
    assert library._assert(True, "said") is None and library._assert(library.ones(1), "said") is None
    for wrong in (False, library.zeros(()), [], library.tensor(False)):
        with pytest.raises(AssertionError, match="^said$"):
            library._assert(wrong, "said")
    with pytest.raises(RuntimeError, match="ambiguous"):
        library._assert(library.ones(2), "said")
    with pytest.raises(TypeError):
        library._assert(True)
    traced = library.fx.symbolic_trace(lambda x: (library._assert(x.sum() > 0, "said"), x + 1)[1])
    assert library._assert in [n.target for n in traced.graph.nodes] and traced(library.ones(1)).tolist() == [2]


def test_exponentials_of_what_is_not_finite() -> None:
    rows = [[[INF, 1.0], [2.0, 3.0]], [[-INF, 0.0], [0.0, 0.0]], [[NAN, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]]
    ones = [[[INF]], [[-INF]], [[NAN]], [[0.0]]]
    for matrices in (rows, ones):
        torch.testing.assert_close(torch.tensor(jtorch.matrix_exp(jtorch.tensor(matrices)).tolist()), torch.matrix_exp(torch.tensor(matrices)), equal_nan=True)


@pytest.mark.parametrize("norm", ["x.norm(p=0)", "torch.linalg.vector_norm(x, 0)", "torch.dist(x, x.detach() + 1, 0)", "F.pairwise_distance(x, torch.ones(3), 0)", "torch.norm(x * 2, 0, 0)", "x.norm(0) + x.sum()"])
def test_the_norm_of_order_zero_has_no_gradient(norm: str) -> None:
    def found(library: Any) -> Any:
        x = library.tensor([1.0, -2.0, 0.0], requires_grad=True)
        y = eval(norm, {"torch": library, "F": library.nn.functional, "x": x})
        again = library.autograd.grad(y, x, create_graph=True, allow_unused=True, retain_graph=True)[0]
        y.backward()
        return str(x.grad), str(again)

    assert found(jtorch) == found(torch)


OF_NOTHING = ("x.prod()", "x.prod(1)", "x.norm()", "x.norm(2, 1)", "F.layer_norm(x, (2,))", "F.group_norm(x, 1)", "x.logsumexp(1)", "x.std()", "F.normalize(x)", "x @ x.t()", "x ** 3")


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("text", OF_NOTHING)
def test_second_derivatives_of_nothing(text: str) -> None:
    def found(library: Any) -> Any:
        x = library.ones(0, 2, requires_grad=True)
        y = eval(text, {"torch": library, "F": library.nn.functional, "x": x})
        (g,) = library.autograd.grad(y.sum(), x, create_graph=True)
        return [list(g.shape), g.requires_grad, g.requires_grad and str(library.autograd.grad(g.sum(), x, allow_unused=True))]

    assert found(jtorch) == found(torch)


OF_HALVES = ("(x[:, None] % y).sum()", "torch.fmod(x[:, None], y).sum()", "torch.remainder(x[:, None], y).sum()", "x[:, None].expand(20, 20).mul(y).sum_to_size(20, 1).pow(2).sum()")


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
@pytest.mark.parametrize("text", OF_HALVES)
def test_quotients_and_sums_of_half_types(text: str, kind: str) -> None:
    """A quotient near a whole number falls on its side, though the divisor is broadcast; a sum is rounded once."""

    def found(library: Any) -> Any:
        kinds = getattr(library, kind)
        x = (library.arange(1, 21) * 3).to(kinds).requires_grad_()
        y = (library.arange(1, 21) / 7).to(kinds).requires_grad_()
        z = eval(text, {"torch": library, "x": x, "y": y})
        return [g.tolist() for g in library.autograd.grad(z, (x, y))]

    assert found(jtorch) == found(torch)


@pytest.mark.filterwarnings("ignore:Sparse")
def test_complex_factors_of_a_sampled_product() -> None:
    def found(library: Any) -> Any:
        x = library.sparse_csr_tensor([0, 1, 2], [0, 1], library.tensor([1 + 2j, 3 - 1j]), (2, 2), requires_grad=True)
        a, b = (library.tensor(v, requires_grad=True) for v in ([[1 + 1j, 2j], [0.5, 1 - 1j]], [[2 - 1j, 1j], [1.0, 1 + 3j]]))
        y = library.sparse.sampled_addmm(x, a, b, beta=1 + 2j, alpha=2 - 1j)
        grads = library.autograd.grad((y.to_dense() * (1 - 2j)).sum().real, (x, a, b))
        return [g.to_dense().tolist() for g in grads]

    for ours, theirs in zip(found(jtorch), found(torch), strict=True):
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs))


SELECTING = {  # functions that let a gradient through in some places only: elsewhere it is 0, whatever comes in
    "scatter": lambda t, x, y: t.scatter(x, 0, t.tensor([0, 2, 2]), y[:3]),
    "index_copy": lambda t, x, y: t.index_copy(x, 0, t.tensor([1, 0]), y[:2]),
    "index_put": lambda t, x, y: t.index_put(x, (t.tensor([1, 3]),), y[:2]),
    "put": lambda t, x, y: x.put(t.tensor([1, 3]), y[:2]),
    "masked_scatter": lambda t, x, y: x.masked_scatter(x > 0, y),
    "scatter_reduce": lambda t, x, y: t.scatter_reduce(x, 0, t.tensor([0, 2, 2]), y[:3], "amax", include_self=False),
    **{name: lambda t, x, y, name=name: getattr(t, name)(x, y) for name in ("maximum", "minimum", "fmax", "fmin", "clamp_min", "clamp_max")},
    "clamp": lambda t, x, y: t.clamp(x, y, y + 1),
    "clamp between numbers": lambda t, x, y: t.clamp(x, -1, 1),
    "quantile": lambda t, x, y: t.quantile(t.stack([x, y]), 0.5, 0),
    **{name: lambda t, x, y, name=name: getattr(t.nn.functional, name)(3 * x) for name in ("hardsigmoid", "hardswish", "silu", "mish", "logsigmoid", "relu6", "hardtanh")},
    "gelu": lambda t, x, y: t.nn.functional.gelu(x, approximate="tanh"),
    "logits": lambda t, x, y: t.nn.functional.binary_cross_entropy_with_logits(x, (y > 0).double(), reduction="none"),
    "weighted logits": lambda t, x, y: t.nn.functional.binary_cross_entropy_with_logits(x, (y > 0).double(), pos_weight=t.tensor(2.0, dtype=t.float64), reduction="none"),
    "grid of three dims": lambda t, x, y: t.nn.functional.grid_sample(x[:8].reshape(1, 1, 2, 2, 2), 2 * y[:6].reshape(1, 1, 1, 2, 3), align_corners=False),
}


@pytest.mark.parametrize("name", SELECTING)
def test_gradients_that_are_not_finite(name: str) -> None:
    def found(library: Any) -> Any:
        x, y = (library.tensor(v, dtype=library.float64, requires_grad=True) for v in ([-2.0, 0.5, 2.0, -0.3, 1.5, -1.5, 0.1, 3.0], [1.0, 0.5, -2.0, 0.3, -1.5, 1.8, 0.2, -3.0]))
        out = SELECTING[name](library, x, y)
        results = []
        for bad in (INF, NAN):
            for grads in library.autograd.grad(out, [x, y], library.full_like(out, bad), retain_graph=True, allow_unused=True):
                results.append(None if grads is None else grads.numpy())
        return results

    for ours, theirs in zip(found(jtorch), found(torch), strict=True):
        assert (ours is None) is (theirs is None)
        if theirs is not None:
            torch.testing.assert_close(torch.from_numpy(ours.copy()), torch.from_numpy(theirs.copy()), equal_nan=True)


@pytest.mark.parametrize("name", ["clamp_min", "clamp_max", "clamp", "maximum", "fmax"])
def test_bounds_that_are_nan(name: str) -> None:
    """Who gets the gradient where the input or the bound is nan."""

    def found(library: Any) -> list[Any]:
        x, y = (library.tensor(v, dtype=library.float64, requires_grad=True) for v in ([NAN, 1.0, 2.0, NAN], [0.0, NAN, 2.0, NAN]))
        getattr(library, name)(x, y).sum().backward()
        return [x.grad.tolist(), y.grad.tolist()]

    assert found(jtorch) == found(torch)
