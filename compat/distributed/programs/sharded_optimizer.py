"""ZeroRedundancyOptimizer with DDP, its state gathered and loaded."""

import os
import sys
import warnings

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn as nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel as DDP

warnings.filterwarnings("ignore")


def work(r, n, folder):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[1])
    dist.init_process_group("gloo", rank=r, world_size=n)
    said = []
    torch.manual_seed(0)
    net = DDP(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)))
    zero = ZeroRedundancyOptimizer(net.parameters(), optimizer_class=torch.optim.AdamW, lr=0.05)
    for step in range(4):
        zero.zero_grad()
        loss = net(torch.sin(torch.arange(12.0).reshape(3, 4) * (step + r + 1))).square().mean()
        loss.backward()
        zero.step()
        said.append(f"{loss.item():.6f}")
    said.append(f"{[round(p.double().sum().item(), 4) for p in net.parameters()]}")
    zero.consolidate_state_dict(to=0)
    if r == 0:
        state = zero.state_dict()
        said.append(f"{sorted(state['state'])} {[tuple(s['exp_avg'].shape) for s in state['state'].values()]} {state['param_groups'][0]['params']}")
    try:
        zero.state_dict()
        said.append("whole")
    except RuntimeError as error:
        said.append(str(error))
    whole = [zero.state_dict() if r == 0 else None]
    dist.broadcast_object_list(whole, 0)
    again = ZeroRedundancyOptimizer(net.parameters(), optimizer_class=torch.optim.AdamW, lr=0.5)
    again.load_state_dict(whole[0])
    for optimizer in (again,):
        net(torch.ones(2, 4)).sum().backward()
        optimizer.step()
        said.append(f"{[round(p.double().sum().item(), 4) for p in net.parameters()]} {optimizer.param_groups[0]['lr']}")
    with open(f"{folder}/{r}", "w") as file:
        file.write("\n".join(said) + "\n")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(work, (2, sys.argv[2]), nprocs=2)
