# Losses written by hand (contrastive, transport, survival, detection) and all of torch's own.
# slow
# isolated
# digits: 3
"""Metric learning, set prediction, mixture density, survival: losses written by hand and torch's own."""
import itertools
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(37)


def nt_xent(z1, z2, t=0.5):
    z = F.normalize(torch.cat((z1, z2)), dim=1)
    sim = (z @ z.T / t).fill_diagonal_(-torch.inf)
    n = len(z1)
    return F.cross_entropy(sim, torch.arange(2 * n).roll(n))


def batch_hard(e, y, margin=0.3):
    d = torch.cdist(e, e)
    same = y[:, None] == y
    pos = (d * same).max(1).values
    neg = d.masked_fill(same, float("inf")).min(1).values
    return F.margin_ranking_loss(neg, pos, torch.ones_like(pos), margin=margin)


def mdn(out, y):
    pi, mu, s = out.chunk(3, 1)
    return -torch.logsumexp(pi.log_softmax(1) - 0.5 * ((y - mu) / s.exp()) ** 2 - s - 0.5 * torch.log(torch.tensor(2 * torch.pi)), 1).mean()


def sinkhorn(c, eps=0.1, n=20):
    f, g = torch.zeros(c.shape[0]), torch.zeros(c.shape[1])
    a, b = -torch.log(torch.tensor(float(c.shape[0]))), -torch.log(torch.tensor(float(c.shape[1])))
    for _ in range(n):
        f = -eps * torch.logsumexp((g - c) / eps + b, 1)
        g = -eps * torch.logsumexp((f[:, None] - c) / eps + a, 0)
    return (torch.exp((f[:, None] + g - c) / eps + a + b) * c).sum()


def cox(risk, time, event):
    o = time.argsort(descending=True)
    r, e = risk[o], event[o]
    return -((r - torch.logcumsumexp(r, 0)) * e).sum() / e.sum()


def dice_focal(p, y, gamma=2.0, alpha=0.25):
    q = p.sigmoid()
    dice = 1 - (2 * (q * y).sum((1, 2)) + 1) / (q.sum((1, 2)) + y.sum((1, 2)) + 1)
    ce = F.binary_cross_entropy_with_logits(p, y, reduction="none")
    pt = q * y + (1 - q) * (1 - y)
    return dice.mean() + (torch.where(y == 1, alpha, 1 - alpha) * (1 - pt) ** gamma * ce).mean()


def hungarian(c):
    n = len(c)
    best = min(itertools.permutations(range(n)), key=lambda p: sum(c[i, j].item() for i, j in enumerate(p)))
    return c[torch.arange(n), torch.tensor(best)].sum(), best


net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 12))
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
x, y = torch.randn(24, 6), torch.arange(24) % 4
time, event = torch.rand(24), torch.randint(0, 2, (24,)).float()
for name, f in dict(
    simclr=lambda e: nt_xent(e, net(x + 0.1 * torch.randn_like(x))), triplet=lambda e: batch_hard(e, y), mdn=lambda e: mdn(e, x[:, :1] * 2), ot=lambda e: sinkhorn(torch.cdist(e[:8, :4], x[:6, :4])), cox=lambda e: cox(e[:, 0], time, event),
    seg=lambda e: dice_focal(e.view(8, 6, 6), (x[:18].view(3, 6, 6).repeat(3, 1, 1)[:8] > 0).float()), match=lambda e: hungarian((e[:4, None] - e[None, 4:8]).abs().sum(-1))[0], prototypes=lambda e: F.cross_entropy(-torch.cdist(e, torch.stack([e[y == k].mean(0) for k in range(4)])).pow(2), y),
    barlow=lambda e: ((((e - e.mean(0)) / e.std(0)).T @ ((e - e.mean(0)) / e.std(0)) / 24 - torch.eye(12)).square()).sum(), vicreg=lambda e: F.relu(1 - torch.sqrt(e.var(0) + 1e-4)).mean(), mmd=lambda e: torch.exp(-torch.cdist(e, e).square() / 8).mean() - 2 * torch.exp(-torch.cdist(e, torch.ones(5, 12)).square() / 8).mean(),
    center=lambda e: F.huber_loss(e, e.detach().new_zeros(4, 12).index_add(0, y, e.detach())[y] / 6, delta=0.3), arc=lambda e: F.cross_entropy(16 * torch.cos(torch.acos((F.normalize(e) @ F.normalize(net[0].weight[:4].repeat(1, 2)).T).clamp(-1 + 1e-6, 1 - 1e-6)) + 0.2 * F.one_hot(y, 4)), y),
).items():  # fmt: skip
    for i in range(2):
        loss = f(net(x))
        opt.zero_grad(); loss.backward(); opt.step()
    print(name, f"{loss.item():.6f}", f"{nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None]).item():.5f}")
