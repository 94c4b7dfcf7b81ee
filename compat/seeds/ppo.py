# Proximal policy optimisation on a small corridor: several environments, generalised advantages, clipped ratios, running statistics.
# slow
# digits: 3
import random
from collections import defaultdict

import numpy as np
import torch
import torch.nn as nn
from torch.distributions import Categorical, Normal

random.seed(0)
np.random.seed(0)
torch.manual_seed(0)


class Corridor:
    def __init__(self, n=6):
        self.n, self.rng = n, np.random.default_rng(0)

    def reset(self):
        self.pos, self.t = 0, 0
        return self._obs()

    def _obs(self):
        o = np.zeros(self.n, dtype=np.float32)
        o[self.pos] = 1.0
        return o + self.rng.normal(0, 0.01, self.n).astype(np.float32)

    def step(self, a):
        self.pos = max(0, self.pos + (1 if a == 1 else -1))
        self.t += 1
        done = self.pos == self.n - 1 or self.t >= 12
        reward = 1.0 if self.pos == self.n - 1 else -0.01
        return self._obs(), reward, done, {}


class RunningNorm:
    def __init__(self, shape):
        self.mean, self.var, self.count = torch.zeros(shape), torch.ones(shape), 1e-4

    def __call__(self, x):
        n = x.shape[0]
        delta = x.mean(0) - self.mean
        total = self.count + n
        self.mean += delta * n / total
        m2 = self.var * self.count + x.var(0, unbiased=False) * n + delta**2 * self.count * n / total
        self.var, self.count = m2 / total, total
        return ((x - self.mean) / torch.sqrt(self.var + 1e-8)).clamp_(-5, 5)


def layer(i, o, gain=2**0.5):
    m = nn.Linear(i, o)
    nn.init.orthogonal_(m.weight, gain)
    nn.init.constant_(m.bias, 0.0)
    return m


class Agent(nn.Module):
    def __init__(self, n, actions=2):
        super().__init__()
        self.critic = nn.Sequential(layer(n, 16), nn.Tanh(), layer(16, 1, 1.0))
        self.actor = nn.Sequential(layer(n, 16), nn.Tanh(), layer(16, actions, 0.01))

    def act(self, x, action=None):
        d = Categorical(logits=self.actor(x))
        action = d.sample() if action is None else action
        return action, d.log_prob(action), d.entropy(), self.critic(x).squeeze(-1)


envs, T, gamma, lam, clip = [Corridor() for _ in range(4)], 8, 0.99, 0.95, 0.2
agent = Agent(6)
opt = torch.optim.Adam(agent.parameters(), lr=5e-3, eps=1e-5)
norm = RunningNorm(6)
obs = torch.as_tensor(np.stack([e.reset() for e in envs]))
for update in range(3):
    buf = defaultdict(list)
    with torch.no_grad():
        for _ in range(T):
            x = norm(obs)
            a, logp, _, v = agent.act(x)
            nxt, rew, done, _ = zip(*(e.step(i) for e, i in zip(envs, a.numpy())))
            nxt = [e.reset() if d else o for e, o, d in zip(envs, nxt, done)]
            for k, item in dict(x=x, a=a, logp=logp, v=v, r=torch.tensor(rew, dtype=torch.float32), d=torch.from_numpy(np.array(done)).float()).items():
                buf[k].append(item)
            obs = torch.from_numpy(np.asarray(nxt))
        last = agent.critic(norm(obs)).squeeze(-1)
    b = {k: torch.stack(v) for k, v in buf.items()}
    adv, gae = torch.zeros_like(b["r"]), 0
    for t in reversed(range(T)):
        nv = last if t == T - 1 else b["v"][t + 1]
        delta = b["r"][t] + gamma * nv * (1 - b["d"][t]) - b["v"][t]
        adv[t] = gae = delta + gamma * lam * (1 - b["d"][t]) * gae
    ret = adv + b["v"]
    flat = {k: v.reshape(-1, *v.shape[2:]) for k, v in b.items()}
    fadv, fret = adv.flatten(), ret.flatten()
    fracs = []
    for _ in range(2):
        for idx in torch.randperm(32).chunk(4):
            _, logp, ent, v = agent.act(flat["x"][idx], flat["a"][idx])
            ratio = (logp - flat["logp"][idx]).exp()
            A = fadv[idx]
            A = (A - A.mean()) / (A.std() + 1e-8)
            pg = torch.max(-A * ratio, -A * torch.clamp(ratio, 1 - clip, 1 + clip)).mean()
            vclip = flat["v"][idx] + (v - flat["v"][idx]).clamp(-clip, clip)
            vl = 0.5 * torch.maximum((v - fret[idx]) ** 2, (vclip - fret[idx]) ** 2).mean()
            loss = pg + 0.5 * vl - 0.01 * ent.mean()
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            opt.step()
            fracs.append(((ratio - 1).abs() > clip).float().mean().item())
    ev = 1 - (fret - flat["v"]).var() / fret.var()
    print(f"{update} pg {pg.item():.4f} v {vl.item():.4f} ent {ent.mean().item():.4f} clipped {np.mean(fracs):.3f} explained {ev:.3f} reward {b['r'].sum():.2f}")
print(norm.mean, norm.var, agent.actor[0].weight.pow(2).sum())
g = Normal(torch.zeros(2), torch.full((2,), 0.5))
u = g.rsample()
print(u.tanh(), (g.log_prob(u) - torch.log(1 - u.tanh().pow(2) + 1e-6)).sum(-1), g.entropy().sum())
