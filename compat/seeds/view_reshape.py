# view shares memory and wants fitting strides; reshape copies where it has to.
import numpy as np
import torch

a = torch.from_numpy(np.arange(12).reshape(3, 4))
print(a, a.stride(), a.is_contiguous())
b = a.view(4, 3)
print(b, b.data_ptr() == a.data_ptr())
t = a.t()
print(t, t.stride(), t.is_contiguous())
try:
    t.view(12)
except RuntimeError as e:
    print("RuntimeError:", e)
flat = t.reshape(12)
print(flat, flat.data_ptr() == t.data_ptr(), a.reshape(12).data_ptr() == a.data_ptr())
print(t.contiguous().view(12), t.contiguous().stride())
b[0, 0] = 100
print(a[0, 0], t[0, 0], flat[0])

torch.manual_seed(0)
low, high = 0, 255
c = (low + (high - low) * torch.rand([1, 3, 3, 2])).int()
print(c.shape, c)
print(c.view([3, 6]))
print(torch.reshape(c.view([3, 6]), [1, 3, 3, 2]).shape, c.view(-1, 9).shape)
print(torch.tensor([[1, 2], [3, 4]]).flatten(), torch.zeros(2, 3, 4).flatten(1).shape, torch.tensor(5).flatten())
try:
    c.view(5, 5)
except RuntimeError as e:
    print("RuntimeError:", e)
