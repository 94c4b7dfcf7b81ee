# Sequences of different lengths: packed through a bidirectional GRU, decoded with the CTC loss.
# slow
# digits: 3
import itertools

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence, unpad_sequence
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)


class Speech(Dataset):
    def __init__(self, n):
        g = torch.Generator().manual_seed(5)
        self.items = []
        for _ in range(n):
            length = int(torch.randint(1, 5, (), generator=g))
            text = torch.randint(1, 6, (length,), generator=g)
            frames = torch.nn.functional.one_hot(text.repeat_interleave(3), 6).float()
            self.items.append((frames + 0.1 * torch.randn(frames.shape, generator=g), text))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(batch):
    xs, ys = zip(*batch)
    return pad_sequence(xs, batch_first=True), torch.tensor([len(x) for x in xs]), pad_sequence(ys, batch_first=True, padding_value=0), torch.tensor([len(y) for y in ys])


class Net(nn.Module):
    def __init__(self, d=6, h=16):
        super().__init__()
        self.rnn = nn.GRU(d, h, num_layers=2, batch_first=True, bidirectional=True, dropout=0.1)
        self.out = nn.Linear(2 * h, 6)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, hidden = self.rnn(packed)
        assert isinstance(y, PackedSequence)
        y, n = pad_packed_sequence(y, batch_first=True)
        return self.out(y).log_softmax(-1), n, hidden


def greedy(logp, n):
    for row, length in zip(logp.argmax(-1), n):
        yield [k for k, _ in itertools.groupby(row[:length].tolist()) if k]


data = Speech(10)
loader = DataLoader(data, batch_size=5, collate_fn=collate, shuffle=True, generator=torch.Generator().manual_seed(1))
net = Net()
ctc = nn.CTCLoss(blank=0, zero_infinity=True)
opt = torch.optim.Adam(net.parameters(), lr=0.02)
for epoch in range(3):
    total = 0.0
    for x, xn, y, yn in loader:
        logp, n, hidden = net(x, xn)
        loss = ctc(logp.transpose(0, 1), y, n, yn)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        opt.step()
        total += loss.item()
    print(f"epoch {epoch}: {total / len(loader):.4f} hidden {tuple(hidden.shape)} frames {n.tolist()}")
net.eval()
x, xn, y, yn = collate([data[i] for i in range(4)])
with torch.no_grad():
    logp, n, _ = net(x, xn)
print(list(greedy(logp, n)), [t[:k].tolist() for t, k in zip(y, yn)])
flat = torch.cat([t[:k] for t, k in zip(y, yn)])
print(f"{ctc(logp.transpose(0, 1), flat, n, yn):.4f}", nn.CTCLoss(reduction="none")(logp.transpose(0, 1), y, tuple(n.tolist()), tuple(yn.tolist())))
p = pack_sequence([torch.arange(3.0), torch.arange(5.0), torch.arange(1.0)], enforce_sorted=False)
print(p)
print(p.batch_sizes, p.sorted_indices, p.unsorted_indices, p.data.dtype, p.double().data.dtype, p.is_cuda)
back, lens = pad_packed_sequence(p, batch_first=True, padding_value=-1, total_length=6)
print(back, lens, [t.tolist() for t in unpad_sequence(back, lens, batch_first=True)])
for bad in (lambda: pack_padded_sequence(back, torch.tensor([1, 2, 3]), True), lambda: pack_padded_sequence(back, torch.tensor([3, 0, 1]), True, False)):
    try:
        bad()
    except RuntimeError as e:
        print(type(e).__name__, str(e).splitlines()[0])
