# A Vision Transformer: patches by a strided convolution, a class token, nn.TransformerEncoder, a cosine schedule with warmup.
# digits: 3
# slow
import math
from dataclasses import dataclass, field, asdict, replace

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Config:
    image: int = 16
    patch: int = 4
    channels: int = 3
    width: int = 32
    depth: int = 2
    heads: int = 4
    classes: int = 5
    dropout: float = 0.1
    betas: tuple = (0.9, 0.95)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32


class PatchEmbed(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.proj = nn.Conv2d(c.channels, c.width, c.patch, stride=c.patch)
        self.n = (c.image // c.patch) ** 2

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.embed = PatchEmbed(c)
        self.cls = nn.Parameter(torch.zeros(1, 1, c.width))
        self.pos = nn.Parameter(torch.empty(1, self.embed.n + 1, c.width))
        nn.init.trunc_normal_(self.pos, std=0.02)
        layer = nn.TransformerEncoderLayer(c.width, c.heads, 4 * c.width, c.dropout, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, c.depth, norm=nn.LayerNorm(c.width), enable_nested_tensor=False)
        self.head = nn.Linear(c.width, c.classes)
        self.apply(self._init)

    @staticmethod
    def _init(m):
        if isinstance(m, nn.Linear):
            nn.init.xavier_uniform_(m.weight)
            if m.bias is not None:
                nn.init.zeros_(m.bias)

    def forward(self, x):
        x = self.embed(x)
        x = torch.cat([self.cls.expand(x.size(0), -1, -1), x], dim=1) + self.pos
        return self.head(self.encoder(x)[:, 0])


def groups(model, decay):
    yes = [p for n, p in model.named_parameters() if p.ndim >= 2 and n not in ("cls", "pos")]
    no = [p for n, p in model.named_parameters() if p.ndim < 2 or n in ("cls", "pos")]
    return [{"params": yes, "weight_decay": decay}, {"params": no, "weight_decay": 0.0}]


torch.manual_seed(1)
cfg = replace(Config(), classes=4)
print(cfg)
print({k: str(v) for k, v in asdict(cfg).items()})
net = ViT(cfg).to(cfg.device, cfg.dtype)
print(net)
print(sum(p.numel() for p in net.parameters()), len(list(net.modules())), len(net.state_dict()))
opt = torch.optim.AdamW(groups(net, 0.05), lr=1e-3, betas=cfg.betas)
steps, warm = 8, 2
sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda t: (t + 1) / warm if t < warm else 0.5 * (1 + math.cos(math.pi * (t - warm) / (steps - warm))))
crit = nn.CrossEntropyLoss(label_smoothing=0.1)
x = torch.randn(16, 3, 16, 16)
y = torch.randint(0, cfg.classes, (16,))
x += F.one_hot(y, 16)[:, None, None, :].float() * 2
for t in range(steps):
    net.train()
    loss = crit(net(x), y)
    opt.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    opt.step()
    print(f"{t:2d} loss {loss.item():.4f} norm {norm:.3f} lr {sched.get_last_lr()[0]:.2e}")
    sched.step()
net.eval()
with torch.inference_mode():
    logits = net(x)
    top = logits.topk(3, dim=-1)
    print("top1", (logits.argmax(-1) == y).float().mean().item(), "top3", (top.indices == y[:, None]).any(-1).float().mean())
    print(logits.softmax(-1).max(-1).values.mean().item() > 0.2, logits.is_inference())
