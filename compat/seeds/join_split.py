# cat joins along a dimension, stack adds one, split cuts.
import torch

a = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
b = torch.tensor([[5.0, 6.0], [7.0, 8.0]])
c = torch.tensor([[9.0, 10.0], [11.0, 12.0]])
joined = torch.cat([a, b, c], dim=0)
print(joined.shape, joined)
stacked = torch.stack([a, b, c], axis=0)
print(stacked.shape, stacked)
print(torch.cat([a, b, c], axis=1))
print(torch.stack([a, b, c], axis=1))
for part in torch.split(joined, split_size_or_sections=2, dim=0):
    print(part)
p, q, r = torch.split(joined, split_size_or_sections=[4, 1, 1], dim=0)
print(p, q, r, sep="\n")
print([x.shape for x in torch.chunk(joined, 4)], [x.tolist() for x in joined.unbind(1)], [x.shape for x in torch.tensor_split(joined, 4)])
try:
    torch.cat([a, torch.zeros(2, 3)], 0)
except RuntimeError as e:
    print("RuntimeError:", e)
try:
    torch.stack([a, torch.zeros(2, 3)])
except RuntimeError as e:
    print("RuntimeError:", e)
