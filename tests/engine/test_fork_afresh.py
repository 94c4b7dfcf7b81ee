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


OTHERS = """
    import os, threading, jtorch as torch
    from jtorch._engine.recording.trace import flush
    from jtorch._engine.running import executor, fork
    from jtorch._engine.values.thread_state import State
    fork._PATIENCE = 0.1

    model = torch.nn.Sequential(*[torch.nn.Linear(3, 3) for _ in range(5)])
    optimizer = torch.optim.Adam(model.parameters())
    def step():
        optimizer.zero_grad()
        model(torch.ones(2, 3)).sum().backward()
        flush()
        optimizer.step()
    for _ in range(30):
        step()
    packed = sum(type(v._s).__name__ == "PackedStorage" for s in optimizer.state.values() for v in s.values())
    pending, begun, go = [], threading.Event(), threading.Event()
    original = executor._execute

    def slow(tr, why):
        if threading.current_thread() is other:
            begun.set()
            go.wait()
        return original(tr, why)

    def compute():
        pending.append(torch.arange(3.0) * 2 + 1)
        with State.updating:
            pending[0].tolist()

    executor._execute = slow
    other = threading.Thread(target=compute)
    other.start()
    begun.wait()
    child = os.fork()
    if child == 0:
        print(packed, pending[0].tolist(), {float(s["step"]) for s in optimizer.state.values()}, flush=True)
        step()
        print({float(s["step"]) for s in optimizer.state.values()}, all(v.isfinite().all().item() for s in optimizer.state.values() for v in s.values()), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    go.set()
    other.join()
    step()
    print(pending[0].tolist(), {float(s["step"]) for s in optimizer.state.values()}, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_fork_while_another_thread_computes():
    """The child does not wait for what a thread holds that it does not have, and reads state that an optimizer has packed."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(OTHERS)], capture_output=True, text=True, timeout=550, check=True)
    packed, first = done.stdout.splitlines()[0].split(" ", 1)
    assert int(packed) > 0
    assert [first, *done.stdout.splitlines()[1:]] == ["[1.0, 3.0, 5.0] {30.0}", "{31.0} True", "[1.0, 3.0, 5.0] {31.0}"]


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
