# padding_idx: a row of zeros that gets no gradient; max_norm: rows that are looked up are scaled down in place.
import torch
from torch import nn

torch.manual_seed(0)
table = nn.Embedding(10, 3, padding_idx=0)
print(table, table.weight[0])
print(table(torch.LongTensor([[0, 2, 0, 5]])))
table(torch.LongTensor([[0, 2, 0, 5]])).sum().backward()
print(table.weight.grad[:6])
optimizer = torch.optim.SGD(table.parameters(), lr=0.5)
optimizer.step()
print(table.weight[:3])

pad = 0
small = nn.Embedding(3, 3, padding_idx=pad)
print(small.weight)
with torch.no_grad():
    small.weight[pad] = torch.ones(3)
print(small.weight)
print(small(torch.tensor([0, 1])))

torch.manual_seed(1)
capped = nn.Embedding(4, 3, max_norm=1.0)
print(capped.weight.norm(dim=1))
out = capped(torch.tensor([1, 3, 1]))
print(out.norm(dim=1))
print(capped.weight.norm(dim=1))
l1 = nn.Embedding(4, 3, max_norm=1.0, norm_type=1.0)
print(l1(torch.tensor([0, 2])).abs().sum(1))
counted = nn.Embedding(4, 2, scale_grad_by_freq=True)
counted(torch.tensor([1, 1, 2])).sum().backward()
print(counted.weight.grad)
