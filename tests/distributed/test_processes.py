"""Processes that find each other, disagree, die and are started again. (That they compute what torch does is compared in compat/distributed.)"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import jtorch.distributed as dist

ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("", 0))
        return int(s.getsockname()[1])


PATIENCE = 550  # seconds until a test gives up: no measure of anything, a busy machine may need many


def ranks(program: Path, count: int, *args: str, patience: float = PATIENCE) -> list[tuple[int, str]]:
    """Return codes and what was printed, of processes that are joined by their environment."""
    port = str(free_port())
    running = []
    for r in range(count):
        env = {**environment(), "RANK": str(r), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        running.append(subprocess.Popen([sys.executable, "-m", "jtorch", str(program), *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    try:
        return [(p.returncode, out) for p in running for out, _ in [p.communicate(timeout=patience)]]
    finally:
        for p in running:
            p.kill()


PROGRAM = """
import os, sys, time, torch, torch.distributed as dist
made_before = torch.arange(3.0) + 1       # arrays from before the processes were joined
dist.init_process_group("gloo")
r, how = dist.get_rank(), sys.argv[1]
x = made_before * (r + 1)
dist.all_reduce(x)
print("sum", x.tolist(), flush=True)
both = torch.zeros(2, 3) if r else None
dist.gather_single(made_before * (r + 1), both, dst=1)
if r: print("gathered", both.tolist(), flush=True)
if how == "killed" and r == 1: os.kill(os.getpid(), 9)
if how == "first killed" and r == 0: os.kill(os.getpid(), 9)
if how == "raises" and r == 1: raise ValueError("on purpose")
if how == "shapes":
    ones, two = torch.ones, torch.zeros(2)
    for name, attempt in {
        "all_reduce": lambda: dist.all_reduce(ones(2 + r)),
        "other": lambda: dist.broadcast(ones(2), 0) if r else dist.all_reduce(ones(2)),
        "type": lambda: dist.all_reduce(ones(2, dtype=torch.float64 if r else torch.float32)),
        "reduction": lambda: dist.all_reduce(ones(2), dist.ReduceOp.MAX if r else dist.ReduceOp.SUM),
        "root": lambda: dist.broadcast(ones(2), r),
        "broadcast": lambda: dist.broadcast(ones(2 + r), 0),
        "reduce": lambda: dist.reduce(ones(2 + r), 0),
        "all_gather": lambda: dist.all_gather([ones(2 + r)] * 2, ones(2 + r)),
        "all_gather_single": lambda: dist.all_gather_single(ones(4 + 2 * r), ones(2 + r)),
        "reduce_scatter": lambda: dist.reduce_scatter_single(ones(1 + r), ones(2 + 2 * r)),
        "all_to_all": lambda: dist.all_to_all_single(ones(2 + 2 * r), ones(2 + 2 * r)),
        "gather": lambda: dist.gather(ones(2 + r), None if r else [two, two]),
        "scatter": lambda: dist.scatter(ones(2 + r), None if r else [two, two]),
        "send": lambda: dist.recv(ones(2), 0) if r else dist.send(ones(3), 1),
        "barrier": lambda: dist.barrier() if r else dist.all_reduce(two),
    }.items():
        try: attempt()
        except RuntimeError as error: print("told:", name, error, flush=True)
dist.all_reduce(x)
print("end", flush=True)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("programs") / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.mark.parametrize(("how", "who"), [("killed", "rank 1 died"), ("first killed", "rank 0 died"), ("raises", "rank 1 ended after an error")])
def test_the_others_say_who_is_gone(program: Path, how: str, who: str) -> None:
    found = ranks(program, 2, how)
    other = 1 if how == "first killed" else 0
    assert who in found[other][1], found[other][1]
    assert found[other][0] != 0


def test_disagreement_is_an_error_everywhere_and_not_the_end(program: Path) -> None:
    for code, out in ranks(program, 2, "shapes"):
        assert code == 0, out
        told = dict(line.removeprefix("told: ").split(" ", 1) for line in out.splitlines() if line.startswith("told: "))
        assert told.pop("send") == "rank 0 sends float32 of 3 elements and rank 1 receives float32 of 2 elements"
        assert "elements and rank" in told.pop("all_to_all")
        assert told["all_reduce"] == "the ranks do not agree: rank 0 called all_reduce(float32[2], SUM); rank 1 called all_reduce(float32[3], SUM)"
        assert told["other"].endswith("rank 0 called all_reduce(float32[2], SUM); rank 1 called broadcast(float32[2], 0)")
        assert len(told) == 13 and all("rank 0 called" in x and "rank 1 called" in x for x in told.values()), told
        assert "sum [3.0, 6.0, 9.0]" in out and "end" in out
    assert "gathered [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]" in out  # of the last rank


