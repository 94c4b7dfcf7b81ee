"""What a lane's values must satisfy, what the host computes inside JAX's programs, and what carries no tangent, under both libraries."""

from __future__ import annotations

import importlib
from typing import Any

import jax
import numpy as np
import pytest
import torch

import jtorch
from compat import bridge

BOTH = pytest.mark.parametrize("lib", [torch, jtorch], ids=["torch", "jtorch"])


@BOTH
def test_requirements_of_whole_rows_hold_in_each_lane(lib: Any) -> None:
    reduce = lambda d, n: lib.segment_reduce(d, "sum", lengths=n)
    d = lib.arange(6.0).reshape(2, 3)
    found = lib.stack([reduce(*pair) for pair in zip(d, lib.tensor([[1, 2], [3, 0]]), strict=True)])
    if lib is jtorch:  # torch goes through it lane by lane, and warns
        assert lib.vmap(reduce)(d, lib.tensor([[1, 2], [3, 0]])).tolist() == found.tolist()
        weight, places = lib.arange(8.0).reshape(4, 2), lib.tensor([[0, 1, 2], [3, 2, 1]])
        bags = lib.vmap(lambda i, o: lib.nn.functional.embedding_bag(i, weight, o, mode="sum"))(places, lib.tensor([[0, 2], [0, 1]]))
        assert bags.tolist() == [[[2, 4], [4, 5]], [[6, 7], [6, 8]]]
        with pytest.raises(RuntimeError, match="to sum to"):
            lib.vmap(reduce)(d, lib.tensor([[1, 2], [3, 1]])).tolist()
    for wrong, text in (([1, 1], "to sum to"), ([-1, 4], "negative value")):
        with pytest.raises(RuntimeError, match=text):
            reduce(d[0], lib.tensor(wrong)).tolist()


def test_what_the_host_computes_inside_jit_and_vmap() -> None:
    a = torch.tensor([[4.0, 1, 0], [1, 3, 2], [0, 2, -1]])
    b = torch.arange(6.0).reshape(3, 2)

    def whole(lib: Any, a: Any, b: Any) -> list[Any]:
        factor, pivots = lib.linalg.ldl_factor(a)
        return [lib.linalg.ldl_solve(factor, pivots, b), *lib.geqrf(a), pivots]

    theirs = whole(torch, a, b)
    both = lambda *xs: [jtorch.func.to_jax(t) for t in whole(jtorch, *[jtorch.func.to_torch(x) for x in xs])]
    given = [jtorch.func.to_jax(bridge.tensor(t)) for t in (a, b)]
    for p, q in zip(theirs, jax.jit(both)(*given), strict=True):
        np.testing.assert_allclose(p.numpy(), np.asarray(q), rtol=1e-5, atol=1e-6)
    for p, q in zip(theirs, jax.vmap(both)(*[x[None] for x in given]), strict=True):
        np.testing.assert_allclose(p.numpy(), np.asarray(q)[0], rtol=1e-5, atol=1e-6)


