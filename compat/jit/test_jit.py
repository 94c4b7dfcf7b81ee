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
from compat.run_both import run_text


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


def test_private_names_that_libraries_import() -> None:
    """Under the name of torch, in a process of its own."""
    program = (
        "from torch._jit_internal import boolean_dispatch, BroadcastingList2, Final, is_scripting, ignore, unused, export, _overload\n"
        "from torch.jit.annotations import BroadcastingList2\nimport torch, torch.jit, torch.fx, torch.library, torch.profiler\n"
        "print(torch.jit.annotations.__name__, is_scripting(), torch.ops.aten.add.Tensor)\n"
    )
    theirs, ours = run_text("torch", program), run_text("jtorch", program)
    assert not ours.error and ours.text == theirs.text
