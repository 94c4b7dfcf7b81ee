"""Collectives with gradients, and the functional ones."""

import os
import sys
import warnings

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as fc
import torch.distributed.nn.functional as F
import torch.multiprocessing as mp

warnings.filterwarnings("ignore")


def work(r, n, folder):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[1])
    dist.init_process_group("gloo", rank=r, world_size=n)
    weight = torch.arange(1.0, 5.0) * (r + 1)
    said = []
    for name, run in {
        "all_reduce": lambda x: F.all_reduce(x * x),
        "all_gather": lambda x: torch.stack(F.all_gather(x * x)).sum(0) * (r + 2),
        "broadcast": lambda x: F.broadcast(x * x, 1) * (r + 2),
        "reduce": lambda x: F.reduce(x * x, 1) * (r + 2),
        "gather": lambda x: torch.stack(F.gather(x * x, 0)).sum(0),
        "scatter": lambda x: F.scatter([x * x, x * 3], 0) * (r + 1),
        "all_to_all_single": lambda x: F.all_to_all_single(torch.empty(4), x * x) * (r + 2),
        "fc.all_reduce": lambda x: fc.wait_tensor(fc.all_reduce(x * x, "sum", dist.group.WORLD)),
        "fc.all_gather": lambda x: fc.wait_tensor(fc.all_gather_tensor_autograd(x.reshape(2, 2) ** 2, 1, dist.group.WORLD)).sum(1).repeat(2),
        "fc.reduce_scatter": lambda x: fc.wait_tensor(fc.reduce_scatter_tensor_autograd(x * x, "sum", 0, dist.group.WORLD)).repeat(2),
        "fc.all_to_all": lambda x: fc.wait_tensor(fc.all_to_all_single_autograd(x * x, None, None, dist.group.WORLD)),
    }.items():
        x = (torch.arange(4.0) + r).requires_grad_()
        try:
            out = run(x)
            (out * weight).sum().backward()
            shown = "-" if name == "reduce" and r == 0 else out.tolist()
            said.append(f"{name} {shown} {x.grad.tolist()}")
        except Exception as error:
            said.append(f"{name} {type(error).__name__} {error}")
    with open(f"{folder}/{r}", "w") as file:
        file.write("\n".join(said) + "\n")
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(work, (2, sys.argv[2]), nprocs=2)
