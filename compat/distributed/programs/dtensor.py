"""DTensor over two processes: where results lie, what each process has, gradients, views, in-place writes, an optimizer."""

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as fc
import torch.nn.functional as F
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_module, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from compat.distributed.ranks import start


def work(r, n, said):
    def t(name, f):
        said.attempt(name, f, 60)

    def all_of(x):
        return x.placements, x.to_local().tolist()

    mesh = init_device_mesh("cpu", (n,))
    torch.manual_seed(0)
    x, w, odd = torch.randn(4, 6), torch.randn(6, 4), torch.randn(5, 3)
    dx, dw = distribute_tensor(x, mesh, [Shard(0)]), distribute_tensor(w, mesh, [Replicate()])
    t("print", lambda: dx)
    t("print partial", lambda: dx.sum())
    t("parts", lambda: [all_of(distribute_tensor(y, mesh, p)) for y in (x, odd) for p in ([Shard(0)], [Shard(1)], [Shard(-1)], [Replicate()])])
    t("isinstance", lambda: (isinstance(dx, DTensor), isinstance(dx + 1, DTensor), isinstance(x, DTensor), isinstance(dx, torch.Tensor), isinstance(dx.t(), DTensor)))
    t("about", lambda: (dx.shape, dx.dtype, dx.stride(), dx.numel(), dx.device, dx.requires_grad, len(dx), dx.dim(), dx.device_mesh == mesh))
    for name, f in {
        "add": lambda: dx + dx * 2, "add number": lambda: dx + 1, "matmul": lambda: dx @ dw, "contraction": lambda: dx.t() @ dx, "sum 0": lambda: dx.sum(0), "sum 1": lambda: dx.sum(1),
        "t": lambda: dx.t(), "view": lambda: dx.view(2, 2, 6), "flatten": lambda: dx.view(-1), "column": lambda: dx[:, 1], "relu": lambda: torch.relu(dx), "gelu": lambda: F.gelu(dx),
        "softmax": lambda: dx.softmax(-1), "norm": lambda: F.layer_norm(dx, (6,)), "permute": lambda: dx.permute(1, 0), "unsqueeze": lambda: dx.unsqueeze(0), "where": lambda: torch.where(dx > 0, dx, dx * 2),
        "to": lambda: dx.to(torch.float64), "clone": lambda: dx.clone(), "split": lambda: dx.split(3, dim=1)[1], "cat": lambda: torch.cat([dx, dx], 1), "linear": lambda: F.linear(dx, dw.t()),
        "zeros_like": lambda: torch.zeros_like(dx), "uneven": lambda: distribute_tensor(odd, mesh, [Shard(0)]) * 3, "uneven matmul": lambda: distribute_tensor(odd, mesh, [Shard(0)]) @ distribute_tensor(odd.t().contiguous(), mesh, [Replicate()]),
        "squeeze": lambda: dx.unsqueeze(1).squeeze(1), "expand": lambda: dx.unsqueeze(1).expand(4, 2, 6), "neg": lambda: -dx, "pow": lambda: dx**2, "cols": lambda: distribute_tensor(x, mesh, [Shard(1)]) @ distribute_tensor(w, mesh, [Shard(0)]),
        "bmm": lambda: torch.bmm(dx.view(2, 2, 6), distribute_tensor(w.repeat(2, 1, 1), mesh, [Shard(0)])), "max": lambda: dx.max(1)[0], "compare": lambda: dx > 0,
    }.items():  # fmt: skip
        t(name, lambda: all_of(f()))
        t(name + " whole", lambda: [round(v, 4) for v in f().full_tensor().double().flatten().tolist()[:6]])
    t("new", lambda: [all_of(y) for y in (dx.new_zeros(2, 2), dx.new_ones(4, 6, dtype=torch.int64), dx.new_full((3,), 7.0), dx + dx.new_zeros(6), DTensor.from_local(x, mesh, [Partial()]).new_zeros(4, 6))])
    t("sorted", lambda: [all_of(y) for y in (*dx.sort(1), dx.argsort(1), *dx.topk(2, 1), *distribute_tensor(x, mesh, [Shard(1)]).sort(0))])
    t("moved", lambda: [all_of(dx.redistribute(mesh, p)) for p in ([Shard(1)], [Replicate()], [Shard(0)])])
    t("partial", lambda: [all_of(dx.sum(0).redistribute(mesh, p)) for p in ([Shard(0)], [Replicate()])])
    t("from local", lambda: [all_of(DTensor.from_local(torch.full((2, 2), float(r)), mesh, p).redistribute(mesh, [Replicate()])) for p in ([Shard(0)], [Shard(1)], [Partial()], [Replicate()], [Partial("avg")], [Partial("max")])])
    for p in (Partial(), Partial("avg"), Partial("max"), Partial("min"), Partial("product")):
        t(f"handed out {p}", lambda: all_of(distribute_tensor(x.clone(), mesh, [p])))
        one = DTensor.from_local(torch.tensor(r + 1.0), mesh, [p])
        t(f"looked at {p}", lambda: (bool(one > 1), one, one.full_tensor().item()))
    t("tolist", lambda: dx.tolist())
    for p in (Shard(0), Shard(1), Replicate()):
        y = distribute_tensor(x, mesh, [p])
        for q in (p, Replicate()):
            t(f"scattered {p} {q}", lambda: [all_of(torch.slice_scatter(y, distribute_tensor(torch.ones(2, 6), mesh, [q]), 0, 1, 3)), all_of(torch.slice_scatter(y, distribute_tensor(torch.ones(4, 2), mesh, [q]), 1, 0, 2))])
        t(f"selected {p}", lambda: [all_of(torch.select_scatter(y, distribute_tensor(torch.ones(n), mesh, [Replicate()]), d, 1)) for d, n in ((0, 6), (1, 4))])
    t("wrong count", lambda: distribute_tensor(x, mesh, [Shard(0), Shard(1)]))
    t("mixed", lambda: dx + x)
    t("no leaf", lambda: distribute_tensor((w.clone().requires_grad_() * 2), mesh, [Shard(0)]))

    def gradients():
        a, b = dx.clone().detach().requires_grad_(), dw.clone().detach().requires_grad_()
        F.gelu(a @ b).pow(2).sum().backward()
        return a.grad.placements, [round(v, 3) for v in a.grad.full_tensor().flatten().tolist()], [round(v, 3) for v in b.grad.full_tensor().flatten().tolist()]

    t("gradients", gradients)

    def derived(f, p):
        a = distribute_tensor(x, mesh, [p]).requires_grad_()
        f(a).backward()
        return isinstance(a.grad, DTensor), a.grad.full_tensor().flatten().tolist()[:8]

    for p in (Shard(0), Shard(1), Replicate()):  # gradients that hang on no value are DTensors, too
        for name, f in {"sum": lambda a: a.sum(), "mean": lambda a: a.mean(), "twice": lambda a: (a * 2).sum(), "rows": lambda a: a.sum(0).sum(), "flat": lambda a: a.flatten().sum(), "t": lambda a: a.t().sum()}.items():
            t(f"derived {name} {p}", lambda: derived(f, p))

    def through():
        a = torch.full((2, 3), r + 1.0, requires_grad=True)
        (DTensor.from_local(a, mesh, [Shard(0)]) * 2).redistribute(mesh, [Replicate()]).to_local().pow(2).sum().backward()
        return a.grad.tolist()

    t("through", through)

    def written():
        y = dx.clone()
        y.mul_(2).add_(1)
        y[:, 0].zero_()
        y[:, 1:3] += 10
        return all_of(y)

    t("written", written)

    def train(make, how):
        torch.manual_seed(1)
        model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
        inputs = distribute_tensor(x, mesh, how)

        def partition(name, m, mesh):
            if isinstance(m, torch.nn.Linear):
                for k, p in list(m.named_parameters(recurse=False)):
                    m.register_parameter(k, torch.nn.Parameter(distribute_tensor(p.data, mesh, make)))

        distribute_module(model, mesh, partition)
        opt = torch.optim.AdamW(model.parameters(), lr=0.05)
        losses = []
        for _ in range(4):
            opt.zero_grad()
            loss = model(inputs).pow(2).mean()
            loss.backward()
            opt.step()
            losses.append(round(loss.full_tensor().item(), 5))
        state = opt.state[model[0].weight]["exp_avg"]
        return losses, isinstance(model[0].weight, torch.nn.Parameter), model[0].weight.placements, state.placements

    t("train replicated", lambda: train([Replicate()], [Shard(0)]))
    t("train sharded", lambda: train([Shard(0)], [Replicate()]))
    def counted(f):
        with CommDebugMode() as mode:
            f()
        return mode.get_total_counts(), {str(k): v for k, v in sorted(mode.get_comm_counts().items(), key=str)}

    layers = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
    parallelize_module(layers, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
    cut = distribute_tensor(x, mesh, [Shard(1)])
    for name, f in {
        "whole": lambda: dx.full_tensor(), "cut elsewhere": lambda: dx.redistribute(mesh, [Shard(1)]), "softmax": lambda: dx.softmax(0), "sum": lambda: dx.sum().full_tensor(), "reduced": lambda: dx.sum(0).redistribute(mesh, [Shard(0)]),
        "nothing": lambda: dx + 1, "operands apart": lambda: dx + cut, "handed out": lambda: distribute_tensor(x, mesh, [Shard(0)]), "forward": lambda: layers(x), "backward": lambda: layers(x).sum().backward(), "all_reduce": lambda: dist.all_reduce(x.clone()),
        "gathered": lambda: dist.all_gather([x.clone(), x.clone()], x), "functional": lambda: fc.all_reduce(x, "sum", dist.group.WORLD) + 1, "exchanged": lambda: dist.all_to_all_single(torch.zeros(2), torch.ones(2)), "barrier": lambda: dist.barrier(),
    }.items():  # fmt: skip
        said.attempt(f"counted {name}", lambda f=f: counted(f))
    t("factories", lambda: [all_of(f(4, 2, device_mesh=mesh, placements=[Shard(0)])) for f in (torch.distributed.tensor.ones, torch.distributed.tensor.zeros)])
    t("full", lambda: all_of(torch.distributed.tensor.full((4, 2), 7.0, device_mesh=mesh, placements=[Shard(1)])))


if __name__ == "__main__":
    start(work, joins=False)
