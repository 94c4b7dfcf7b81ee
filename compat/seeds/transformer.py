# A small language model: rotary positions, grouped queries, gated layers, tied weights, sampling.
# slow
# digits: 3
import torch, math, torch.nn as nn, torch.nn.functional as F

torch.manual_seed(0)


class RMSNorm(nn.Module):
    def __init__(self, d, eps=1e-6):
        super().__init__()
        self.w = nn.Parameter(torch.ones(d))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.w


def rope(x, base=10000.0):
    d = x.shape[-1]
    t = torch.arange(x.shape[-2], device=x.device)
    f = torch.outer(t, 1.0 / base ** (torch.arange(0, d, 2) / d))
    c = torch.polar(torch.ones_like(f), f)
    return torch.view_as_real(torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2)) * c).flatten(-2).type_as(x)


class Attn(nn.Module):
    def __init__(self, d, h, kv):
        super().__init__()
        self.h, self.kv = h, kv
        self.q = nn.Linear(d, d, bias=False)
        self.k, self.v = (nn.Linear(d, d // h * kv, bias=False) for _ in range(2))
        self.o = nn.Linear(d, d, bias=False)

    def forward(self, x, cache=None):
        B, T, C = x.shape
        sp = lambda y, n: y.view(B, T, n, -1).transpose(1, 2)
        q, k, v = rope(sp(self.q(x), self.h)), rope(sp(self.k(x), self.kv)), sp(self.v(x), self.kv)
        k, v = (y.repeat_interleave(self.h // self.kv, dim=1) for y in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(y.transpose(1, 2).contiguous().view(B, T, C))


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.n1, self.n2, self.a = RMSNorm(d), RMSNorm(d), Attn(d, 4, 2)
        self.w1, self.w2, self.w3 = nn.Linear(d, 2 * d, bias=False), nn.Linear(2 * d, d, bias=False), nn.Linear(d, 2 * d, bias=False)

    def forward(self, x):
        x = x + self.a(self.n1(x))
        h = self.n2(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


class LM(nn.Module):
    def __init__(self, v=17, d=16):
        super().__init__()
        self.e = nn.Embedding(v, d)
        self.b = nn.Sequential(*[Block(d) for _ in range(2)])
        self.n = RMSNorm(d)
        self.head = nn.Linear(d, v, bias=False)
        self.head.weight = self.e.weight
        self.apply(self._init)

    def _init(self, m):
        if isinstance(m, (nn.Linear, nn.Embedding)):
            nn.init.trunc_normal_(m.weight, std=0.02)

    def forward(self, t):
        return self.head(self.n(self.b(self.e(t))))


m = LM()
print(sum(p.numel() for p in m.parameters()))
decay = [p for p in m.parameters() if p.dim() > 1]
rest = [p for p in m.parameters() if p.dim() <= 1]
opt = torch.optim.AdamW(
    [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=1e-2, betas=(0.9, 0.95), fused=False
)
sch = torch.optim.lr_scheduler.SequentialLR(
    opt, [torch.optim.lr_scheduler.LinearLR(opt, 0.1, total_iters=3), torch.optim.lr_scheduler.CosineAnnealingLR(opt, 5)], milestones=[3]
)
for i in range(6):
    t = torch.randint(0, 17, (4, 1)) + torch.arange(9)
    t = t % 17
    for micro in t.chunk(2):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
            loss = F.cross_entropy(m(micro[:, :-1]).flatten(0, 1), micro[:, 1:].reshape(-1)) / 2
        loss.backward()
    n = nn.utils.clip_grad_norm_(m.parameters(), 1.0, error_if_nonfinite=True)
    opt.step()
    sch.step()
    opt.zero_grad(set_to_none=True)
    print(i, f"{2 * loss.item():.4f} {n.item():.4f} {sch.get_last_lr()[0]:.5f}")


@torch.inference_mode()
def generate(idx, n, top_k=3):
    for _ in range(n):
        lg = m(idx)[:, -1] / 0.8
        v, _ = torch.topk(lg, top_k)
        lg[lg < v[:, [-1]]] = -float("inf")
        idx = torch.cat((idx, torch.multinomial(F.softmax(lg, -1), 1)), 1)
    return idx


print(generate(torch.zeros(1, 1, dtype=torch.long), 8).tolist())
