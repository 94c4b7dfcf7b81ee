# Skip-grams with negative samples: sparse gradients and SparseAdam.
# slow
# digits: 3
import torch, collections, random
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
random.seed(0)
text = ("the cat sat on the mat the dog sat on the log the cat saw the dog " * 3).split()
counts = collections.Counter(text)
vocab = sorted(counts)
idx = {w: i for i, w in enumerate(vocab)}
freq = torch.tensor([counts[w] for w in vocab], dtype=torch.float).pow(0.75)
pairs = torch.tensor(
    [(idx[text[i]], idx[text[j]]) for i in range(len(text)) for j in range(max(0, i - 2), min(len(text), i + 3)) if i != j]
)


class SkipGram(nn.Module):
    def __init__(self, v, d):
        super().__init__()
        self.u = nn.Embedding(v, d, sparse=True)
        self.v = nn.Embedding(v, d, sparse=True)
        nn.init.uniform_(self.u.weight, -0.5 / d, 0.5 / d)
        nn.init.zeros_(self.v.weight)

    def forward(self, c, o, neg):
        u = self.u(c)
        pos = (u * self.v(o)).sum(-1)
        n = torch.bmm(self.v(neg), u.unsqueeze(2)).squeeze(2)
        return -(F.logsigmoid(pos) + F.logsigmoid(-n).sum(1)).mean()


m = SkipGram(len(vocab), 8)
opt = torch.optim.SparseAdam(list(m.parameters()), lr=0.05)
for epoch in range(3):
    for b in pairs[torch.randperm(len(pairs))].split(32):
        neg = torch.multinomial(freq, len(b) * 5, replacement=True).view(len(b), 5)
        loss = m(b[:, 0], b[:, 1], neg)
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(epoch, f"{loss.item():.4f}")
w = F.normalize(m.u.weight.detach(), dim=1)
sim = w @ w[idx["cat"]]
print([vocab[i] for i in sim.argsort(descending=True)[:3].tolist()], m.u.weight.grad.is_sparse)
