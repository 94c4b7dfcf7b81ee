# Broadcasting: missing dimensions are added in front, dimensions of one are repeated.
import torch

a = torch.tensor([1, 2, 3])
b = torch.tensor([[0, 0, 0], [1, 1, 1], [2, 2, 2]])
print(b + a)
print(torch.cat([a[None, :]] * 3, dim=0) + b)
wide, tall = torch.broadcast_tensors(a, b)
print(wide, "\n")
print(tall, "\n")
print(wide + tall, wide.stride(), wide.shape)
print(torch.broadcast_shapes((3, 1), (1, 4)), (torch.ones(3, 1) * torch.arange(4)).shape, torch.broadcast_to(a, (2, 3)))
try:
    torch.zeros(3) + torch.zeros(4)
except RuntimeError as e:
    print("RuntimeError:", e)
