"""A fork of a process in which nothing has run may start XLA; one of a process that has run something may not, and computes with numpy."""

import os
import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import os, jtorch as torch
    from jtorch._engine.running.fork import in_child, start_afresh

    def child():
        x = torch.arange(9.0).view(3, 3).requires_grad_()
        (x @ x).sum().backward()
        print(in_child(), x.grad.tolist(), flush=True)

    def forked(afresh):
        if os.fork() == 0:
            try:
                if afresh:
                    start_afresh()
                child()
            except RuntimeError as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()

    forked(True)
    forked(False)
    print((torch.ones(2) + 1).tolist(), flush=True)
    forked(True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_xla_after_a_fork_of_an_untouched_process():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(PROGRAM)], capture_output=True, text=True, timeout=550, check=True)
    lines = done.stdout.splitlines()
    # d/dx sum(x @ x) = row sums of x along one side plus column sums along the other
    x = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]
    gradient = [[sum(x[j]) + sum(row[i] for row in x) for j in range(3)] for i in range(3)]
    assert lines == [
        f"False {gradient}",
        f"True {gradient}",
        "[2.0, 2.0]",
        "XLA can be used after a fork only if the process that forked had run nothing yet",
    ]
