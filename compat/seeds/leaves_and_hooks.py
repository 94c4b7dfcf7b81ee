# Who keeps a gradient: leaves do, others on request; hooks see every gradient pass.
import warnings

import torch

x = torch.tensor(3.0, requires_grad=True)
y1 = x + 1
y2 = 2 * x
loss = (y1 - y2) ** 2
loss.backward()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print("loss.grad:", loss.grad)
    print("y1.grad:", y1.grad)
    print("y2.grad:", y2.grad)
    print(len(caught), caught[0].category.__name__, str(caught[0].message)[:75])
print(x.grad)
print(x.is_leaf, y1.is_leaf, y2.is_leaf, loss.is_leaf)

x = torch.tensor(3.0, requires_grad=True)
y1 = x + 1
y2 = 2 * x
loss = (y1 - y2) ** 2
y1.register_hook(lambda grad: print("y1 grad: ", grad))
y2.register_hook(lambda grad: print("y2 grad: ", grad))
loss.retain_grad()
loss.backward()
print("loss.grad:", loss.grad)
print("x.grad:", x.grad)
loss = (x * 2).sum()
loss.backward()
print("added up:", x.grad)
x.grad = None
doubled = x * 1
handle = doubled.register_hook(lambda g: g * 10)
doubled.backward()
print(x.grad)
handle.remove()
z = x.detach()
print(z.requires_grad, z.is_leaf, torch.ones(1).is_leaf)
seen = []
x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.item()))
(x * 4).backward()
print(seen)
