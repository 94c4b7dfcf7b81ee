# Small everyday functions and what they print.
import torch

values = [1, 2]
print(torch.tensor(values), torch.tensor(values, dtype=torch.float), torch.tensor(values, dtype=torch.float64, requires_grad=True))
print(torch.tensor([[1.5, -2.0]]).flatten(), torch.zeros(2, 3).unsqueeze(0).shape, torch.zeros(2, 3).unsqueeze(-1).shape)
a, b = torch.tensor([1, 2, 3, 4, 5, 6, 7]), torch.tensor([1, 2, 3, 5, 6, 7, 8])
print(torch.eq(a, b), torch.sum(torch.eq(a, b)), a == b)
c = torch.tensor([1, -2, -3, 4, 5, -6, -7])
print(torch.clamp(c, 0, 1), torch.clamp(c, min=-3), c.clamp(max=2), torch.abs(c))
print(torch.randn(8, 4, 9).shape, torch.randn(8, 4, 9).size(1), len(torch.zeros(3, 1)))
x = torch.tensor([1])
print(x, x.item(), torch.tensor(2.5).item(), torch.tensor([True]).item())
try:
    torch.tensor([2, 3, 4, 5]).item()
except (RuntimeError, ValueError) as e:
    print(type(e).__name__, e)
t = torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
print(t.tolist(), list(t), torch.tensor([[1.0], [2.0]]).tolist())
torch.manual_seed(7)
rows = torch.randn(2, 5)
print(rows)
before = rows.data_ptr()
rows.unsqueeze_(1)
print(rows, rows.data_ptr() == before)
parts = [r for r in rows]
print(parts)
print(torch.cat(parts, dim=0), torch.cat(parts, dim=1).shape)
try:
    torch.exp(0)
except TypeError as e:
    print("TypeError:", e)
for n in (0, 1, 2):
    print(torch.exp(torch.tensor([n])))
print(torch.FloatTensor([1, 2, 3]).exp(), torch.FloatTensor([1, 2, 3]))
torch.manual_seed(4)
like = torch.zeros(1000, dtype=torch.float64)
r = torch.randn_like(like)
print(r.shape, r.dtype, round(r.mean().item(), 3), round(r.var().item(), 3), r[:3])
for shape in ((50,), (1, 50), (1, 1, 50), (1, 1, 1, 1, 50)):
    print(torch.randn(*shape))
print(torch.randn(1, 3, device="cpu").device)
