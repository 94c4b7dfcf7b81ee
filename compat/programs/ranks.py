"""One rank of a program that wants two accelerators, on the cpu: ``python [-m jtorch] -m compat.programs.ranks FOLDER SCRIPT ARGS...``.

The script is run as it is, in a world in which ``torch`` says of the cpu what it would say of two accelerators (the same for both libraries: real torch has gloo and the cpu here).
What each ``backward()`` starts from goes into ``FOLDER/RANK``.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compat.packages.run import ours

STEPS = 20


def on_the_cpu() -> None:
    """Accelerators, their library for collectives and their numbers mean the cpu and gloo."""
    import torch
    import torch.distributed as dist

    def to_cpu(to: Any) -> Any:
        return lambda self, *args, **kwargs: to(self, *("cpu" if type(a) is int or str(a).startswith("cpu:") else a for a in args), **kwargs)

    def with_gloo(init: Any) -> Any:
        return lambda backend=None, *args, device_id=None, **kwargs: init("gloo", *args, **kwargs)

    @contextmanager
    def nothing(*args: Any) -> Any:
        yield

    count = int(os.environ.get("ACCELERATORS", "2"))
    torch.Tensor.pin_memory = lambda self, device=None: self  # type: ignore[method-assign,assignment,misc]  # real torch has no accelerator to pin it for
    a = torch.accelerator
    a.is_available, a.device_count, a.current_accelerator, a.set_device_index, a.device_index = (lambda: True), (lambda: count), (lambda *args, **kwargs: torch.device("cpu")), (lambda i: None), nothing
    torch.cuda.device_count, torch.cuda.set_device = (lambda: count), (lambda i: None)
    torch.Tensor.to, torch.nn.Module.to, torch.nn.Module.to_empty = to_cpu(torch.Tensor.to), to_cpu(torch.nn.Module.to), _empty(torch.nn.Module.to_empty)
    if not ours():  # jtorch's are those of the whole tensor anywhere
        torch.Tensor.normal_, torch.Tensor.uniform_ = _of_the_whole(torch.Tensor.normal_), _of_the_whole(torch.Tensor.uniform_)  # type: ignore[method-assign]
    dist.init_process_group = dist.distributed_c10d.init_process_group = with_gloo(dist.init_process_group)
    ddp = torch.nn.parallel.DistributedDataParallel
    make = ddp.__init__
    ddp.__init__ = lambda self, module, device_ids=None, **kwargs: make(self, module, **kwargs)  # type: ignore[method-assign,misc,assignment]


def _empty(to_empty: Any) -> Any:
    """Memory that nobody has written is zero (FSDP2's example initialises some of its parameters only)."""

    def zeros(self: Any, *, device: Any, recurse: bool = True) -> Any:
        import torch

        made = to_empty(self, device="cpu", recurse=recurse)
        with torch.no_grad():
            for p in made.parameters():
                p.zero_()
        return made

    return zeros


def _of_the_whole(draw: Any) -> Any:
    """Random numbers of a DTensor are those of the whole tensor, as real torch has it on accelerators (on the cpu each rank draws its part from the same state)."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    def drawn(self: Any, *args: Any, **kwargs: Any) -> Any:
        import torch

        if not isinstance(self, DTensor):
            return draw(self, *args, **kwargs)
        with torch.no_grad():
            return self.copy_(distribute_tensor(draw(torch.empty(self.shape, dtype=self.dtype), *args, **kwargs), self.device_mesh, self.placements))

    return drawn


def watch(folder: Path) -> None:
    """Note what backward starts from."""
    import torch
    import torch.distributed as dist

    backward, found = torch.Tensor.backward, []

    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        backward(self, *args, **kwargs)
        if len(found) < STEPS:
            value = self.detach()
            found.append((value.full_tensor() if hasattr(value, "full_tensor") else value).item())
            rank = dist.get_rank() if dist.is_initialized() else 0
            (folder / str(rank)).write_text(json.dumps(found))

    torch.Tensor.backward = noted  # type: ignore[method-assign,assignment]


def prepare(folder: Path, script: Path, arguments: list[str]) -> None:
    """What a script that is run from its folder finds, in a process of its own."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    on_the_cpu()
    watch(folder)
    torch.multiprocessing.spawn = spawning(torch.multiprocessing.spawn, folder, script, arguments)
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(script), *arguments]
    torch.manual_seed(0)


def spawning(spawn: Any, folder: Path, script: Path, arguments: list[str]) -> Any:
    """``spawn`` whose processes are prepared too."""
    return lambda fn, args=(), nprocs=1, **kwargs: spawn(_spawned, (folder, script, arguments, fn.__name__, args), nprocs=int(os.environ.get("RANKS", nprocs)), **kwargs)


def _spawned(rank: int, folder: Path, script: Path, arguments: list[str], name: str, args: tuple[Any, ...]) -> None:
    prepare(folder, script, arguments)
    runpy.run_path(str(script), run_name="__mp_main__")[name](rank, int(os.environ["RANKS"]), *args[1:])


if __name__ == "__main__":
    from compat.programs import ranks

    ranks.prepare(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
    runpy.run_path(sys.argv[0], run_name="__main__")
