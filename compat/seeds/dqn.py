# Q-learning with a replay memory: gathered values, a target network that follows slowly.
# digits: 3
import torch, random, collections, copy, math
from torch import nn

random.seed(0)
torch.manual_seed(0)
Tr = collections.namedtuple("Tr", "s a r s2 d")
q = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 3))
tgt = copy.deepcopy(q).requires_grad_(False)
opt = torch.optim.AdamW(q.parameters(), 1e-3, amsgrad=True)
mem = collections.deque(maxlen=200)


def env(s, a):
    v = s[1] + (a - 1) * 0.1 - 0.02 * math.cos(3 * s[0])
    p = s[0] + v
    return (max(-1.2, min(0.6, p)), v), -1.0, p > 0.5


s, eps, losses = (-0.5, 0.0), 1.0, []
for t in range(60):
    a = random.randrange(3) if random.random() < eps else q(torch.tensor([s])).max(1).indices.item()
    s2, r, d = env(s, a)
    mem.append(Tr(s, a, r, s2, d))
    s = (-0.5, 0.0) if d else s2
    eps *= 0.97
    if len(mem) >= 16:
        b = Tr(*zip(*random.sample(list(mem), 16)))
        S, A_, R, S2, Dn = torch.tensor(b.s), torch.tensor(b.a).unsqueeze(1), torch.tensor(b.r), torch.tensor(b.s2), torch.tensor(b.d)
        with torch.no_grad():
            y = R + 0.95 * tgt(S2).max(1)[0] * (~Dn)
        loss = nn.SmoothL1Loss()(q(S).gather(1, A_).squeeze(1), y)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(q.parameters(), 100)
        opt.step()
        losses.append(loss.item())
        for tp, p in zip(tgt.parameters(), q.parameters()):
            tp.data.mul_(0.99).add_(p.data, alpha=0.01)
print(len(losses), f"{losses[0]:.4f} {losses[20]:.4f} {losses[-1]:.4f}", f"{eps:.3f}")
print(torch.nn.utils.parameters_to_vector(tgt.parameters()).norm(), S.dtype, A_.dtype, Dn.dtype)
