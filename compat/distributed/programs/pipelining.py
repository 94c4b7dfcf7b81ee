"""A pipeline of two stages, and the old wrapper FullyShardedDataParallel, over two processes."""

import functools
import os
import sys
import warnings

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
from torch.distributed.fsdp.wrap import size_based_auto_wrap_policy
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

warnings.filterwarnings("ignore")


def work(r, n, folder):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[1], RANK=str(r), WORLD_SIZE=str(n), LOCAL_RANK=str(r))
    dist.init_process_group("gloo")
    said = []
    for cls in (ScheduleGPipe, Schedule1F1B):
        torch.manual_seed(0)
        whole = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 3))
        mine = whole[:2] if r == 0 else whole[2:]
        schedule = cls(PipelineStage(mine, r, n, torch.device("cpu")), n_microbatches=4, loss_fn=nn.functional.cross_entropy)
        opt = torch.optim.AdamW(mine.parameters(), lr=0.05)
        torch.manual_seed(1)
        x, y = torch.randn(8, 6), torch.randint(0, 3, (8,))
        for _ in range(3):
            opt.zero_grad()
            losses = []
            out = schedule.step(x) if r == 0 else schedule.step(target=y, losses=losses)
            opt.step()
            said.append(f"{cls.__name__}: {[loss.item() for loss in losses]} {out if out is None else tuple(out.shape)}")
        said.append(f"gradients: {[p.grad.abs().sum().item() for p in mine.parameters()]}")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Sequential(nn.ReLU(), nn.Linear(16, 16)), nn.Linear(16, 3))
    model = FSDP(model, auto_wrap_policy=functools.partial(size_based_auto_wrap_policy, min_num_params=200), use_orig_params=True, device_id=torch.device("cpu"))
    said.append(repr(model).replace("\n", " "))
    opt = torch.optim.AdamW(model.parameters(), lr=0.05)
    torch.manual_seed(1)
    x, y = torch.randn(8, 8).chunk(n)[r], torch.randint(0, 3, (8,)).chunk(n)[r]
    for _ in range(3):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        norm = model.clip_grad_norm_(0.5)
        opt.step()
        said.append(f"fsdp: {loss.item()} {norm.item()}")
    said.append(f"state: { {k: (tuple(v.shape), v.sum().item()) for k, v in model.state_dict().items()} }")
    with open(f"{folder}/{r}", "w") as f:
        f.write("\n".join(said) + "\n")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(work, (2, sys.argv[2]), nprocs=2)
