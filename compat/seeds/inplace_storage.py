# Functions that end in an underscore work in place: the storage's pointer stays. Storage, views and version counters.
import warnings

import torch

warnings.simplefilter("ignore")
t = torch.zeros(3)
pointer = t.storage().data_ptr()
u = t.add_(1)
print(u is t, t.storage().data_ptr() == pointer, t.untyped_storage().data_ptr() == pointer)
v = t.add(1)
print(v.storage().data_ptr() == pointer, t, v)
t.mul_(3).sub_(1).clamp_(max=1.5)
print(t, t._version, t.storage().data_ptr() == pointer)
base = torch.arange(6).reshape(2, 3)
row, column = base[1], base[:, 1]
row.zero_()
column += 10
print(base, row, column, row.storage_offset(), column.stride(), base._version)
print(row.storage().data_ptr() == base.storage().data_ptr(), row.data_ptr() - base.data_ptr(), base.storage().size())
print(torch.fill_(torch.zeros(2, 2), 5), torch.empty(2).fill_(7), torch.ones(2).zero_())
y = torch.ones(2, 3, requires_grad=True) * 1
y.t()[0].mul_(2)
y[:, 1] = 0
print(y)
y.sum().backward()
leaf = torch.ones(2, requires_grad=True)
try:
    leaf.add_(1)
except RuntimeError as e:
    print("RuntimeError:", e)
z = leaf.exp()
z.mul_(2)
try:
    z.sum().backward()
except RuntimeError as e:
    print("RuntimeError:", str(e)[:90])
