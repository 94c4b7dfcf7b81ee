# Reductions, scans, sorting, and nearest neighbours by topk.
import torch

a = torch.arange(1, 10).float().view(3, 3)
print(a)
for f in (torch.sum, torch.mean, torch.max, torch.min, torch.prod, torch.std, torch.var, torch.median):
    print(f.__name__, f(a))
b = torch.arange(1, 13).float().view(3, 4)
print(torch.max(b, dim=0))
print(torch.max(b, dim=1))
print(torch.sum(b, 0), torch.mean(b, dim=1, keepdim=True), torch.std(b, 0), b.argmax(), b.argmin(1), b.median(1))
a = torch.arange(1, 10)
print(torch.cumsum(a, 0), torch.cumprod(a, 0))
print(torch.cummax(a, 0).values, torch.cummax(a, 0).indices)
print(torch.cummin(a, 0))
a = torch.tensor([[9, 7, 8], [1, 3, 2], [5, 6, 4]]).float()
print(torch.topk(a, 2, dim=0), "\n")
print(torch.topk(a, 2, dim=1), "\n")
print(torch.sort(a, dim=1), "\n")
values, order = torch.sort(a, dim=0, descending=True)
print(values, order, torch.argsort(a))

torch.manual_seed(0)
points, labels = torch.randn(30, 2), torch.arange(30) % 3
points[labels == 1] += 4
points[labels == 2] -= 4
query = torch.tensor([[4.0, 4.0], [-4.0, -4.0], [0.0, 0.0]])
near = torch.topk(torch.cdist(query, points), 5, dim=1, largest=False)
print(labels[near.indices], torch.mode(labels[near.indices], 1).values, near.values)
print(torch.unique(labels, return_counts=True), torch.bincount(labels), torch.any(labels > 1), torch.all(labels > 1))
try:
    torch.mean(torch.arange(3))
except RuntimeError as e:
    print("RuntimeError:", e)
