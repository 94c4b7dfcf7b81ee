"""Collectives with gradients, ZeroRedundancyOptimizer, a pipeline of two stages, and the old wrapper FullyShardedDataParallel, over two processes."""

import contextlib
import functools

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as fc
import torch.distributed.nn.functional as F
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
from torch.distributed.fsdp import ShardingStrategy
from torch.distributed.fsdp.wrap import CustomPolicy, ModuleWrapPolicy, always_wrap_policy, size_based_auto_wrap_policy
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.pipelining import (
    PipelineStage,
    Schedule1F1B,
    ScheduleDualPipeV,
    ScheduleGPipe,
    ScheduleInterleaved1F1B,
    ScheduleInterleavedZeroBubble,
    ScheduleLoopedBFS,
    ScheduleZBVZeroBubble,
)
from torch.distributed.pipelining.schedules import generate_stage_to_rank_mapping, get_schedule_class
from torch.nn.parallel import DistributedDataParallel as DDP

from compat.distributed.ranks import start


def gradients(r, n, said):
    weight = torch.arange(1.0, 5.0) * (r + 1)
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


def sharded_optimizer(r, n, said):
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


def grown_optimizer(r, n, said):
    """Groups that come later, learning rates that change, and what is refused."""
    for view in (False, True):
        torch.manual_seed(0)
        net = nn.ModuleList([nn.Linear(4, 8), nn.Linear(8, 6), nn.Linear(6, 2)])
        zero = ZeroRedundancyOptimizer(net[0].parameters(), torch.optim.AdamW, lr=0.05, parameters_as_bucket_view=view)

        def step(zero, net=net):
            zero.zero_grad()
            loss = net[2](net[1](net[0](torch.ones(2, 4)).tanh()).tanh()).square().mean()
            loss.backward()
            zero.step()
            said.append(f"{loss.item()} {[p.double().abs().sum().item() for p in net.parameters()]} {[(g['lr'], g['weight_decay'], len(g['params'])) for g in zero.param_groups]}")

        zero.add_param_group({"params": list(net[1].parameters()), "lr": 0.5, "weight_decay": 0.0})
        said.attempt("twice", lambda: zero.add_param_group({"params": list(net[1].parameters())}))
        step(zero)
        zero.add_param_group({"params": [net[2].weight], "lr": 0.01})
        step(zero)
        zero.param_groups[0]["lr"] = 0.001
        schedule = torch.optim.lr_scheduler.StepLR(zero, 1, 0.5)
        step(zero)
        schedule.step()
        step(zero)
        said.append(f"{[(g['lr'], len(g['params'])) for g in zero.optim.param_groups]} {zero.parameters_as_bucket_view}")
        zero.consolidate_state_dict(to=1)
        said.attempt("state", lambda: [(i, k, v.double().abs().sum().item()) for i, s in zero.state_dict()["state"].items() for k, v in s.items()])
        said.attempt("groups", lambda: zero.state_dict()["param_groups"])
    linear, other = nn.Linear(3, 2), torch.zeros(2, dtype=torch.float64, requires_grad=True)
    for name, params in {"empty": [], "types": [linear.weight, other], "str": "abc", "none": None, "tensor": linear.weight, "groups": [{"lr": 1.0}], "mixed": [linear.weight, {"params": [other]}]}.items():
        said.attempt(name, lambda params=params: ZeroRedundancyOptimizer(params, torch.optim.SGD, lr=0.1))
    zero = ZeroRedundancyOptimizer(linear.parameters(), torch.optim.SGD, lr=0.1)
    said.attempt("unlike", lambda: zero.load_state_dict({"state": {}, "param_groups": []}))
    said.attempt("fewer", lambda: zero.load_state_dict({"state": {}, "param_groups": [{"lr": 1.0, "params": [0]}]}))


def one_matrix(r, n, said):
    """All gradients as one matrix. (Of one parameter: the order in which several lie in a bucket is that of their gradients' arrival in torch.)"""
    thin = powerSGD_hook._orthogonalize if hasattr(powerSGD_hook, "_orthogonalize") else None
    if thin is not None:  # torch's hook hands a matrix to what asserts that it is given several
        powerSGD_hook._orthogonalize = lambda m, epsilon=0: thin(m.unsqueeze(0) if m.dim() == 2 else m, epsilon)
    for options in ({}, {"warm_start": False}, {"matrix_approximation_rank": 4}):
        torch.manual_seed(0)
        net = DDP(nn.Sequential(nn.Linear(12, 10, bias=False), nn.Tanh()))
        state = powerSGD_hook.PowerSGDState(None, start_powerSGD_iter=2, **options)
        net.register_comm_hook(state, powerSGD_hook.batched_powerSGD_hook)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        x = torch.sin(torch.arange(48.0).reshape(4, 12) * (r + 1))
        for _ in range(5):
            optimizer.zero_grad()
            loss = (net(x) - 1).square().mean()
            loss.backward()
            optimizer.step()
            said.append(f"{loss.item()} {net.module[0].weight.grad.norm().item()} {net.module[0].weight.sum().item()}")
        said.append(f"{state.compression_stats()} {state.iter}")
    if thin is not None:
        powerSGD_hook._orthogonalize = thin