@pytest.mark.slow
def test_torchrun_starts_all_again(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(
        "import os, torch, torch.distributed as dist\n"
        "dist.init_process_group()\n"
        "x = torch.ones(1)\ndist.all_reduce(x)\n"
        "if os.environ['RANK'] == '1' and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0': raise ValueError('once')\n"
        "dist.barrier()\n"
        "print(f\"rank {os.environ['LOCAL_RANK']} {os.environ['TORCHELASTIC_RESTART_COUNT']} {x.item()} {dist.is_torchelastic_launched()}\\n\", end='')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "jtorch", "torchrun", "--standalone", "--nproc-per-node=2", "--max-restarts=1", str(path)], env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("rank")) == ["rank 0 1 2.0 True", "rank 1 1 2.0 True"]
    path.write_text("import os, signal\nif os.environ['RANK'] == '1': os.kill(os.getpid(), signal.SIGKILL)\n")
    done = subprocess.run([sys.executable, "-m", "jtorch", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(path)], env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert "train.py FAILED" in done.stderr and f"Signal {signal.SIGKILL:d} (SIGKILL)" in done.stderr and "rank      : 1 (local_rank: 1)" in done.stderr


def stores(tmp_path: Path) -> dict[str, Any]:
    tcp = dist.TCPStore("127.0.0.1", 0, 1, True)
    return {"tcp": tcp, "prefix": dist.PrefixStore("p", tcp), "hash": dist.HashStore(), "file": dist.FileStore(str(tmp_path / "store"), 1)}


@pytest.mark.parametrize("kind", ["tcp", "prefix", "hash", "file"])
def test_stores(kind: str, tmp_path: Path) -> None:
    s = stores(tmp_path)[kind]
    s.set("a", "1")
    assert s.get("a") == b"1" and s.add("n", 5) == 5 and s.add("n", -2) == 3 and s.get("n") == b"3"
    assert [s.compare_set("k", *x) for x in (("", "v"), ("x", "w"), ("v", "w"))] == [b"v", b"v", b"w"]
    assert s.compare_set("none", "v", "w") == b"v"
    assert s.check(["a", "k"]) and not s.check(["a", "none"])
    assert s.delete_key("a") and not s.check(["a"])
    s.append("t", "x")
    s.append("t", "y")
    assert s.multi_get(["t", "k"]) == [b"xy", b"w"]
    s.set_timeout(timedelta(seconds=0.2))
    assert s.timeout == timedelta(seconds=0.2)
    with pytest.raises(RuntimeError, match="200 ?ms"):
        s.get("never")
    if kind != "file":
        s.queue_push("q", "1")
        assert s.queue_len("q") == 1 and s.queue_pop("q") == b"1"
        with pytest.raises(dist.QueueEmptyError, match="queue is empty"):
            s.queue_pop("q", block=False)


def test_one_process_is_a_world_too(tmp_path: Path) -> None:
    import jtorch as torch
    from jtorch.distributed.algorithms.ddp_comm_hooks import quantization_hooks
    from jtorch.distributed.ddp import GradBucket

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/one", rank=0, world_size=1)
    try:
        x = torch.ones(3)
        dist.all_reduce(x)
        out = [torch.zeros(3)]
        dist.all_gather(out, x)
        net = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(3, 2))
        net(out[0]).sum().backward()
        assert net.module.weight.grad.tolist() == [[1.0] * 3] * 2
        flat = torch.linspace(-3.0, 5.0, 700)
        for hook in (quantization_hooks.quantization_pertensor_hook, quantization_hooks.quantization_perchannel_hook):
            sent = hook(None, GradBucket(0, flat.clone(), [torch.nn.Parameter(flat)], True)).wait()
            assert sent.shape == flat.shape and 0 < (sent - flat).abs().max() < 8 / 255  # bytes between the least and the largest
        with pytest.raises(ValueError, match="twice"):
            dist.init_process_group("gloo", init_method=f"file://{tmp_path}/two", rank=0, world_size=1)
    finally:
        dist.destroy_process_group()
    with pytest.raises(ValueError, match="has not been initialized"):
        dist.all_reduce(x)
    with pytest.raises(ValueError, match="environment variable RANK expected"):
        dist.init_process_group("gloo")
