"""Programs of several processes, unmodified: pytorch/examples' distributed ones, in two processes and in one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from compat.packages.run import ours

from . import checkout, program

ROOT = Path(__file__).parents[3]
HERE = "HERE"  # among a script's arguments: the folder that it runs in
LAUNCHED = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
TEXT = "".join(f"{a} {b} and {c} go to the {d}; " for a in ("ships", "men", "kings") for b in ("of war", "at sea", "in gold") for c in ("dogs", "queens") for d in ("shore", "hall"))
CONFIG = """
gpt_config: {model_type: null, n_layer: 2, n_head: 2, n_embd: 16}
optimizer_config: {weight_decay: 0.1, learning_rate: 0.003}
data_config: {path: TEXT, block_size: 16, train_split: 0.9, truncate: 0.4}
trainer_config: {max_epochs: 2, batch_size: 8, data_loader_workers: 0, grad_norm_clip: 1.0, snapshot_path: snapshot.pt, save_every: 3, use_amp: False}
"""


def in_ranks(count: int, script: str, *arguments: str, here: bool = False, spawns: bool = False, times: int = 1, devices: int = 2) -> Any:
    """What the ranks' losses were; ``devices``: how many accelerators there seem to be; ``here``: jtorch sees two devices in one process, beside two processes of torch; ``spawns``: the script starts its processes."""
    file = checkout("pytorch/examples", f"distributed/{Path(script).parent}") / Path(script).name
    alone = here and ours()
    launcher = [] if spawns or alone else [*LAUNCHED, str(count)]
    command = [sys.executable, *(["-m", "jtorch"] if ours() else []), *launcher, "-m", "compat.programs.ranks"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RANKS": str(count), "ACCELERATORS": str(devices)}
    if alone:
        env |= {"WORLD_SIZE": str(count), "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"}
    found = []
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "config.yaml").write_text(CONFIG.replace("TEXT", f"{name}/text"))
        (Path(name) / "text").write_text(TEXT)
        given = [name if a == HERE else a for a in arguments]
        for i in range(times):
            folder = Path(name) / f"losses{i}"
            folder.mkdir()
            done = subprocess.run([*command, str(folder), str(file), *given], cwd=name, env=env, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr[-6000:])
            if not any(folder.iterdir()):
                raise RuntimeError(f"no losses: {done.stdout[-2000:]}")
            seen = [json.loads(p.read_text()) for p in sorted(folder.iterdir())]
            found.append(seen * 2 if alone else seen)
    return found


@program("pytorch/examples")
def ddp_example() -> Any:
    return in_ranks(2, "ddp/example.py")


@program("pytorch/examples")
def ddp_example_one() -> Any:
    return in_ranks(1, "ddp/example.py")


@program("pytorch/examples")
def ddp_tutorial_spawn() -> Any:
    return in_ranks(2, "ddp-tutorial-series/multigpu.py", "1", "1", spawns=True)


@program("pytorch/examples")
def ddp_tutorial_torchrun() -> Any:
    return in_ranks(2, "ddp-tutorial-series/multigpu_torchrun.py", "1", "1")


@program("pytorch/examples")
def ddp_tutorial_multinode() -> Any:
    return in_ranks(2, "ddp-tutorial-series/multinode.py", "1", "1")


@program("pytorch/examples")
def ddp_tutorial_one() -> Any:
    return in_ranks(1, "ddp-tutorial-series/multigpu_torchrun.py", "1", "1"), in_ranks(1, "ddp-tutorial-series/single_gpu.py", "1", "1", spawns=True)


@program("pytorch/examples")
def ddp_mingpt() -> Any:
    return in_ranks(2, "minGPT-ddp/mingpt/main.py", "--config-path", HERE, "--config-name", "config")


@program("pytorch/examples")
def ddp_mingpt_one() -> Any:
    return in_ranks(1, "minGPT-ddp/mingpt/main.py", "--config-path", HERE, "--config-name", "config")


@program("pytorch/examples")
def fsdp2() -> Any:
    return in_ranks(2, "FSDP2/example.py", times=2)


@program("pytorch/examples")
def fsdp2_mixed_precision() -> Any:
    return in_ranks(2, "FSDP2/example.py", "--mixed-precision", "--explicit-prefetching", "--dcp-api", times=2)


@program("pytorch/examples")
def fsdp2_one() -> Any:
    return in_ranks(1, "FSDP2/example.py", times=2)


@program("pytorch/examples")
def tensor_parallel() -> Any:
    return in_ranks(2, "tensor_parallelism/tensor_parallel_example.py")


@program("pytorch/examples")
def tensor_parallel_one() -> Any:
    return in_ranks(2, "tensor_parallelism/tensor_parallel_example.py", here=True)


@program("pytorch/examples")
def sequence_parallel() -> Any:
    return in_ranks(2, "tensor_parallelism/sequence_parallel_example.py")


@program("pytorch/examples")
def sequence_parallel_one() -> Any:
    return in_ranks(2, "tensor_parallelism/sequence_parallel_example.py", here=True)


@program("pytorch/examples")
def tensor_parallel_fsdp() -> Any:
    return in_ranks(2, "tensor_parallelism/fsdp_tp_example.py", devices=4)  # it looks for four; two are one row of its mesh. (Real torch's DTensor has no attention on the cpu.)
