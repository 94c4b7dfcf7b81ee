"""Every optimizer's step under ``torch.compile``, and with what is asked of it changed between the calls, against torch's, which is not compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jtorch

# In its own way each: LBFGS calls the closure as often as it likes, SparseAdam wants sparse gradients.
NAMES = sorted(n for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, torch.optim.Optimizer) and n not in ("Optimizer", "LBFGS", "SparseAdam"))
EPS = {"Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adadelta", "Adagrad"}
OPTIONS: dict[str, list[dict[str, Any]]] = {"SGD": [{"lr": 0.1, "momentum": 0.9, "nesterov": True}], "RMSprop": [{"momentum": 0.9, "centered": True}], "Adagrad": [{"lr_decay": 0.1}], "Adam": [{"amsgrad": True}]}


def _run(lib: Any, name: str, options: dict[str, Any], comp: Any) -> list[Any]:
    lib.manual_seed(0)
    layers = [lib.nn.Linear(4, 4, bias=False), lib.nn.Tanh(), lib.nn.Linear(4, 2, bias=name != "Muon")]
    model = lib.nn.Sequential(*layers)
    opt = getattr(lib.optim, name)(model.parameters(), **({"eps": 1e-2} if name in EPS else {}), **options)
    x = lib.linspace(-1, 1, 24).reshape(6, 4)

    def step(x: Any) -> Any:
        opt.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        opt.step()
        return loss.detach()

    f, out = comp(step), []
    for k in range(5):
        if k == 3:
            opt.param_groups[0]["lr"] *= 0.5
        out.append(float(f(x)))
    return [*out, *[p.detach().numpy().copy() for p in model.parameters()]]


@pytest.mark.parametrize(("name", "options"), [(n, o) for n in NAMES for o in ({}, *OPTIONS.get(n, ()))], ids=lambda v: v if isinstance(v, str) else "+".join(v) or "plain")
def test_steps(name: str, options: dict[str, Any]) -> None:
    wanted, found = _run(torch, name, options, lambda f: f), _run(jtorch, name, options, jtorch.compile)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
