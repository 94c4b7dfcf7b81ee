"""Real handwritten digits, a small convolutional network. The backbone is frozen for the first epochs, then trained too.

Plain PyTorch: ``python examples/digits_cnn.py`` with torch installed, ``python -m jtorch examples/digits_cnn.py`` without.
"""

import argparse
import sys
import time

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm


class DigitsCNN(nn.Module):
    def __init__(self, dropout=0.2):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),   # (B, 32, 8, 8)
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),  # (B, 64, 8, 8)
            nn.MaxPool2d(2),                                                 # (B, 64, 4, 4)
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),                      # (B, 64, 4, 4)
            nn.Flatten(),                                                    # (B, 1024)
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(1024, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 10))

    def forward(self, x):                                                    # (B, 1, 8, 8)
        return self.head(self.backbone(x))                                   # (B, 10)


def accuracy(model, images, labels):
    model.eval()
    with torch.no_grad():
        right = (model(images).argmax(1) == labels).float().mean().item()
    model.train()
    return right


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--frozen", type=int, default=2, help="epochs in which only the head is trained")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--losses", type=int, default=0, help="print the loss of this many first steps, and stop")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16.0  # (1797, 1, 8, 8)
    labels = torch.tensor(digits.target)                                           # (1797,)
    order = torch.randperm(len(labels))
    train, test = order[:1500], order[1500:]
    loader = DataLoader(TensorDataset(images[train], labels[train]), batch_size=args.batch, shuffle=True)

    model = DigitsCNN()
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(loader))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(train)} images to train on, {len(test)} to test")
    for p in model.backbone.parameters():
        p.requires_grad = False

    step, begin, first = 0, time.perf_counter(), None
    for epoch in range(args.epochs):
        if epoch == args.frozen:
            for p in model.backbone.parameters():
                p.requires_grad = True
        total = torch.zeros(())
        start, seen = time.perf_counter(), 0
        bar = tqdm(loader, desc=f"epoch {epoch + 1}/{args.epochs}", leave=False, file=sys.stderr, disable=None if not args.losses else True)
        for x, y in bar:                                                           # (B, 1, 8, 8), (B,)
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.detach() * len(y)
            seen += len(y)
            step += 1
            if first is None:
                first = loss.item(), time.perf_counter() - begin
            if args.losses:
                print(f"step {step} loss {loss.item():.6f}")
                if step == args.losses:
                    return
        mean = total.item() / seen
        speed = seen / (time.perf_counter() - start)
        frozen = " (backbone frozen)" if epoch < args.frozen else ""
        print(f"epoch {epoch + 1}: loss {mean:.4f}, accuracy {accuracy(model, images[test], labels[test]):.4f}, {speed:,.0f} images/s{frozen}", flush=True)
    print(f"first step after {first[1]:.2f} s, {step} steps in {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
