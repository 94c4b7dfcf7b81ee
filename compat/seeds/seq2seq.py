# Sequences reversed by a GRU with attention: packed sequences, masks, teacher forcing.
# slow
# digits: 3
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

torch.manual_seed(0)
V, H, PAD, BOS = 8, 12, 0, 1


class Enc(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(V, H, padding_idx=PAD)
        self.r = nn.GRU(H, H, bidirectional=True, batch_first=True)
        self.p = nn.Linear(2 * H, H)

    def forward(self, x, n):
        o, h = self.r(pack_padded_sequence(self.e(x), n, batch_first=True, enforce_sorted=False))
        o, _ = pad_packed_sequence(o, batch_first=True)
        return self.p(o), torch.tanh(self.p(torch.cat([h[0], h[1]], -1)))


class Dec(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(V, H)
        self.c = nn.GRUCell(2 * H, H)
        self.o = nn.Linear(2 * H, V)

    def forward(self, tok, h, mem, mask):
        w = torch.einsum("bh,bth->bt", h, mem).masked_fill(~mask, float("-inf")).softmax(-1)
        ctx = (w.unsqueeze(1) @ mem).squeeze(1)
        h = self.c(torch.cat([self.e(tok), ctx], -1), h)
        return self.o(torch.cat([h, ctx], -1)), h, w


enc, dec = Enc(), Dec()
params = [*enc.parameters(), *dec.parameters()]
opt = torch.optim.Adam(params, 1e-2)
lossf = nn.CrossEntropyLoss(ignore_index=PAD)
for step in range(2):
    seqs = [torch.randint(2, V, (int(n),)) for n in torch.randint(2, 6, (8,))]
    n = torch.tensor([len(s) for s in seqs])
    src = pad_sequence(seqs, batch_first=True, padding_value=PAD)
    tgt = pad_sequence([s.flip(0) for s in seqs], batch_first=True)
    mem, h = enc(src, n)
    mask = torch.arange(src.size(1))[None] < n[:, None]
    tok = torch.full((8,), BOS)
    loss = 0.0
    for t in range(tgt.size(1)):
        logits, h, w = dec(tok, h, mem, mask)
        loss = loss + lossf(logits, tgt[:, t]) if (tgt[:, t] != PAD).any() else loss
        tok = torch.where(torch.rand(8) < 0.5, tgt[:, t], logits.argmax(-1))
    opt.zero_grad()
    loss.backward()
    g = nn.utils.clip_grad_value_(params, 0.5)
    opt.step()
    print(step, tuple(src.shape), f"{loss.item() / tgt.size(1):.4f}", tok.tolist(), f"{enc.e.weight.grad[PAD].abs().sum():.1f}")
print(w[0], n.tolist())
