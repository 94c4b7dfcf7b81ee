"""Ordinary calls, for type checkers: under PyTorch's stubs and under ours there is nothing to complain of. Not run; read by tests."""

import torch
import torch.nn.functional as F
from torch import nn

# Making tensors
a = torch.zeros(2, 3)
a = torch.zeros((2, 3), dtype=torch.float64)
a = torch.zeros(2, 3, device="cpu", requires_grad=True)
a = torch.ones(4)
a = torch.ones([2, 2])
a = torch.empty(3, 3)
a = torch.full((2, 2), 7.0)
a = torch.arange(10)
a = torch.arange(0, 10, 2)
a = torch.arange(0.0, 1.0, 0.1, dtype=torch.float32)
a = torch.linspace(0, 1, 5)
a = torch.logspace(0, 2, steps=3)
a = torch.eye(3)
a = torch.eye(3, 4, dtype=torch.int64)
a = torch.rand(2, 3)
a = torch.randn(2, 3, generator=torch.Generator())
a = torch.randn((2, 3))
a = torch.randint(0, 10, (3,))
a = torch.randint(10, (2, 2))
a = torch.randperm(5)
a = torch.tensor([1.0, 2.0])
a = torch.tensor([[1, 2], [3, 4]], dtype=torch.float32, requires_grad=True)
a = torch.as_tensor([1, 2, 3])
a = torch.zeros_like(a)
a = torch.ones_like(a, dtype=torch.float32)
a = torch.rand_like(a)
a = torch.full_like(a, 3.0)
a = torch.empty_like(a)
b = torch.randn(3, 3)
c = torch.randn(3, 3)

# Arithmetic
d = a + b
d = a + 1
d = 2 * a
d = a - b / 3.0
d = a @ b
d = -a
d = a**2
d = abs(a)
d = a // 2
d = a % 2
d += b
m = a > b
m = a == b
m = ~m
m = (a > 0) & (b < 1)
d = torch.add(a, b, alpha=2)
d = torch.sub(a, 1)
d = torch.mul(a, b)
d = torch.div(a, b, rounding_mode="floor")
d = torch.true_divide(a, b)
d = torch.pow(a, 2)
d = torch.sqrt(a)
d = torch.exp(a)
d = torch.log1p(a)
d = torch.sin(a)
d = torch.abs(a)
d = torch.clamp(a, 0, 1)
d = torch.clamp(a, min=0.0)
d = torch.where(m, a, b)
d = torch.where(m, a, 0.0)
d = torch.maximum(a, b)
d = torch.fmod(a, 2)
d = torch.lerp(a, b, 0.5)
d = torch.addcmul(a, b, c, value=0.5)
d = torch.addmm(a, b, c, beta=0.5, alpha=2)
d = torch.sigmoid(a)
d = torch.tanh(a)
d = torch.relu(a)
d = torch.softmax(a, dim=-1)
d = torch.log_softmax(a, -1)
d = torch.erf(a)
d = torch.atan2(a, b)
d = a.add(b)
d = a.add_(1)
d = a.mul_(b)
d = a.sub(b, alpha=3)
d = a.div(2)
d = a.pow(2)
d = a.exp()
d = a.clamp(0, 1)
d = a.clamp_(min=0)
d = a.sqrt_()
d = a.zero_()
d = a.fill_(3.0)
d = a.copy_(b)
d = a.neg()
d = a.masked_fill(m, 0.0)
d = a.masked_fill_(m, 1)

# Reductions
d = a.sum()
d = a.sum(dim=0)
d = a.sum(-1, keepdim=True)
d = torch.sum(a, (0, 1))
d = torch.sum(a, dim=1, keepdim=True, dtype=torch.float64)
d = a.mean()
d = a.mean(dim=0)
d = torch.mean(a, 1)
d = a.std()
d = a.var(dim=0, unbiased=False)
d = a.prod()
d = a.norm()
d = a.max()
values, indices = a.max(dim=1)
top = a.max(dim=1)
d = top.values
d = top.indices
d = a.min(0).values
d = a.argmax(dim=-1)
d = torch.argmin(a)
d = a.any()
d = torch.all(m)
d = a.cumsum(0)
d = torch.cumprod(a, dim=1)
d = torch.logsumexp(a, 0)
values, indices = torch.topk(a, 2)
values, indices = torch.sort(a, dim=0, descending=True)
d = torch.argsort(a)
d = a.median()
d = torch.bincount(torch.tensor([1, 2]))
d = torch.unique(a)

