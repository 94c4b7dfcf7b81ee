# A tagger: characters, a projected LSTM over packed words, a conditional random field.
# slow
# isolated
# digits: 4
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence, unpad_sequence

torch.manual_seed(23)


class CRF(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.start, self.end, self.trans = (nn.Parameter(torch.empty(s)) for s in (k, k, (k, k)))
        for p in self.parameters():
            nn.init.uniform_(p, -0.1, 0.1)

    def score(self, e, y, mask):
        B, T, _ = e.shape
        s = self.start[y[:, 0]] + e[:, 0].gather(1, y[:, :1]).squeeze(1)
        for t in range(1, T):
            s += (self.trans[y[:, t - 1], y[:, t]] + e[torch.arange(B), t, y[:, t]]) * mask[:, t]
        last = y.gather(1, (mask.long().sum(1) - 1).unsqueeze(1)).squeeze(1)
        return s + self.end[last]

    def norm(self, e, mask):
        a = self.start + e[:, 0]
        for t in range(1, e.shape[1]):
            n = torch.logsumexp(a.unsqueeze(2) + self.trans + e[:, t].unsqueeze(1), dim=1)
            a = torch.where(mask[:, t].unsqueeze(1), n, a)
        return torch.logsumexp(a + self.end, 1)

    @torch.no_grad()
    def decode(self, e, mask):
        a, back = self.start + e[:, 0], []
        for t in range(1, e.shape[1]):
            n, i = (a.unsqueeze(2) + self.trans + e[:, t].unsqueeze(1)).max(1)
            a = torch.where(mask[:, t, None], n, a)
            back.append(i)
        out = []
        for b in range(e.shape[0]):
            n = int(mask[b].sum())
            best = [(a[b] + self.end).argmax().item()]
            for h in reversed(back[: n - 1]):
                best.append(h[b][best[-1]].item())
            out.append(best[::-1])
        return out


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.chars, self.words = nn.Embedding(10, 6, padding_idx=0), nn.Embedding(12, 8)
        self.conv = nn.Conv1d(6, 8, 3, padding=1)
        self.rnn = nn.LSTM(16, 8, bidirectional=True, batch_first=True, proj_size=5)
        self.fc, self.crf = nn.Linear(10, 4), CRF(4)

    def forward(self, ws, cs):
        feats = [torch.cat((self.words(w), self.conv(self.chars(c).transpose(1, 2)).amax(-1)), -1) for w, c in zip(ws, cs)]
        packed = pack_sequence(feats, enforce_sorted=False)
        out, (h, c) = self.rnn(packed)
        assert h.shape[-1] == 5 and c.shape[-1] == 8
        out, lens = pad_packed_sequence(out, batch_first=True, padding_value=-9.0, total_length=6)
        return self.fc(out), torch.arange(6)[None] < lens[:, None], lens


m = Tagger()
opt = torch.optim.Adadelta(m.parameters(), lr=1.0)
ws = [torch.randint(0, 12, (n,)) for n in (4, 6, 3)]
cs = [torch.randint(1, 10, (len(w), 5)) for w in ws]
y = torch.zeros(3, 6, dtype=torch.long)
for i, w in enumerate(ws):
    y[i, : len(w)] = w % 4
for step in range(8):
    e, mask, lens = m(ws, cs)
    nll = (m.crf.norm(e, mask) - m.crf.score(e, y, mask)).mean()
    opt.zero_grad(); nll.backward()
    g = torch.nn.utils.get_total_norm([p.grad for p in m.parameters()])
    torch.nn.utils.clip_grad_value_(m.parameters(), 0.5)
    opt.step()
    print(step, f"{nll.item():.5f} {g.item():.5f}", m.crf.decode(e, mask))
print(m.chars.weight[0].tolist(), m.chars.weight.grad[0].tolist(), [u.shape for u in unpad_sequence(e, lens, batch_first=True)])
total = torch.logsumexp(torch.stack([m.crf.score(e[2:, :3], torch.tensor([[a, b, c]]), mask[2:, :3])[0] for a in range(4) for b in range(4) for c in range(4)]), 0)
print(torch.allclose(total, m.crf.norm(e[2:, :3], mask[2:, :3])[0]), packed := pack_sequence(ws, enforce_sorted=False), packed.sorted_indices, packed.batch_sizes, sep="\n")
