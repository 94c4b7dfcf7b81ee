# A text classifier out of submodules: walking over them, freezing one, a table of layers by forward hooks.
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(num_embeddings=10000, embedding_dim=3, padding_idx=1)
        self.conv = nn.Sequential()
        self.conv.add_module("conv_1", nn.Conv1d(in_channels=3, out_channels=16, kernel_size=5))
        self.conv.add_module("pool_1", nn.MaxPool1d(kernel_size=2))
        self.conv.add_module("relu_1", nn.ReLU())
        self.conv.add_module("conv_2", nn.Conv1d(in_channels=16, out_channels=128, kernel_size=2))
        self.conv.add_module("pool_2", nn.MaxPool1d(kernel_size=2))
        self.conv.add_module("relu_2", nn.ReLU())
        self.dense = nn.Sequential()
        self.dense.add_module("flatten", nn.Flatten())
        self.dense.add_module("linear", nn.Linear(6144, 1))

    def forward(self, x):
        x = self.embedding(x).transpose(1, 2)  # (B, 3, 200)
        return self.dense(self.conv(x))  # (B, 1)


torch.manual_seed(0)
net = Net()
for i, child in enumerate(net.children()):
    print(i, child, "\n")
for name, child in net.named_children():
    print(name, ":", child, "\n")
modules = list(net.modules())
for m in modules:
    print(m)
print("modules:", len(modules), [n for n, _ in net.named_modules()])
children = {name: module for name, module in net.named_children()}
print(children)
embedding = children["embedding"]
embedding.requires_grad_(False)
for p in embedding.parameters():
    print(p.requires_grad, p.numel())

rows = []


def note(module, inputs, output):
    count = sum(p.numel() for p in module.parameters())
    rows.append((f"{type(module).__name__}-{len(rows) + 1}", [-1, *output.shape[1:]], count))


leaves = [m for m in net.modules() if not list(m.children())]
handles = [m.register_forward_hook(note) for m in leaves]
out = net(torch.randint(0, 10000, (2, 200), dtype=torch.int64))
for h in handles:
    h.remove()
print("-" * 60)
for name, shape, count in rows:
    print(f"{name:20s}{str(shape):>25s}{count:>15,}")
total = sum(p.numel() for p in net.parameters())
trained = sum(p.numel() for p in net.parameters() if p.requires_grad)
print(f"Total params: {total:,}\nTrainable params: {trained:,}\nNon-trainable params: {total - trained:,}")
print(f"Input size (MB): {200 * 4 / 2**20:.6f}  Params size (MB): {total * 4 / 2**20:.6f}")
print(f"{out[0].item():.4f}")
out.sum().backward()
print(embedding.weight.grad is None, net.conv.conv_1.weight.grad.abs().sum() > 0)
