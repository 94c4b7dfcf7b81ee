# A mixture of experts with capacities (topk, scatter, index_add_), reductions by index.
# slow
# isolated
# digits: 4
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(7)


class MoE(nn.Module):
    def __init__(self, d, n, k=2, cap=1.25):
        super().__init__()
        self.n, self.k, self.cap = n, k, cap
        self.gate, self.noise = nn.Linear(d, n, bias=False), nn.Linear(d, n, bias=False)
        self.w1 = nn.Parameter(torch.empty(n, d, 2 * d))
        self.w2 = nn.Parameter(torch.empty(n, 2 * d, d))
        nn.init.trunc_normal_(self.w1, std=0.2, a=-0.3, b=0.3)
        nn.init.orthogonal_(self.w2)
        self.register_buffer("load", torch.zeros(n), persistent=False)

    def forward(self, x):
        t = x.shape[0]
        logits = self.gate(x)
        if self.training:
            logits = logits + torch.randn_like(logits) * F.softplus(self.noise(x))
        top, idx = logits.topk(self.k, dim=-1, sorted=True)
        gates = torch.zeros_like(logits).scatter(1, idx, top.softmax(-1))
        probs = logits.softmax(-1)
        mask = F.one_hot(idx, self.n).sum(1)
        aux = self.n * (probs.mean(0) * mask.float().mean(0)).sum() / self.k
        z = torch.logsumexp(logits, -1).square().mean()
        capacity = int(self.cap * t * self.k / self.n)
        pos = (mask.cumsum(0) * mask - 1).clamp_min(-1)
        keep = (pos >= 0) & (pos < capacity)
        e, tok = keep.T.nonzero(as_tuple=True)
        slots = torch.zeros(self.n, capacity, x.shape[1]).index_put((e, pos[tok, e]), x[tok])
        h = torch.baddbmm(torch.zeros(1), F.gelu(torch.bmm(slots, self.w1)), self.w2)
        out = torch.zeros_like(x).index_add_(0, tok, h[e, pos[tok, e]] * gates[tok, e].unsqueeze(1))
        with torch.no_grad():
            self.load.lerp_(torch.bincount(idx.flatten(), minlength=self.n).float(), 0.1)
        return out, aux, z, (mask.sum() - keep.sum()).item()


m = MoE(8, 4)
head = nn.Linear(8, 3)
opt = torch.optim.Adafactor([*m.parameters(), *head.parameters()], lr=2e-2)
for step in range(10):
    x = torch.randn(32, 8)
    y = (x[:, 0] > 0).long() + (x[:, 1] * x[:, 2] > 0)
    out, aux, z, dropped = m(x)
    loss = F.cross_entropy(head(F.layer_norm(x + out, (8,))), y) + 0.01 * aux + 1e-3 * z
    opt.zero_grad(); loss.backward(); opt.step()
    print(step, f"{loss.item():.6f} {aux.item():.6f} {z.item():.5f}", dropped, m.load)
m.eval()
a = m(torch.ones(5, 8))[0]
print(a[0], "load" in m.state_dict())
rows = torch.tensor([0, 2, 2, 1, 0, 2])
vals = torch.arange(12.0).view(6, 2).requires_grad_()
for how in ("sum", "prod", "mean", "amax", "amin"):
    r = torch.full((4, 2), 0.5).scatter_reduce(0, rows[:, None].expand(-1, 2), vals, how, include_self=how != "mean")
    g = torch.autograd.grad(r.sum(), vals)[0]
    print(how, r.tolist(), g.tolist())
print(torch.segment_reduce(vals, "max", lengths=torch.tensor([2, 0, 4]), initial=-1.0), torch.searchsorted(torch.tensor([0.0, 1, 2]), torch.tensor([[0.5, 2.0]]), right=True), torch.bucketize(torch.tensor([3, 1]), torch.tensor([1, 2, 3])))
u, inv, cnt = torch.unique(rows, return_inverse=True, return_counts=True)
print(u, inv, cnt, torch.unique_consecutive(rows, return_counts=True), rows.argsort(stable=True), torch.histc(vals.detach(), 4, 0, 12), torch.histogram(vals.detach(), 3))
print(torch.index_reduce(torch.ones(4, 2), 0, rows, vals.detach(), "mean"), vals.detach().index_copy(0, torch.tensor([5, 0]), torch.zeros(2, 2)).masked_scatter(vals > 8, torch.arange(100.0, 110.0)), vals.detach()[:2].take_along_dim(torch.tensor([[1], [0]]), 1))
