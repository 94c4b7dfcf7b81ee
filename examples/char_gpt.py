"""A character GPT trained on the standard library's own source text, then asked to write some.

Plain PyTorch: ``python examples/char_gpt.py`` with torch installed, ``python -m jtorch examples/char_gpt.py`` without.
"""

import argparse
import math
import sys
import sysconfig
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm


class Block(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout))

    def forward(self, x):                                                          # (B, T, C)
        B, T, C = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)  # each (B, H, T, C/H)
        scores = q @ k.transpose(-2, -1) / math.sqrt(C // self.heads)              # (B, H, T, T)
        later = torch.ones(T, T, dtype=torch.bool, device=x.device).triu(1)        # (T, T): what a position may not see
        weights = F.dropout(scores.masked_fill(later, float("-inf")).softmax(-1), self.dropout, self.training)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(B, T, C))           # (B, T, C)
        return x + self.mlp(self.norm2(x))                                         # (B, T, C)


class GPT(nn.Module):
    def __init__(self, vocabulary, length, layers=4, width=256, heads=8, dropout=0.1):
        super().__init__()
        self.length = length
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.apply(self.initialise)

    @staticmethod
    def initialise(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, ids):                                                        # (B, T)
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))  # (B, T, C)
        x = self.drop(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))                                             # (B, T, V)

    @torch.no_grad()
    def write(self, ids, count, temperature=0.8, top=20):
        """Append ``count`` sampled tokens. The window keeps one length, so that one program serves every step."""
        self.eval()
        window = F.pad(ids, (0, self.length - ids.shape[1]))                       # (1, T)
        used = ids.shape[1]
        written = []
        for _ in range(count):
            logits = self(window)[:, used - 1] / temperature                       # (1, V)
            values, index = logits.topk(top)                                       # (1, top)
            chosen = index.gather(1, torch.multinomial(values.softmax(-1), 1))     # (1, 1)
            written.append(chosen)
            if used < self.length:
                window[:, used] = chosen[:, 0]
                used += 1
            else:
                window = torch.cat([window[:, 1:], chosen], 1)
        self.train()
        return torch.cat([ids, *written], 1)


def read_text(limit):
    """Source text found on any machine: modules of the standard library in alphabetical order."""
    folder, text = Path(sysconfig.get_paths()["stdlib"]), ""
    for path in sorted(folder.glob("*.py")):
        text += path.read_text(encoding="utf-8", errors="ignore")
        if len(text) >= limit:
            break
    return "".join(c if c == "\n" or " " <= c <= "~" else " " for c in text[:limit])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--sample", type=int, default=300, help="characters to write at the end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--losses", type=int, default=0, help="print the loss of this many first steps, and stop")
    args = parser.parse_args()
    steps = args.losses or args.steps

    torch.manual_seed(args.seed)
    text = read_text(1_000_000)
    letters = sorted(set(text))
    number = {c: i for i, c in enumerate(letters)}
    data = torch.tensor([number[c] for c in text])                                 # (N,)
    model = GPT(len(letters), args.length, args.layers, args.width, args.heads, args.dropout)
    decay = [p for p in model.parameters() if p.dim() >= 2]
    plain = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}], lr=args.lr, betas=(0.9, 0.95))
    warm = min(20, steps)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: (s + 1) / warm if s < warm else 0.5 + 0.5 * math.cos(math.pi * (s - warm) / max(1, steps - warm)))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(text):,} characters, {len(letters)} letters")

    begin = start = time.perf_counter()
    bar = tqdm(range(steps), file=sys.stderr, leave=False, disable=None if not args.losses else True)
    for step in bar:
        at = torch.randint(len(data) - args.length - 1, (args.batch,))             # (B,)
        window = data[at[:, None] + torch.arange(args.length + 1)]                 # (B, T + 1)
        x, y = window[:, :-1], window[:, 1:]                                       # (B, T) each
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if step == 0:
            first = loss.item(), time.perf_counter() - begin
            start = time.perf_counter()
        if args.losses:
            print(f"step {step + 1} loss {loss.item():.6f}", flush=True)
        elif step % 20 == 0 or step == steps - 1:
            bar.set_postfix_str(f"loss {loss.item():.3f}")
            if step % 100 == 0 or step == steps - 1:
                tqdm.write(f"step {step}: loss {loss.item():.4f}", file=sys.stdout)
    if args.losses:
        return
    each = (time.perf_counter() - start) / max(1, steps - 1)
    print(f"first step after {first[1]:.2f} s, then {each * 1e3:.1f} ms a step, {args.batch * args.length / each:,.0f} characters/s")
    if args.sample:
        prompt = "def "
        ids = model.write(torch.tensor([[number[c] for c in prompt]]), args.sample)
        print("-" * 60 + "\n" + "".join(letters[i] for i in ids[0].tolist()))


if __name__ == "__main__":
    main()
