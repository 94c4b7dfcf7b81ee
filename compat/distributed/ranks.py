"""What the programs have in common: processes of one world, each of which writes down what it saw. ``python program.py PORT FOLDER [full]`` starts them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

__all__ = ["Said", "start"]

warnings.filterwarnings("ignore")


class Said(list):  # type: ignore[type-arg]
    """Lines."""

    def attempt(self, name: str, fn: Callable[[], Any], length: int = 1000) -> None:
        """What ``fn`` gives, or its error's type and so much of its first line."""
        try:
            self.append(f"{name}: {shown(fn())}".replace("\n", " "))
        except Exception as error:  # noqa: BLE001 - what is refused is compared too
            self.append(f"{name}: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:length]}")


def shown(x: Any) -> str:
    """A tensor by its numbers (a DTensor as it prints itself)."""
    if type(x) is torch.Tensor and not hasattr(x, "placements"):
        return str(x.tolist())
    if type(x) in (list, tuple) and any(isinstance(y, (torch.Tensor, list, tuple)) for y in x):
        return str([shown(y) for y in x])
    return str(x)


def _rank(r: int, n: int, folder: str, parts: tuple[Any, ...], joins: bool) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[1], RANK=str(r), WORLD_SIZE=str(n), LOCAL_RANK=str(r))
    if joins:
        dist.init_process_group("gloo")
    with open(f"{folder}/{r}", "w") as file:
        for part in parts:
            said = Said()
            part(r, n, said)
            file.write("\n".join(said) + "\n")
            file.flush()
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def start(*parts: Callable[[int, int, Said], None], joins: bool = True) -> None:
    """Two processes do the ``parts(rank, size, said)``. Without ``joins`` they are to find each other by themselves (a mesh does)."""
    mp.spawn(_rank, (2, sys.argv[2], parts, joins), nprocs=2)
