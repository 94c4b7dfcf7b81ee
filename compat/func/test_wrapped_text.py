"""How tensors show inside torch.func's transformations, what aux may be, and gradients of a vjp that was made under no_grad: the same under both libraries."""

from __future__ import annotations

import pytest
import torch

import jtorch
from compat.core.test_what_torch_takes import executed, outcome

SHOWN = """
from importlib import import_module
F = import_module(torch.__name__ + '.func'); x = torch.arange(4.).reshape(2, 2); r = []
def p(t): r.append(repr(t)); return t.sum()
"""

PROGRAMS = {
    "grad": SHOWN + "F.grad(p)(x)",
    "grad of grad": SHOWN + "F.grad(lambda t: F.grad(p)(t).sum())(x)",
    "vmap": SHOWN + "F.vmap(p)(x)",
    "vmap of grad": SHOWN + "F.vmap(F.grad(p))(x)",
    "grad of vmap": SHOWN + "F.grad(lambda t: F.vmap(p)(t).sum())(x)",
    "vmap of vmap": SHOWN + "F.vmap(F.vmap(p), in_dims=1)(x)",
    "computed": SHOWN + "F.grad(lambda t: p(t * 2))(x)",
    "captured": SHOWN + "y = torch.ones(2, requires_grad=True); F.grad(lambda t: (p(y * 2), p(y), t.sum())[2])(x)",
    "followed outside": SHOWN + "F.grad(p)(torch.ones(2, requires_grad=True))",
    "aux of a number": SHOWN + "F.grad(lambda t: (t.sum(), 1), has_aux=True)(x)",
    "aux with a text": SHOWN + "F.vjp(lambda t: (t, [t, 'a']), x, has_aux=True)",
    "aux of jacrev": SHOWN + "F.jacrev(lambda t: (t, 1.0), has_aux=True)(x)",
    "aux of jacfwd": SHOWN + "F.jacfwd(lambda t: (t, [t, 1.0]), has_aux=True)(x)",
    "aux of jvp": SHOWN + "F.jvp(lambda t: (t, 1.0), (x,), (x,), has_aux=True)",
    "made under no_grad": SHOWN + "v = torch.tensor(3., requires_grad=True)\nwith torch.no_grad(): out, pull = F.vjp(lambda t: t ** 2, v)\n"
    "(y,) = pull(torch.tensor(1.)); r = out.requires_grad, y.requires_grad, torch.autograd.grad(y, v)[0].item()",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_do_the_same(name: str) -> None:
    """Texts and values, or the exception and its words."""
    assert outcome(jtorch, executed(PROGRAMS[name])) == outcome(torch, executed(PROGRAMS[name]))
