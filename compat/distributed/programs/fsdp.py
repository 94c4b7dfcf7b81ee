"""fully_shard over two processes: losses, where parameters, gradients and state lie, mixed precision, state dicts, methods; and tensor parallelism beside it."""

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    PrepareModuleInput,
    RowwiseParallel,
    SequenceParallel,
    loss_parallel,
    parallelize_module,
)

from compat.distributed.ranks import start


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n, self.a, self.b = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(self.n(x))))


def work(r, n, said):
    def t(name, f):
        said.attempt(name, f, 60)

    mesh = init_device_mesh("cpu", (n,))

    def model():
        torch.manual_seed(0)
        return nn.Sequential(Block(), Block(), nn.Linear(8, 3))

    def train(m, steps=3):
        opt = torch.optim.AdamW(m.parameters(), lr=1e-2)
        torch.manual_seed(1)
        x, y = torch.randn(8, 8).chunk(n)[r], torch.randint(0, 3, (8,)).chunk(n)[r]
        losses = []
        for _ in range(steps):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(m(x).float(), y)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(m.parameters(), 1.0)
            opt.step()
            losses.append(round(loss.item(), 5))
        return losses, round(norm.full_tensor().item(), 4), opt

    def fsdp(**how):
        m = model()
        for layer in m[:2]:
            fully_shard(layer, mesh=mesh, **how)
        return fully_shard(m, mesh=mesh, **how)

    def plain():
        m = fsdp()
        losses, norm, opt = train(m)
        w = m[0].a.weight
        head = m[2].weight  # 3 rows for 2 processes
        return losses, norm, w.placements, w.grad.placements, opt.state[w]["exp_avg"].placements, tuple(w.to_local().shape), tuple(head.to_local().shape), isinstance(m[0], FSDPModule), type(m).__name__

    t("train", plain)

    def mixed():
        m = fsdp(mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32))
        m.unshard()
        inside = [p.dtype for p in m.parameters(recurse=False)], m[2].weight.dtype
        m.reshard()
        losses, _, _ = train(m, 1)
        return [round(x, 2) for x in losses], m[0].a.weight.dtype, m[0].a.weight.grad.dtype, inside

    t("mixed", mixed)

    def exact():  # of operators whose derivatives torch computes in one rounding, as here (a layer norm keeps its mean in bfloat16)
        found = []
        for kind in (torch.float32, None):
            torch.manual_seed(0)
            m = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
            for layer in m:
                fully_shard(layer, mesh=mesh, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=kind))
            fully_shard(m, mesh=mesh, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=kind))
            found += [train(m)[0], m[0].weight.grad.to_local().flatten()[:4].tolist(), m[2].bias.grad.to_local().tolist()]
        return found

    t("what mixed precision rounds", exact)

    def states():
        m = fsdp()
        found = {k: (v.placements, round(v.full_tensor().sum().item(), 4)) for k, v in m.state_dict().items()}
        other = fsdp()
        with torch.no_grad():
            for p in other.parameters():
                p.zero_()
        other.load_state_dict(m.state_dict())
        return found, all(torch.equal(a.to_local(), b.to_local()) for a, b in zip(m.parameters(), other.parameters(), strict=True))

    t("states", states)

    def meta():
        with torch.device("meta"):
            m = nn.Sequential(Block(), nn.Linear(8, 3))
        fully_shard(m, mesh=mesh)
        before = m[0].a.weight.device
        m.to_empty(device="cpu")
        with torch.no_grad():
            for p in m.parameters():
                p.fill_(0.5)
        return before, m[0].a.weight.placements, m[0].a.weight.to_local().sum().item(), m(torch.ones(2, 8)).tolist()

    t("meta", meta)
    for how in (True, False, 1):
        t(f"reshard after forward {how}", lambda how=how: train(fsdp(reshard_after_forward=how))[:2])

    def parallel_loss(reduction, weighted):
        torch.manual_seed(3)
        x, y = distribute_tensor(torch.randn(6, 10), mesh, [Shard(1)]).requires_grad_(), torch.randint(0, 10, (6,))
        if not weighted:  # torch itself fails for both
            y[2] = -100
        weight = distribute_tensor(torch.rand(10), mesh, [Replicate()]) if weighted else None
        with loss_parallel():
            loss = nn.functional.cross_entropy(x, y, weight, reduction=reduction)
            (loss if reduction != "none" else loss.sum()).backward()
        return [round(v, 5) for v in loss.full_tensor().flatten().tolist()], loss.placements, x.grad.placements, [round(v, 5) for v in x.grad.to_local().flatten().tolist()]

    for reduction, weighted in (("mean", False), ("sum", True), ("none", False), ("mean", True)):
        t(f"loss {reduction} {weighted}", lambda reduction=reduction, weighted=weighted: parallel_loss(reduction, weighted))
    t("placement", lambda: [p.placements for p in fully_shard(nn.Linear(4, 4), mesh=mesh, shard_placement_fn=lambda p: Shard(p.dim() - 1)).parameters()])
    t("ignored", lambda: (lambda m: [type(p.data).__name__ == "Tensor" and not hasattr(p, "placements") for p in fully_shard(m, mesh=mesh, ignored_params={m.bias}).parameters()])(nn.Linear(4, 4)))
    t("container", lambda: fully_shard(nn.ModuleList([nn.Linear(2, 2)]), mesh=mesh))
    def accumulate(m):
        for i in range(2):
            m.set_requires_gradient_sync(i == 1)
            m(torch.full((2, 8), float(r + i))).sum().backward()
        return [round(p.grad.full_tensor().sum().item(), 3) for p in m.parameters()]

    t("accumulate", lambda: accumulate(fsdp()))

    def parallel(plan):
        m = parallelize_module(model(), mesh, plan)
        opt = torch.optim.AdamW(m.parameters(), lr=1e-2, foreach=False)
        torch.manual_seed(1)
        x, y = torch.randn(2, 4, 8), torch.randint(0, 3, (8,))
        losses = []
        for _ in range(2):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(m(x).reshape(-1, 3), y)
            loss.backward()
            opt.step()
            losses.append(round(loss.item(), 5))
        return losses, [getattr(p, "placements", None) for p in m[0].parameters()], [getattr(p.grad, "placements", None) for p in m[0].parameters()]

    t("tensor parallel", lambda: parallel({f"{i}.{k}": s for i in "01" for k, s in (("a", ColwiseParallel()), ("b", RowwiseParallel()))}))
    sequence = {"n": SequenceParallel(), "a": ColwiseParallel(input_layouts=Shard(1)), "b": RowwiseParallel(output_layouts=Shard(1), use_local_output=False)}
    plan = {f"{i}.{k}": s for i in "01" for k, s in sequence.items()}
    t("sequence parallel", lambda: parallel({"0": PrepareModuleInput(input_layouts=(Replicate(),), desired_input_layouts=(Shard(1),)), **plan, "2": ColwiseParallel(input_layouts=Shard(1), output_layouts=Replicate())}))


if __name__ == "__main__":
    start(work, joins=False)