a, b, t = (torch.randn(6, 5, requires_grad=True) for _ in range(3))
s = torch.tensor([1.0, -1, 1, 1, -1, -1])
k = torch.tensor([0, 4, 2, 1, 1, 3])
for r in ("mean", "sum", "none"):
    for name, loss in dict(
        cos=nn.CosineEmbeddingLoss(0.1, reduction=r)(a, b, s), hinge=nn.HingeEmbeddingLoss(0.5, reduction=r)(a, s[:, None]), trip=nn.TripletMarginLoss(swap=True, p=1.5, reduction=r)(a, b, t), tripd=nn.TripletMarginWithDistanceLoss(distance_function=nn.PairwiseDistance(1.0), reduction=r)(a, b, t),
        multi=nn.MultiMarginLoss(p=2, margin=0.7, weight=torch.rand(5), reduction=r)(a, k), ml=nn.MultiLabelMarginLoss(reduction=r)(a, torch.tensor([[0, 2, -1, 1, 1]] * 6)), mlsm=nn.MultiLabelSoftMarginLoss(reduction=r)(a, (b > 0).float()), soft=nn.SoftMarginLoss(reduction=r)(a, s[:, None].expand(6, 5)),
        pois=nn.PoissonNLLLoss(full=True, log_input=False, reduction=r)(a.exp(), t.detach().abs().round()), gauss=nn.GaussianNLLLoss(full=True, reduction=r)(a, b, t.exp()), kl=nn.KLDivLoss(reduction=r)(a.log_softmax(1), b.softmax(1)), nll=nn.NLLLoss(weight=torch.arange(1.0, 6), ignore_index=1, reduction=r)(a.log_softmax(1), k),
        ce=nn.CrossEntropyLoss(reduction=r, label_smoothing=0.2, weight=torch.arange(1.0, 6))(a, b.softmax(1)), bce=nn.BCELoss(weight=torch.tensor([0.5] * 5), reduction=r)(a.sigmoid(), b.sigmoid()), sl1=nn.SmoothL1Loss(reduction=r, beta=0.0)(a, b), hub=nn.HuberLoss(reduction=r, delta=2.0)(a, b),
    ).items():  # fmt: skip
        g = torch.autograd.grad(loss.sum(), [a, b, t], allow_unused=True)
        print(r, name, tuple(loss.shape), f"{loss.sum().item():.5f}", [None if i is None else f"{i.abs().sum().item():.5f}" for i in g])
ad = nn.AdaptiveLogSoftmaxWithLoss(6, 20, [4, 10], div_value=2.0)
out, loss = ad(x, torch.randint(0, 20, (24,)))
print(loss.item() > 0, f"{loss.item():.5f}", ad.log_prob(x).exp().sum(1)[:3], ad.predict(x)[:6])
ctc = nn.CTCLoss(zero_infinity=True)(torch.randn(10, 2, 5).log_softmax(2), torch.tensor([1, 2, 2, 3]), torch.tensor([10, 8]), torch.tensor([3, 1]))
print(f"{ctc.item():.5f}")