def _piped(r, schedule, parameters, rows, said):
    """Three steps of a schedule."""
    opt = torch.optim.AdamW(parameters, lr=0.05)
    torch.manual_seed(1)
    x, y = torch.randn(rows, 6), torch.randint(0, 3, (rows,))
    for _ in range(3):
        opt.zero_grad()
        losses = []
        out = schedule.step(x) if r == 0 else schedule.step(target=y, losses=losses)
        opt.step()
        said.append(f"{type(schedule).__name__}: {[loss.item() for loss in losses]} {out if out is None else (tuple(out.shape), out.requires_grad)}")
    said.append(f"gradients: {[p.grad.abs().sum().item() for p in parameters]}")


def pipelines(r, n, said):
    for cls in (ScheduleGPipe, Schedule1F1B):
        torch.manual_seed(0)
        whole = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 3))
        mine = whole[:2] if r == 0 else whole[2:]
        schedule = cls(PipelineStage(mine, r, n, torch.device("cpu")), n_microbatches=4, loss_fn=nn.functional.cross_entropy)
        _piped(r, schedule, list(mine.parameters()), 8, said)
        looked: list = []
        out = schedule.eval(torch.ones(8, 6)) if r == 0 else schedule.eval(target=torch.zeros(8, dtype=torch.long), losses=looked)
        said.append(f"eval {[loss.item() for loss in looked]} {out if out is None else (out.shape, out.requires_grad)}")


def interleaved(r, n, said):
    for cls, batches in ((ScheduleLoopedBFS, 4), (ScheduleInterleaved1F1B, 4), (ScheduleInterleaved1F1B, 3), (ScheduleInterleavedZeroBubble, 4)):
        torch.manual_seed(0)
        whole = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 3), nn.Identity())
        mine = [whole[2 * i : 2 * i + 2] for i in (r, r + n)]
        stages = [PipelineStage(part, r + k * n, 2 * n, torch.device("cpu")) for k, part in enumerate(mine)]
        schedule = cls(stages, n_microbatches=batches, loss_fn=nn.functional.cross_entropy)
        _piped(r, schedule, [p for part in mine for p in part.parameters()], 12, said)
    for cls in (ScheduleInterleaved1F1B, ScheduleInterleavedZeroBubble):
        try:
            cls(stages, n_microbatches=5, loss_fn=nn.functional.cross_entropy)
        except ValueError as error:
            said.append(str(error))


def there_and_back(r, n, said):
    """Stages in a V: the first process has the last one, too."""
    for cls, batches in ((ScheduleZBVZeroBubble, 4), (ScheduleZBVZeroBubble, 2), (ScheduleZBVZeroBubble, 6), (ScheduleDualPipeV, 4), (ScheduleDualPipeV, 6)):
        torch.manual_seed(0)
        whole = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 3), nn.Identity())
        at = (r, 2 * n - 1 - r)
        mine = [whole[2 * i : 2 * i + 2] for i in at]
        stages = [PipelineStage(part, i, 2 * n, torch.device("cpu")) for i, part in zip(at, mine)]
        schedule = cls(stages, n_microbatches=batches, loss_fn=nn.functional.cross_entropy)
        parameters = [p for part in mine for p in part.parameters()]
        opt = torch.optim.AdamW(parameters, lr=0.05)
        torch.manual_seed(1)
        x, y = torch.randn(12, 6), torch.randint(0, 3, (12,))
        for _ in range(3):
            opt.zero_grad()
            losses: list = []
            out = schedule.step(x, target=y, losses=losses) if r == 0 else schedule.step()
            opt.step()
            said.append(f"{cls.__name__} {batches}: {[loss.item() for loss in losses]} {out if out is None else tuple(out.shape)}")
        said.append(f"gradients: {[p.grad.abs().sum().item() for p in parameters]}")
    for cls, some, batches in ((ScheduleZBVZeroBubble, stages[:1], 4), (ScheduleDualPipeV, stages[:1], 4), (ScheduleDualPipeV, stages, 3)):
        said.attempt("refused", lambda: cls(some, n_microbatches=batches, loss_fn=nn.functional.cross_entropy))
    said.attempt("by name", lambda: [get_schedule_class(name).__name__ for name in ("1f1b", "GPIPE", "zbvZeroBubble", "DualPipeV", "InterleavedZeroBubble", "LoopedBFS")])
    said.attempt("no such", lambda: get_schedule_class("2F2B"))
    said.attempt("laid", lambda: [generate_stage_to_rank_mapping(2, 4, style) for style in ("loop", "v")])
    said.attempt("laid otherwise", lambda: generate_stage_to_rank_mapping(2, 4, "w"))
    said.attempt("laid unevenly", lambda: generate_stage_to_rank_mapping(2, 5, "v"))


