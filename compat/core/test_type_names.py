"""``type(x)`` of what torch's public classes make prints the same text."""

from __future__ import annotations

from compat.run_both import run_text

PROGRAM = """
import torch, torch.nn, torch.optim, torch.utils.data, torch.distributions, torch.autograd
for space in ("torch", "torch.nn", "torch.optim", "torch.optim.lr_scheduler", "torch.optim.swa_utils", "torch.utils.data", "torch.distributions", "torch.nn.utils.rnn"):
    module = __import__(space, fromlist=["x"])
    for name in sorted(vars(module)):
        cls = getattr(module, name)
        if isinstance(cls, type) and not name.startswith("_"):
            print(space, name, cls)
"""

# Where torch's own layout is an accident of its C++ build or of private files.
ELSEWHERE = {"torch._C", "torch._", "torch.utils._", "torch.nn.utils._", "torch.jit", "torch.utils.data.datapipes"}


def test_public_classes_print_the_same() -> None:
    theirs, ours = (run_text(library, PROGRAM) for library in ("torch", "jtorch"))
    assert not theirs.error and not ours.error, ours.error
    mine = dict(line.rpartition(" <")[::2] for line in ours.text.splitlines())
    wrong, compared = [], 0
    for line in theirs.text.splitlines():
        key, _, shown = line.rpartition(" <")
        if key not in mine or any(f"'{e}" in shown for e in ELSEWHERE) or not shown.startswith("class 'torch"):
            continue
        compared += 1
        if mine[key] != shown:
            wrong.append(f"{key}: torch <{shown}, jtorch <{mine[key]}")
    assert not wrong, f"{len(wrong)} of {compared}:\n" + "\n".join(wrong)
    assert compared > 250
