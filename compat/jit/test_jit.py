"""torch.jit: scripted and traced programs show and do what torch's do; TorchScript's archives give their weights."""

from __future__ import annotations

import io
import warnings

import pytest
import torch

import jtorch
import jtorch.jit
from compat.jit.snippets import SNIPPETS
from compat.programs_of_text import run


@pytest.mark.parametrize("name", SNIPPETS)
def test_prints_what_torch_prints(name: str) -> None:
    assert run(jtorch, SNIPPETS[name]) == run(torch, SNIPPETS[name])


def test_weights_of_torchscript_archives() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1).half())
    for kind in ("script", "trace"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.jit.script(model) if kind == "script" else torch.jit.trace(model[:2].eval(), torch.ones(2, 2))
            buffer = io.BytesIO()
            torch.jit.save(made, buffer)
        buffer.seek(0)
        with pytest.raises(NotImplementedError, match=r"weights_of"):
            jtorch.jit.load(buffer)
        found, wanted = jtorch.jit.weights_of(buffer), made.state_dict()
        assert {k: (tuple(v.shape), str(v.dtype)) for k, v in found.items()} == {k: (tuple(v.shape), str(v.dtype)) for k, v in wanted.items()}
        for name, value in wanted.items():
            assert found[name].detach().float().numpy().tolist() == value.float().tolist()
