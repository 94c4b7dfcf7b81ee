"""A bidirectional LSTM that tags each character of Python source by the kind of token it stands in.

The labels come from the standard library's own tokenizer, so there is real data on any machine.
Plain PyTorch: ``python examples/lstm_tagger.py`` with torch installed, ``python -m jtorch examples/lstm_tagger.py`` without.
"""

import argparse
import importlib.util
import io
import keyword
import sys
import time
import tokenize
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

KINDS = ["space", "name", "keyword", "number", "string", "operator", "comment"]


def label(source):
    """The kind of token of every character."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    kinds = [0] * len(source)
    names = {tokenize.NAME: 1, tokenize.NUMBER: 3, tokenize.STRING: 4, tokenize.OP: 5, tokenize.COMMENT: 6}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = names.get(token.type, 0)
        if kind == 1 and keyword.iskeyword(token.string):
            kind = 2
        if kind:
            first, last = (starts[row - 1] + column for row, column in (token.start, token.end))
            kinds[first:last] = [kind] * (last - first)
    return kinds


class Windows(Dataset):
    """Pieces of equal length out of one long text and its labels."""

    def __init__(self, letters, kinds, length):
        self.letters, self.kinds, self.length = letters, kinds, length

    def __len__(self):
        return (len(self.letters) - 1) // self.length

    def __getitem__(self, i):
        part = slice(i * self.length, (i + 1) * self.length)
        return self.letters[part], self.kinds[part]                     # (T,), (T,)


class Tagger(nn.Module):
    def __init__(self, letters=128, width=48, hidden=64, kinds=len(KINDS), dropout=0.2):
        super().__init__()
        self.embed = nn.Embedding(letters, width)
        self.lstm = nn.LSTM(width, hidden, num_layers=2, batch_first=True, bidirectional=True, dropout=dropout)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(2 * hidden, kinds)

    def forward(self, x):                                               # (B, T)
        states, _ = self.lstm(self.embed(x))                            # (B, T, 2 * hidden)
        return self.out(self.drop(states))                              # (B, T, kinds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--losses", type=int, default=0, help="print the loss of this many first steps, and stop")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    text, kinds = "", []
    for name in ("argparse", "ast", "calendar", "copy", "csv", "heapq", "json.decoder", "textwrap", "queue", "string"):
        source = "".join(c if ord(c) < 128 else "?" for c in Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8")).replace("\f", " ")
        text += source
        kinds += label(source)
    letters, kinds = torch.tensor([ord(c) for c in text]), torch.tensor(kinds)   # (N,), (N,)
    cut = int(0.9 * len(letters))
    loader = DataLoader(Windows(letters[:cut], kinds[:cut], args.length), batch_size=args.batch, shuffle=True)
    test_x, test_y = next(iter(DataLoader(Windows(letters[cut:], kinds[cut:], args.length), batch_size=200)))

    model = Tagger()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=args.lr, total_steps=args.epochs * len(loader))
    loss_fn = nn.CrossEntropyLoss()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(text):,} characters, {len(loader)} batches an epoch")
    step, begin, first = 0, time.perf_counter(), None
    for epoch in range(args.epochs):
        total, seen, start = torch.zeros(()), 0, time.perf_counter()
        for x, y in tqdm(loader, desc=f"epoch {epoch + 1}/{args.epochs}", leave=False, file=sys.stderr, disable=None if not args.losses else True):
            optimizer.zero_grad()
            loss = loss_fn(model(x).flatten(0, 1), y.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            total += loss.detach()
            seen += 1
            step += 1
            if first is None:
                first = loss.item(), time.perf_counter() - begin
            if args.losses:
                print(f"step {step} loss {loss.item():.6f}", flush=True)
                if step == args.losses:
                    return
        model.eval()
        with torch.no_grad():
            right = (model(test_x).argmax(-1) == test_y).float().mean().item()
        model.train()
        each = (time.perf_counter() - start) / seen
        print(f"epoch {epoch + 1}: loss {total.item() / seen:.4f}, accuracy {right:.4f}, {each * 1e3:.1f} ms a step", flush=True)
    print(f"first step after {first[1]:.2f} s, {step} steps in {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