@BOTH
def test_tangents_can_be_switched_off(lib: Any) -> None:
    forward = importlib.import_module(lib.__name__ + ".autograd.forward_ad")
    x, one = lib.tensor(0.75), lib.ones(())

    def f(x: Any) -> Any:
        with forward._set_fwd_grad_enabled(False):
            shift = x * x
        return x * x - shift

    jvp = lib.func.jvp
    with forward._set_fwd_grad_enabled(False):
        assert not forward._is_fwd_grad_enabled()
        assert jvp(f, (x,), (one,))[1].item() == 1.5
    assert jvp(lambda x: jvp(f, (x,), (one,))[1], (x,), (one,))[1].item() == 2
    assert lib.func.grad(f)(x).item() == 0
    with forward.dual_level():
        dual = forward.make_dual(x, one)
        with forward._set_fwd_grad_enabled(False):
            still = dual * 2
        told: list[bool] = []

        class Told(lib.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                told.append(forward._is_fwd_grad_enabled())
                return x * 2

        Told.apply(x)
        assert told == [False] and forward._is_fwd_grad_enabled()
        assert forward.unpack_dual(still).tangent is None and forward.unpack_dual(still * dual).tangent.item() == 1.5


@BOTH
def test_operators_that_torch_itself_does_not_show(lib: Any) -> None:
    assert [hasattr(lib, n) for n in ("_foreach_zero_", "_foreach_zero", "_flash_attention_forward", "_convolution", "_version")] == [True, False, False, True, False]


@BOTH
def test_ensembles_made_by_class(lib: Any) -> None:
    made = importlib.import_module("torch._functorch.make_functional" if lib is torch else "jtorch._private.functorch.make_functional")
    build = lambda n: lib.nn.Sequential(lib.nn.Linear(n, 2), lib.nn.BatchNorm1d(2))
    lib.manual_seed(0)
    weights, buffers, f, names, of_buffers = made.functional_init_with_buffers(build, (3,))(4)
    assert names == ("0.weight", "0.bias", "1.weight", "1.bias") and of_buffers[0] == "1.running_mean"
    assert [tuple(w.shape) for w in weights] == [(3, 2, 4), (3, 2), (3, 2), (3, 2)]
    x = lib.arange(8.0).reshape(2, 4)
    found = lib.vmap(f, (0, 0, None))(weights, buffers, (x,))
    alone = f(tuple(w[1] for w in weights), tuple(b[1] for b in buffers), (x,))
    assert lib.allclose(found[1], alone, atol=1e-4) and found.shape == (3, 2, 2)
    with pytest.raises(RuntimeError, match="`model` has buffers"):
        made.functional_init(build, (2,))(4)
    with pytest.raises(ValueError, match="should be > 0"):
        made.functional_init(lib.nn.Linear, (0,))(4, 2)

REFUSED: dict[str, Any] = {
    "a derivative by integers": lambda lib: lib.func.grad(lambda x: x.sum())(lib.ones(2, dtype=lib.long)),
    "a tree with integers": lambda lib: lib.func.grad(lambda d: d["a"].sum())({"a": lib.ones(2), "b": lib.ones(2, dtype=lib.bool)}),
    "jacrev by integers": lambda lib: lib.func.jacrev(lambda x: x * 1.0)(lib.ones(2, dtype=lib.long)),
    "jvp by integers": lambda lib: lib.func.jvp(lambda x: x * 1.0, (lib.ones(2, dtype=lib.long),), (lib.ones(2),)),
    "a cotangent of another shape": lambda lib: lib.func.vjp(lib.sin, lib.ones(2))[1](lib.ones(3)),
    "a mask in lanes": lambda lib: lib.vmap(lambda x: x[x > 0])(lib.ones(2, 3)),
    "one truth in lanes": lambda lib: lib.vmap(lambda x: x[x[0] > 0])(lib.ones(2, 3)),
    "index_put by a mask": lambda lib: lib.vmap(lambda x: x.index_put((x > 0,), lib.tensor(1.0)))(lib.ones(2, 3)),
    "masked_select": lambda lib: lib.vmap(lambda x: lib.masked_select(x, x > 0))(lib.ones(2, 3)),
    "shared statistics": lambda lib: lib.vmap(lambda x: lib.nn.BatchNorm1d(2)(x))(lib.ones(3, 4, 2)),
    "shared statistics of an instance norm": lambda lib: lib.vmap(lambda x: lib.nn.InstanceNorm1d(2, track_running_stats=True)(x))(lib.ones(3, 2, 4)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_torchs_words(name: str) -> None:
    found = []
    for lib in (torch, jtorch):
        with pytest.raises((RuntimeError, ValueError)) as error:
            REFUSED[name](lib)
        found.append((type(error.value).__name__, str(error.value)))
    assert found[0] == found[1]


def test_what_the_library_says_it_is_built_with() -> None:
    import jtorch._private.C as ours

    names = [n for n in dir(torch._C) if n.startswith(("has_", "_has_")) and isinstance(getattr(torch._C, n), bool) and hasattr(ours, n)]
    assert {"has_lapack", "has_spectral", "_has_cuda"} <= set(names)
    assert all(getattr(ours, n) is getattr(torch._C, n) for n in names)