# Shapes
d = a.view(3, 3)
d = a.view(-1)
d = a.reshape(1, 9)
d = torch.reshape(a, (9, 1))
d = a.permute(1, 0)
d = a.transpose(0, 1)
d = a.t()
d = a.T
d = a.unsqueeze(0)
d = a.squeeze()
d = a.squeeze(0)
d = a.flatten()
d = torch.flatten(a, 1)
d = a.expand(2, 3, 3)
d = a.repeat(2, 1)
d = a.contiguous()
d = torch.cat([a, b])
d = torch.cat((a, b), dim=1)
d = torch.stack([a, b], dim=0)
parts = torch.split(a, 1)
parts = torch.chunk(a, 3, dim=1)
parts = a.unbind(0)
d = torch.hstack([a, b])
d = torch.roll(a, 1, 0)
d = torch.flip(a, (0,))
d = torch.tril(a)
d = a.triu(1)
d = torch.diag(a)
d = a.gather(1, indices)
d = a.index_select(0, torch.tensor([0, 2]))
d = a.scatter(1, indices, b)
d = a.scatter_add_(0, indices, b)
d = torch.gather(a, 0, indices)
d = torch.nonzero(m)
d = torch.masked_select(a, m)
d = a[0]
d = a[0, 1:3]
d = a[m]
d = a[..., None]
a[0] = 1.0
a[m] = 0
n = len(a)
n = a.dim()
n = a.size(0)
s = a.size()
s = a.shape
n = a.shape[0]
n = a.numel()
flag = a.is_contiguous()
kind = a.dtype
where = a.device
x = a.item()
nested = a.tolist()

# Linear algebra
d = torch.mm(a, b)
d = torch.matmul(a, b)
d = torch.bmm(a[None], b[None])
d = torch.einsum("ij,jk->ik", a, b)
d = torch.dot(a[0], b[0])
d = torch.outer(a[0], b[0])
d = torch.linalg.inv(a)
d = torch.linalg.norm(a)
d = torch.linalg.solve(a, b)
d = torch.det(a)
d = torch.cross(a, b, dim=1)
d = torch.kron(a, b)

# Types, devices, memory
d = a.to(torch.float16)
d = a.to("cpu")
d = a.float()
d = a.long()
d = a.bool()
d = a.detach()
d = a.clone()
d = a.cpu()
d = a.requires_grad_()
d = a.type_as(b)
a.backward()
a.backward(retain_graph=True)
g = a.grad
a.requires_grad = True
with torch.no_grad():
    d = a * 2
with torch.inference_mode():
    d = a * 2
torch.manual_seed(0)
torch.set_default_dtype(torch.float32)
flag = torch.is_tensor(a)
flag = torch.allclose(a, b, rtol=1e-3)
flag = torch.equal(a, b)
d = torch.complex(a, b)
d = torch.view_as_real(d)
d = torch.fft.fft(a)
d = torch.special.expit(a)
torch.save({"a": a}, "f.pt")
loaded = torch.load("f.pt", weights_only=True)

# torch.nn.functional
d = F.relu(a)
d = F.gelu(a)
d = F.softmax(a, dim=-1)
d = F.linear(a, b)
d = F.linear(a, b, c[0])
d = F.dropout(a, p=0.5, training=True)
d = F.mse_loss(a, b)
d = F.cross_entropy(a, torch.tensor([0, 1, 2]))
d = F.cross_entropy(a, torch.tensor([0, 1, 2]), reduction="sum", label_smoothing=0.1)
d = F.nll_loss(a, torch.tensor([0, 1, 2]))
d = F.binary_cross_entropy_with_logits(a, b)
d = F.layer_norm(a, (3,))
d = F.one_hot(torch.tensor([0, 1]), num_classes=3)
d = F.pad(a, (1, 1))
d = F.normalize(a, dim=1)
d = F.conv2d(a[None, None], b[None, None], padding=1)
d = F.max_pool2d(a[None], 2)
d = F.avg_pool2d(a[None], kernel_size=2, stride=1)
d = F.embedding(torch.tensor([1]), a)
d = F.scaled_dot_product_attention(a, b, c)
d = F.interpolate(a[None, None], scale_factor=2.0)
d = F.log_softmax(a, dim=1)
d = F.smooth_l1_loss(a, b, beta=0.5)
d = F.kl_div(a, b, reduction="batchmean")

# Modules and optimizers
layer = nn.Linear(3, 4)
layer = nn.Linear(3, 4, bias=False)
net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
conv = nn.Conv2d(1, 8, kernel_size=3, padding=1)
norm = nn.LayerNorm(4)
drop = nn.Dropout(0.1)
loss = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
optimizer.zero_grad()
optimizer.step()
schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10)
schedule.step()
d = net(a)
net.train()
net.eval()
state = net.state_dict()
net.load_state_dict(state)
for p in net.parameters():
    d = p.data
