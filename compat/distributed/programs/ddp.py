"""DistributedDataParallel in two processes: losses and parameters of small programs."""

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from compat.distributed.ranks import start


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second, self.spare = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x, spare=False, both=True):
        h = torch.relu(self.norm(self.first(x)))
        return self.second(h) + (self.spare(h) if both else 0) if not spare else self.spare(h)


def training(r, n, said):
    torch.manual_seed(r)  # the parameters are rank 0's all the same
    net = DDP(Net())
    torch.manual_seed(5)
    data = TensorDataset(torch.randn(61, 6), torch.randint(0, 3, (61,)))
    sampler = DistributedSampler(data)
    loader = DataLoader(data, batch_size=8, sampler=sampler)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.02)
    losses = []
    for epoch in range(5):
        sampler.set_epoch(epoch)
        for x, y in loader:
            loss = nn.functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(f"{loss.item():.6f}")
    said.append("losses " + " ".join(losses))
    said.append(f"weights {[round(p.double().sum().item(), 3) for name, p in net.named_parameters() if name != 'module.first.bias']}")
    said.append(f"norm {net.module.norm.num_batches_tracked} {list(net.state_dict())[:3]}")


def accumulation(r, n, said):
    torch.manual_seed(0)
    net = DDP(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for step in range(4):
        optimizer.zero_grad()
        with net.no_sync():
            net(torch.full((3, 4), 0.1 * (step + r))).square().mean().backward()
        net(torch.full((3, 4), 0.3 * (step - r))).square().mean().backward()
        optimizer.step()
        said.append(f"accumulated {step} {net.module[0].weight.grad.sum().item():.6f} {net.module[0].weight.sum().item():.6f}")
    twice = net(torch.full((2, 4), r + 1.0)).square().sum()  # another pass through the same forward is not reduced
    twice.backward(retain_graph=True)
    twice.backward()
    said.append(f"twice {net.module[0].weight.grad.sum().item():.6f}")
    net.zero_grad()
    net(torch.ones(2, 4)).sum().backward()  # on top of what is there
    said.append(f"on top {net.module[2].weight.grad.sum().item():.6f}")


def unused(r, n, said):
    torch.manual_seed(0)
    net = DDP(Net(), find_unused_parameters=True)
    for step in range(3):
        net.zero_grad()
        out = net(torch.sin(torch.arange(24.0).reshape(4, 6) * (step + 1 + r)), spare=r == 0 and step == 1, both=step == 2)
        out.square().mean().backward()
        said.append(f"unused {step} {[None if p.grad is None else round(p.grad.double().abs().sum().item(), 3) for k, p in net.named_parameters() if k != 'module.first.bias']}")
    static = DDP(nn.Linear(3, 2), static_graph=True)
    for _ in range(2):
        static(torch.ones(2, 3) * (r + 1)).sum().backward()
    said.append(f"static {static.module.weight.grad.tolist()}")
    own = nn.BatchNorm1d(2)
    own.running_mean += r
    said.append(f"own buffers {DDP(own, broadcast_buffers=False).module.running_mean.tolist()}")
    said.attempt("devices", lambda: DDP(Net(), device_ids=[0]))
    strict = DDP(Net())
    try:
        for _ in range(2):
            strict(torch.ones(4, 6), both=False).sum().backward()
    except RuntimeError as error:
        said.append(str(error)[:330].replace("\n", " "))
    try:
        DDP(nn.ReLU())
    except RuntimeError as error:
        said.append(str(error))


def hooks(r, n, said):
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook, fp16_compress_hook

    def doubled(group, bucket: dist.GradBucket):
        work = dist.all_reduce(bucket.buffer(), group=group, async_op=True)
        return work.get_future().then(lambda f: f.value()[0] * 2)

    for hook in (doubled, allreduce_hook, fp16_compress_hook):
        torch.manual_seed(0)
        net = DDP(nn.Linear(3, 2))
        net.register_comm_hook(None, hook)
        net(torch.ones(2, 3) * (r + 1)).sum().backward()
        said.append(f"hook {hook.__name__} {net.module.weight.grad.tolist()}")


def sparse(r, n, said):
    for hook in (None, lambda state, bucket: dist.all_reduce(bucket.buffer(), async_op=True).get_future().then(lambda f: f.value()[0])):
        torch.manual_seed(0)
        net = DDP(nn.Sequential(nn.Embedding(6, 2, sparse=True), nn.Linear(2, 1)))
        if hook is not None:
            net.register_comm_hook(None, hook)
        net(torch.tensor([0, 1, 1][: r + 2])).sum().backward()
        grads = [p.grad for p in net.parameters()]
        said.append(f"sparse gradients {[g.layout for g in grads]} {grads[0].coalesce().indices().tolist()} {[g.to_dense().tolist() for g in grads]}")


def thin(r, n, said):
    from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import (  # torch's batched_powerSGD_hook fails in an assertion of its own
        PowerSGDState,
        powerSGD_hook,
    )

    for options in ({}, {"warm_start": False, "use_error_feedback": False, "start_powerSGD_iter": 0}, {"matrix_approximation_rank": 2, "orthogonalization_epsilon": 1e-8, "batch_tensors_with_same_shape": True}):
        torch.manual_seed(0)
        net = DDP(nn.Linear(12, 10))
        state = PowerSGDState(None, **{"start_powerSGD_iter": 2, **options})
        net.register_comm_hook(state, powerSGD_hook)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        x = torch.sin(torch.arange(48.0).reshape(4, 12) * (r + 1))
        for _ in range(5):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
            g = net.module.weight.grad
            said.append(f"thin {g.norm().item()} {g.square().sum(0).tolist()} {g.abs().sum(1).tolist()} {net.module.bias.grad.norm().item()}")
        said.append(f"{state.compression_stats()} {state.iter}")
    try:
        PowerSGDState(None, start_powerSGD_iter=1)
    except ValueError as error:
        said.append(str(error))


def uneven(r, n, said):
    for divide in (True, False):
        torch.manual_seed(0)
        net = DDP(nn.Linear(2, 1))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        with net.join(divide_by_initial_world_size=divide):
            for step in range(3 + 2 * r):
                optimizer.zero_grad()
                net(torch.full((2, 2), 0.1 * step + r)).sum().backward()
                optimizer.step()
        said.append(f"uneven {divide} {net.module.weight.tolist()} {net.module.bias.tolist()}")


def one():
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def named_hooks(r, n, said):
    from torch.distributed.algorithms.ddp_comm_hooks import DDPCommHookType, optimizer_overlap, register_ddp_comm_hook
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
    from torch.distributed.optim.utils import as_functional_optim

    x = torch.arange(6.0).view(2, 3) * (r + 1)
    said.append(f"{[t.name for t in DDPCommHookType]}")
    for kind in ("ALLREDUCE", "FP16_COMPRESS", "NOOP"):  # those that quantise fail in torch with gloo
        net = DDP(one())
        register_ddp_comm_hook(DDPCommHookType[kind], net, None)
        net(x).sum().backward()
        said.append(f"{kind} {net.module.weight.grad.tolist()} {net.module.bias.grad.tolist()}")
    net = DDP(one())
    state = optimizer_overlap._OptimizerHookState(as_functional_optim(torch.optim.SGD, 0.5), [net.module.weight])
    net.register_comm_hook(None, optimizer_overlap._hook_then_optimizer(allreduce_hook, state))
    net(x).sum().backward()
    said.append(f"updated in the hook {net.module.weight.tolist()} {net.module.bias.tolist()}")
    said.attempt("no step_param", lambda: optimizer_overlap._OptimizerHookState(3))


def averaged(r, n, said):
    from torch.distributed.algorithms.ddp_comm_hooks.post_localSGD_hook import PostLocalSGDState, post_localSGD_hook
    from torch.distributed.algorithms.model_averaging import averagers, hierarchical_model_averager, utils
    from torch.distributed.optim import PostLocalSGDOptimizer

    alone = [dist.new_group([i]) for i in range(n)][r]
    for local in (True, False):
        net = DDP(one())
        net.register_comm_hook(PostLocalSGDState(None, alone, 2, local), post_localSGD_hook)
        optimizer = PostLocalSGDOptimizer(torch.optim.SGD(net.parameters(), 0.1), averagers.PeriodicModelAverager(2, warmup_steps=2))
        for step in range(5):
            optimizer.zero_grad()
            (net(torch.full((1, 3), float(r + step))) ** 2).sum().backward()
            optimizer.step()
            said.append(f"{step} {net.module.weight.tolist()}")
    kept = optimizer.state_dict()
    optimizer.load_state_dict(kept)
    said.append(f"{kept['step']} {optimizer.averager.step} {list(kept)} {optimizer}")
    many = hierarchical_model_averager.HierarchicalModelAverager({1: 1, 2: n})
    p = torch.nn.Parameter(torch.full((2,), float(r)))
    p.grad = torch.ones(2)
    for _ in range(3):
        many.average_parameters([{"params": [p]}])
        said.append(str(p.tolist()))
        p.data += r
    said.attempt("neither", lambda: utils.get_params_to_average([3]))
    said.attempt("abstract", averagers.ModelAverager)
    for name, make in {
        "period": lambda: averagers.PeriodicModelAverager(0), "warm": lambda: averagers.PeriodicModelAverager(2, -1), "none": hierarchical_model_averager.HierarchicalModelAverager,
        "first": lambda: hierarchical_model_averager.HierarchicalModelAverager({0: 1, 1: n}), "last": lambda: hierarchical_model_averager.HierarchicalModelAverager({2: 1}),
        "warmed": lambda: hierarchical_model_averager.HierarchicalModelAverager({2: n}, -1),
    }.items():
        said.attempt(name, make)


PARTS = (training, accumulation, unused, hooks, sparse, thin, uneven, named_hooks, averaged)

if __name__ == "__main__":
    start(*PARTS)
