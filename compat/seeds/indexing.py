# Indexing and slices, for reading and for writing.
import torch

torch.manual_seed(0)
low, high = 0, 10
t = torch.floor(low + (high - low) * torch.rand([5, 5])).int()
print(t)
print(t[0], t[1, 3], t[1][3], t[-1, -1])
print(t[1:4, :])
print(t[1:4, :4:2])
x = torch.Tensor([[1, 2], [3, 4]])
x.data[1, :] = torch.tensor([0.0, 0.0])
print(x)
a = torch.arange(27).view(3, 3, 3)
print(a[..., 1], a[:, None, 1].shape, a[[0, 2], :, [1, 1]], a[a > 23], a[..., -1:].shape)
a[1, ..., 0] = -1
a[a % 5 == 0] = 0
a[:, [0, 2]] += 100
print(a)
scores = torch.floor(0 + 100 * torch.rand([4, 5, 7])).int()
print(torch.index_select(scores, dim=1, index=torch.tensor([0, 2, 4])))
q = torch.index_select(torch.index_select(scores, dim=1, index=torch.tensor([0, 2, 4])), dim=2, index=torch.tensor([1, 3, 6]))
print(q)
print(torch.take(scores, torch.tensor([0 * 5 * 7 + 0, 2 * 5 * 7 + 3 * 7 + 1, 3 * 5 * 7 + 4 * 7 + 6])))
print(torch.masked_select(scores, scores >= 80), scores[scores >= 90])
print(torch.gather(t, 1, torch.tensor([[0, 0], [1, 0], [4, 3], [2, 2], [0, 1]])))
passed = torch.where(scores > 60, torch.tensor(1), torch.tensor(0))
print(passed, passed.dtype, torch.where(t > 5))
full = torch.index_fill(scores, dim=1, index=torch.tensor([0, 2, 4]), value=100)
print(full, torch.equal(full, scores.index_fill(dim=1, index=torch.tensor([0, 2, 4]), value=100)))
b = torch.masked_fill(scores, scores < 60, 60)
print(b, b.min(), torch.equal(b, scores.masked_fill(scores < 60, 60)))
try:
    t[7]
except IndexError as e:
    print("IndexError:", e)
