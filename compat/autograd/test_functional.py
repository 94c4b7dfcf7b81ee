"""``torch.autograd.functional`` and ``torch.func`` about what they are given: the same result, or the same exception, under both libraries."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

EXPRESSIONS = """
A.vjp(lambda a: a * 2, x)
A.vjp(lambda a: (a * 2).sum(), x)
A.vjp(lambda a: a * 2, x, t.ones(3))
A.vjp(lambda a: a * 2, x, (x, x))
A.vjp(lambda a, b: (a * b, a), (x, x), (x, x))
A.vjp(lambda a, b: (a * b, a), (x, x), (x, t.ones(3)))
A.vjp(lambda a: 3, x)
A.vjp(lambda a: a, [x])
A.jvp(lambda a: a * 2, x)
A.jvp(lambda a: a * 2, t.ones(1))
A.jvp(lambda a: a * 2, x, x)
A.jvp(lambda a: a * 2, x, t.ones(3))
A.vhp(lambda a: (a ** 3).sum(), x, x)
A.vhp(lambda a: (a ** 3).sum(), x)
A.vhp(lambda a: a ** 3, x, x)
A.hvp(lambda a: (a.sum(), a), x, x)
A.hvp(lambda a: 3, x, x)
A.hessian(lambda a: a ** 2, x)
A.hessian(lambda a: (a ** 3).sum(), x)
A.hessian(lambda a: (a.sum(),), x)
A.jacobian(lambda a: 3, x)
A.jacobian(lambda a: a, 3)
A.jacobian(lambda a, b: a * 2, (x, x))
A.jacobian(lambda a, b: a * 2, (x, x), strict=True)
A.jacobian(lambda a: a.detach(), x, strict=True)
F.vjp(lambda a: a * 2, x)[1](t.ones(3))
F.jvp(lambda a: a * 2, (x,), (t.ones(3),))
F.grad(lambda a: a.sum())(x.long())
F.vjp(lambda a: a * 2.0, x.long())
F.jacrev(lambda a: a * 2.0)(x.long())
t.set_grad_enabled("x")
t.set_grad_enabled(1)
""".strip().splitlines()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_as_torch_takes_it(expression: str) -> None:
    def outcome(library: Any) -> Any:
        try:
            return repr(eval(expression, {"t": library, "A": library.autograd.functional, "F": library.func, "x": library.tensor([1.0, 2.0])}))
        except Exception as error:
            return type(error).__name__, str(error).partition("\n")[0]

    assert outcome(jtorch).__repr__().replace("jtorch", "torch") == outcome(torch).__repr__()
