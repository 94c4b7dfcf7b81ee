# Optimizers and schedules of one's own beside torch's: Lion and SAM as subclasses, a scheduler subclass, chained and sequential ones.
# digits: 4
import math
import warnings

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, CosineAnnealingWarmRestarts, CyclicLR, ExponentialLR, LambdaLR, LinearLR, LRScheduler, MultiStepLR, PolynomialLR, ReduceLROnPlateau, SequentialLR

warnings.simplefilter("ignore")


class Lion(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0):
        if lr < 0:
            raise ValueError(f"Invalid learning rate: {lr}")
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
                state = self.state[p]
                if len(state) == 0:
                    state["exp_avg"] = torch.zeros_like(p)
                m = state["exp_avg"]
                b1, b2 = group["betas"]
                p.add_(torch.sign(m * b1 + p.grad * (1 - b1)), alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)
        return loss


class SAM(Optimizer):
    def __init__(self, params, base, rho=0.05, **kw):
        super().__init__(params, dict(rho=rho, **kw))
        self.base = base(self.param_groups, **kw)
        self.param_groups = self.base.param_groups
        self.defaults.update(self.base.defaults)

    @torch.no_grad()
    def step(self, closure):
        closure = torch.enable_grad()(closure)
        norm = torch.norm(torch.stack([p.grad.norm(p=2) for g in self.param_groups for p in g["params"] if p.grad is not None]), p=2)
        for g in self.param_groups:
            for p in g["params"]:
                if p.grad is None:
                    continue
                self.state[p]["old"] = p.data.clone()
                p.add_(p.grad * (g["rho"] / (norm + 1e-12)).to(p))
        self.zero_grad()
        loss = closure()
        for g in self.param_groups:
            for p in g["params"]:
                if p.grad is not None:
                    p.data = self.state[p]["old"]
        self.base.step()
        return loss


class InverseSqrt(LRScheduler):
    def __init__(self, optimizer, warm, last_epoch=-1):
        self.warm = warm
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        t = self.last_epoch + 1
        return [b * min(t / self.warm, math.sqrt(self.warm / t)) for b in self.base_lrs]


torch.manual_seed(0)
x, w = torch.randn(64, 8), torch.randn(8, 1)
y = torch.tanh(x @ w)


def make():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 8), nn.GELU(approximate="tanh"), nn.Linear(8, 1))


def train(net, opt, sched=None, n=6):
    losses = []
    for _ in range(n):

        def closure():
            opt.zero_grad()
            loss = nn.functional.huber_loss(net(x), y)
            loss.backward()
            return loss

        if isinstance(opt, SAM):
            closure()
        losses.append(opt.step(closure).item())
        if sched is not None:
            sched.step(*((losses[-1],) if isinstance(sched, ReduceLROnPlateau) else ()))
    return " ".join(f"{v:.5f}" for v in losses)


net = make()
opt = Lion([{"params": net[0].parameters(), "lr": 2e-2}, {"params": net[2].parameters()}], lr=1e-2, weight_decay=0.1)
print(train(net, opt, InverseSqrt(opt, 3)), [g["lr"] for g in opt.param_groups])
print(opt)
net = make()
opt = SAM(net.parameters(), torch.optim.SGD, lr=0.1, momentum=0.9)
print(train(net, opt))
print(sorted(opt.state_dict()), len(opt.base.state))
for make_sched in (
    lambda o: SequentialLR(o, [LinearLR(o, 0.1, total_iters=2), CosineAnnealingWarmRestarts(o, 2, 2, eta_min=1e-3)], milestones=[2]),
    lambda o: ChainedScheduler([LinearLR(o, 0.5, 1.0, 3), ExponentialLR(o, 0.9)], optimizer=o),
    lambda o: CyclicLR(o, 0.01, 0.1, step_size_up=2, mode="triangular2", cycle_momentum=True),
    lambda o: ReduceLROnPlateau(o, "min", factor=0.1, patience=0, cooldown=1, threshold=0.5, min_lr=1e-5),
    lambda o: MultiStepLR(o, [1, 3], gamma=0.2),
    lambda o: PolynomialLR(o, total_iters=4, power=2.0),
    lambda o: LambdaLR(o, [lambda e: 0.95**e]),
):
    net = make()
    opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    sched = make_sched(opt)
    lrs = []
    for _ in range(8):
        train(net, opt, sched, 1)
        lrs.append(opt.param_groups[0]["lr"])
    print(type(sched).__name__, " ".join(f"{v:.6f}" for v in lrs), train(net, opt, None, 1), sched.get_last_lr() == [lrs[-1]])
a = torch.nn.Parameter(torch.ones(2))
for bad in (lambda: Lion([a], lr=-1), lambda: torch.optim.SGD([], 0.1), lambda: torch.optim.Adam(a), lambda: torch.optim.SGD([torch.ones(2) * a], 0.1), lambda: torch.optim.SGD([{"params": [a]}, {"params": [a]}], 0.1), lambda: torch.optim.Adam([a], betas=(1.0, 0.9))):
    try:
        bad()
        print("fine")
    except Exception as e:
        print(type(e).__name__, e)
opt = torch.optim.SGD([a], lr=0.5)
h = opt.register_step_post_hook(lambda o, args, kw: print("stepped", a.tolist()))
pre = opt.register_step_pre_hook(lambda o, args, kw: print("before", a.grad.tolist()))
(a * torch.tensor([1.0, 2.0])).sum().backward()
opt.step()
h.remove()
pre.remove()
opt.add_param_group({"params": torch.nn.Parameter(torch.zeros(1)), "lr": 0.25})
print(opt.state_dict())
