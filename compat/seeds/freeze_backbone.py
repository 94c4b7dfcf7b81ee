# A backbone that is frozen for the first batches and trained in the later ones.
import torch
from torch import nn

torch.manual_seed(3)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh())
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.backbone(x))


model = Model()
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
loss_fn = nn.CrossEntropyLoss()
x, y = torch.randn(30, 6), torch.randint(0, 3, (30,))
start = model.backbone[0].weight.detach().clone()
for p in model.backbone.parameters():
    p.requires_grad = False
for step in range(12):
    if step == 6:
        for p in model.backbone.parameters():
            p.requires_grad = True
    optimizer.zero_grad()
    loss = loss_fn(model(x), y)
    loss.backward()
    optimizer.step()
    moved = (model.backbone[0].weight - start).abs().max().item()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{step:2d} loss {loss.item():.4f} trained {trained} moved {moved:.4f} grad {model.backbone[0].weight.grad is not None}")
