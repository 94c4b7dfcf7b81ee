"""A user's own functions under torch.func in both libraries: autograd.Function with its vmap rule, a generated one, jvp; torch.library's register_vmap; nested."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import jtorch


def functions(lib: Any, calls: list[Any]) -> Any:
    base = lib.autograd.Function

    class Cube(base):  # type: ignore[misc]
        @staticmethod
        def forward(x: Any) -> Any:
            n = x.detach().numpy()
            return lib.tensor(n**3), lib.tensor(3 * n**2)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(inputs[0], output[1])
            ctx.save_for_forward(inputs[0], output[1])

        @staticmethod
        def backward(ctx: Any, g: Any, gd: Any) -> Any:
            x, d = ctx.saved_tensors
            return g * d + gd * 6 * x

        @staticmethod
        def jvp(ctx: Any, t: Any) -> Any:
            x, d = ctx.saved_tensors
            return d * t, 6 * x * t

        @staticmethod
        def vmap(info: Any, in_dims: Any, x: Any) -> Any:
            calls.append((info.batch_size, info.randomness, in_dims, tuple(x.shape)))
            return Cube.apply(x), (in_dims[0], in_dims[0])

    class Product(base):  # type: ignore[misc]
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any, y: Any) -> Any:
            return x.sin() * y

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, y = ctx.saved_tensors
            return g * x.cos() * y, g * x.sin()

        @staticmethod
        def jvp(ctx: Any, tx: Any, ty: Any) -> Any:
            x, y = ctx.saved_tensors
            return tx * x.cos() * y + ty * x.sin()

    class Doubled(base):  # type: ignore[misc]
        @staticmethod
        def forward(x: Any) -> Any:
            return x.mul_(2)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.mark_dirty(inputs[0])

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

        @staticmethod
        def vmap(info: Any, in_dims: Any, x: Any) -> Any:
            return Doubled.apply(x), in_dims[0]

    return Cube, Product, Doubled


def with_rule(lib: Any, F: Any, calls: list[Any], x: Any) -> Any:
    Cube, _, Doubled = functions(lib, calls)
    f = lambda x: Cube.apply(x)[0]
    s = lambda x: f(x).sum()

    def twice(t: Any) -> Any:
        t = t.clone()
        out = Doubled.apply(t)
        assert out is t
        return out

    y = x.clone().requires_grad_()
    F.vmap(lambda t: (f(f(t.sin())) + t.sin()).sum())(y).sum().backward()
    return [
        y.grad, F.vmap(f)(x), F.vmap(f, 1, 1)(x), F.vmap(F.vmap(f))(x), F.vmap(F.grad(s))(x), F.grad(lambda t: F.vmap(f)(t).sum())(x), F.vmap(F.vmap(F.grad(f)))(x),
        F.grad(lambda t: (F.vmap(F.grad(s))(t) * t).sum())(x), F.jvp(F.vmap(f), (x,), (x,)), F.vmap(lambda t: F.jvp(f, (t,), (t,)))(x), F.vmap(F.jacrev(f))(x), F.hessian(s)(x[0]),
        F.vmap(twice)(x), F.vmap(F.grad(lambda t: (twice(t) ** 2).sum()))(x), F.vmap(lambda t: f(lib.ones(2)).sum() * t)(x),
    ]  # fmt: skip


def generated(lib: Any, F: Any, calls: list[Any], x: Any) -> Any:
    _, Product, _ = functions(lib, calls)
    f = Product.apply
    return [
        F.vmap(f, (0, None))(x, x[0]), F.vmap(F.grad(lambda a, b: f(a, b).sum(), (0, 1)), (0, None))(x, x[0]), F.vmap(lambda a, b: F.jvp(f, (a, b), (a, b)), (0, None))(x, x[0]),
        F.vmap(F.vmap(F.grad(F.grad(lambda a: f(a, a)))))(x),
    ]  # fmt: skip


def registered(lib: Any, F: Any, calls: list[Any], x: Any) -> Any:
    def cube(x, k):  # type: ignore[no-untyped-def]
        return lib.tensor(x.numpy() ** 3 * k)

    op = lib.library.custom_op("own_functions::cube", cube, mutates_args=(), schema="(Tensor x, float k) -> Tensor")
    alone = F.vmap(lambda t: op(t, 2.0))(x)  # one lane after another

    @op.register_vmap  # type: ignore[untyped-decorator]
    def _(info: Any, in_dims: Any, x: Any, k: float) -> Any:
        calls.append((info.batch_size, in_dims))
        return op(x, k), in_dims[0]

    return [alone, F.vmap(lambda t: op(t, 2.0))(x), F.vmap(lambda t: op(t, 2.0), 1)(x), F.vmap(F.vmap(lambda t: op(t, 2.0)))(x)]


def errors(lib: Any, F: Any, calls: list[Any], x: Any) -> Any:
    base = lib.autograd.Function
    forward, backward, setup = staticmethod(lambda x: x * 2), staticmethod(lambda ctx, g: g), staticmethod(lambda ctx, inputs, output: None)
    old = {"forward": staticmethod(lambda ctx, x: x * 2), "backward": backward}
    new = {"forward": forward, "backward": backward, "setup_context": setup}
    bad = [old, new, {**new, "vmap": staticmethod(lambda i, d, x: x), "generate_vmap_rule": True}]
    bad += [{**new, "vmap": staticmethod(lambda i, d, x, r=r: r(x))} for r in (lambda x: x, lambda x: (x, 0, 0), lambda x: (x, (None,)))]
    for given in bad:
        with pytest.raises(RuntimeError) as e:
            F.vmap(type("Bad", (base,), given).apply)(x)
        calls.append(str(e.value).replace("torch.", "").replace("j", ""))
    through = type("Through", (base,), {**new, "forward": staticmethod(lambda x: x), "setup_context": staticmethod(lambda ctx, i, o: ctx.save_for_backward(o))})
    with pytest.raises(RuntimeError) as e:
        through.apply(x)
    calls.append(str(e.value))
    names: list[str] = []
    F.grad(lambda x: (y := type("Named", (base,), new).apply(x), names.append(type(y.grad_fn).__name__))[0].sum())(x)
    return [names, F.vmap(type("Good", (base,), {**new, "vmap": staticmethod(lambda i, d, x: (x.sum(0), None))}).apply)(x)]


@pytest.mark.parametrize("case", [with_rule, generated, registered, errors], ids=lambda f: f.__name__)
def test_own_functions(case: Any) -> None:
    found = []
    for lib in (torch, jtorch):
        calls: list[Any] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            x = lib.arange(6.0).reshape(2, 3) / 3 + 0.5
            out = case(lib, importlib.import_module(lib.__name__ + ".func"), calls, x)
        leaves = importlib.import_module(lib.__name__ + ".utils._pytree").tree_flatten(out)[0]
        found.append((calls, [t.detach().numpy() if isinstance(t, lib.Tensor) else t for t in leaves]))
    (calls, want), (our_calls, got) = found
    assert our_calls == calls
    for a, b in zip(want, got, strict=True):
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(b, a, rtol=1e-5)
        else:
            assert a == b


def test_memory_of_a_transposed_value_is_in_its_own_order() -> None:
    """An input of a transformation that was a view on the host: numpy's copy of it kept the other order."""
    seen: list[Any] = []
    z = jtorch.tensor(np.arange(6.0).reshape(2, 3))
    jtorch.func.grad(lambda t: (seen.extend([t.detach().numpy(), t.t().detach().numpy()]), t.sum())[1])(z.t())
    assert (seen[0] == np.arange(6.0).reshape(2, 3).T).all() and (seen[1] == np.arange(6.0).reshape(2, 3)).all()
