# A decoder with rotary embeddings, grouped queries and a cache of keys: generation by greedy choice, top-k and top-p.
# slow
# digits: 3
import math
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
V, D, H, KV, L, MAX = 32, 32, 4, 2, 1, 32


class RMSNorm(nn.Module):
    def __init__(self, d, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(d)), eps

    def forward(self, x):
        return (x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.eps)).type_as(x) * self.weight


def rotary(dim, n, theta=10000.0):
    freqs = torch.outer(torch.arange(n), 1.0 / theta ** (torch.arange(0, dim, 2)[: dim // 2].float() / dim))
    return torch.polar(torch.ones_like(freqs), freqs)


def rotate(x, f):
    z = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(z * f[:, None]).flatten(3).type_as(x)


def rotate_half(x, f):
    cos, sin = f.real.repeat_interleave(2, -1)[:, None], f.imag.repeat_interleave(2, -1)[:, None]
    other = torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)
    return x * cos + other * sin


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.hd = D // H
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(i, o, bias=False) for i, o in ((D, D), (D, KV * self.hd), (D, KV * self.hd), (D, D)))

    def forward(self, x, f, mask, cache: Optional[tuple] = None, start=0):
        b, t, _ = x.shape
        q, k, v = self.wq(x).view(b, t, H, self.hd), self.wk(x).view(b, t, KV, self.hd), self.wv(x).view(b, t, KV, self.hd)
        q, k = rotate(q, f), rotate(k, f)
        if cache is not None:
            ck, cv = cache
            ck[:b, start : start + t] = k
            cv[:b, start : start + t] = v
            k, v = ck[:b, : start + t], cv[:b, : start + t]
        k, v = (torch.repeat_interleave(a, H // KV, dim=2).transpose(1, 2) for a in (k, v))
        out = F.scaled_dot_product_attention(q.transpose(1, 2), k, v, attn_mask=mask)
        return self.wo(out.transpose(1, 2).contiguous().view(b, t, -1))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn, self.n1, self.n2 = Attention(), RMSNorm(D), RMSNorm(D)
        self.w1, self.w2, self.w3 = nn.Linear(D, 2 * D, bias=False), nn.Linear(2 * D, D, bias=False), nn.Linear(D, 2 * D, bias=False)

    def forward(self, x, *a, **k):
        x = x + self.attn(self.n1(x), *a, **k)
        h = self.n2(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


class LM(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(V, D)
        self.blocks = nn.ModuleList([Block() for _ in range(L)])
        self.norm = RMSNorm(D)
        self.register_buffer("f", rotary(D // H, MAX), persistent=False)

    def forward(self, ids, caches=None, start=0):
        t = ids.shape[1]
        mask = None
        if t > 1:
            mask = torch.full((t, t), float("-inf")).triu(1)
            mask = torch.hstack([torch.zeros(t, start), mask])
        x = self.emb(ids)
        for i, b in enumerate(self.blocks):
            x = b(x, self.f[start : start + t], mask, cache=None if caches is None else caches[i], start=start)
        return F.linear(self.norm(x), self.emb.weight)


def pick(logits, temperature=1.0, top_k=None, top_p=None, seen=None, penalty=1.0):
    if seen is not None and penalty != 1.0:
        s = logits.gather(-1, seen)
        logits = logits.scatter(-1, seen, torch.where(s < 0, s * penalty, s / penalty))
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    logits = logits / temperature
    if top_k:
        v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
        logits[logits < v[:, [-1]]] = -float("Inf")
    probs = logits.softmax(-1)
    if top_p:
        p, i = torch.sort(probs, dim=-1, descending=True)
        p[torch.cumsum(p, -1) - p > top_p] = 0.0
        p.div_(p.sum(-1, keepdim=True))
        return torch.gather(i, -1, torch.multinomial(p, num_samples=1))
    return torch.multinomial(probs, 1)


@torch.no_grad()
def generate(m, ids, n, cached=True, **how):
    caches = [(torch.zeros(len(ids), MAX, KV, D // H), torch.zeros(len(ids), MAX, KV, D // H)) for _ in range(L)] if cached else None
    start = 0
    for _ in range(n):
        logits = m(ids[:, start:] if cached else ids, caches, start)[:, -1]
        start = ids.shape[1] if cached else 0
        ids = torch.cat((ids, pick(logits, seen=ids, **how)), 1)
    return ids


m = LM()
text = torch.arange(96).remainder(11).view(4, 24)
opt = torch.optim.AdamW(m.parameters(), lr=3e-3)
for step in range(17):
    logits = m(text[:, :-1])
    loss = F.cross_entropy(logits.reshape(-1, V), text[:, 1:].reshape(-1))
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
    if step % 8 == 0:
        print(f"{step} {loss.item():.4f} ppl {math.exp(loss.item()):.2f}")
q = torch.randn(1, 5, 2, 8)
print(torch.allclose(rotate(q, m.f[:5]), rotate_half(q, m.f[:5]), atol=1e-6))
prompt = torch.tensor([[0, 1, 2], [5, 6, 7]])
print(generate(m, prompt, 2, temperature=0).tolist(), torch.equal(generate(m, prompt, 2, temperature=0), generate(m, prompt, 2, cached=False, temperature=0)))
torch.manual_seed(1)
print(generate(m, prompt, 2, top_k=4, temperature=1.5).tolist())
print(generate(m, prompt, 2, top_p=0.9, temperature=1.2, penalty=1.2).tolist())
a, b = F.scaled_dot_product_attention(q, q, q, is_causal=True), F.scaled_dot_product_attention(q, q, q, attn_mask=torch.ones(2, 2, dtype=torch.bool).tril())
print(torch.allclose(a, b), F.scaled_dot_product_attention(q, q, q, scale=0.1).mean())
gq = F.scaled_dot_product_attention(torch.randn(1, 4, 3, 8), torch.randn(1, 2, 3, 8), torch.randn(1, 2, 3, 8), enable_gqa=True)
print(gq.shape, gq.mean())