def old_wrapper(r, n, said):
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

    def whole(**options):
        with FSDP.summon_full_params(model, **options):
            return [(name, tuple(p.shape), p.sum().item()) for name, p in model.named_parameters()]

    def written():
        with FSDP.summon_full_params(model, writeback=True), torch.no_grad():
            model.module[2].weight.fill_(0.25)
        return model.state_dict()["2.weight"].sum().item()

    def apart():
        model.zero_grad()
        for k in range(4):
            with model.no_sync() if k % 2 == 0 else contextlib.nullcontext():
                nn.functional.cross_entropy(model(x), y).backward()
        opt.step()
        return nn.functional.cross_entropy(model(x), y)

    def gradients():
        with FSDP.summon_full_params(model, with_grads=True):
            return [p.grad.abs().sum().item() for p in model.parameters()]

    for name, fn in {
        "names": lambda: [k for k, _ in model.named_parameters()], "wrappers": lambda: (len(FSDP.fsdp_modules(model)), len(FSDP.fsdp_modules(model, root_only=True))), "root": lambda: model.check_is_root(),
        "whole": whole, "one": lambda: [whole(rank0_only=True, writeback=False)][: r == 0], "refused": lambda: whole(rank0_only=True, writeback=True), "apart": apart, "gradients": gradients, "written": written,
        "names of the optimizer": lambda: [g["params"] for g in FSDP.optim_state_dict(model, opt)["param_groups"]],
    }.items():
        said.attempt(name, fn)

    def strategy(**options):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(8, 16), nn.Sequential(nn.ReLU(), nn.Linear(16, 16)), nn.Linear(16, 3))
        net[0].requires_grad_(options.pop("trained", True))
        net = FSDP(net, auto_wrap_policy=options.pop("policy", None), device_id=torch.device("cpu"), **options)
        opt, losses = torch.optim.SGD(net.parameters(), lr=0.5), []
        for _ in range(3):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            opt.step()
            losses.append(loss.item())
        return losses, repr(net)

    for how in (ShardingStrategy.FULL_SHARD, ShardingStrategy.SHARD_GRAD_OP, ShardingStrategy.NO_SHARD):
        for kept in (True, False):
            said.attempt(f"{how} {kept}", lambda: strategy(sharding_strategy=how, use_orig_params=kept))
    hybrid = ShardingStrategy.HYBRID_SHARD
    pair, alone = dist.new_group([0, 1]), [dist.new_group([0]), dist.new_group([1])][r]
    for name, options in {  # (where one process alone shards, torch divides gradients by the number of processes and adds up none)
        "mesh": {"device_mesh": lambda: init_device_mesh("cpu", (1, 2), mesh_dim_names=("across", "inside"))}, "groups": {"process_group": lambda: (pair, alone)}, "nothing": {}, "one group": {"process_group": lambda: pair},
        "one dim": {"device_mesh": lambda: init_device_mesh("cpu", (2,))}, "both": {"process_group": lambda: pair, "device_mesh": lambda: init_device_mesh("cpu", (1, 2))},
    }.items():
        for how in (hybrid, ShardingStrategy._HYBRID_SHARD_ZERO2)[: 1 + (name == "groups")]:
            said.attempt(f"{how} {name}", lambda: strategy(sharding_strategy=how, use_orig_params=True, **{k: v() for k, v in options.items()})[0])
    for policy in (always_wrap_policy, ModuleWrapPolicy({nn.Linear}), CustomPolicy(lambda m: isinstance(m, nn.Linear) and m.in_features == 16)):
        said.attempt("policy", lambda: strategy(policy=policy, use_orig_params=True))
    for kept in (True, False):
        said.attempt(f"frozen {kept}", lambda: strategy(trained=False, use_orig_params=kept))


if __name__ == "__main__":
    start(gradients, sharded_optimizer, grown_optimizer, one_matrix, pipelines, interleaved, there_and_back, old_wrapper)
