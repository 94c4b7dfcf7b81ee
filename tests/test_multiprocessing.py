"""torch.multiprocessing: spawn, its errors, and tensors in queues."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import os
import torch
import torch.multiprocessing as mp

def work(rank, queue, kind):
    if kind == "raise" and rank == 1:
        raise ValueError("from a child")
    if kind == "exit" and rank == 1:
        os._exit(7)
    queue.put((rank, torch.arange(3) * rank))

if __name__ == "__main__":
    queue = mp.get_context("spawn").SimpleQueue()
    mp.spawn(work, args=(queue, ""), nprocs=2)
    print(sorted((rank, t.tolist()) for rank, t in (queue.get(), queue.get())))
    for kind in ("raise", "exit"):
        try:
            mp.start_processes(work, args=(queue, kind), nprocs=2, start_method="fork")
        except mp.ProcessRaisedException as error:
            print(str(error).strip().splitlines()[0], "|", str(error).strip().splitlines()[-1])
        except mp.ProcessExitedException as error:
            print(error, error.exit_code)
    q = mp.Queue()
    process = mp.Process(target=lambda: q.put(torch.ones(2) + 1)) if mp.get_start_method() == "fork" else None
    if process is not None:
        process.start()
        print(q.get().tolist())
        process.join()
"""


def test_spawn(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "jtorch", str(path)], capture_output=True, text=True, timeout=240, env=env, check=False)
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "[(0, [0, 0, 0]), (1, [0, 1, 2])]", "-- Process 1 terminated with the following error: | ValueError: from a child",
        "process 1 terminated with exit code 7 7",
    ], done.stderr  # fmt: skip
    assert lines[3:] in ([], ["[2.0, 2.0]"])
