# Policy gradients on a small grid: categorical actions, returns, entropy.
# digits: 3
import torch, torch.nn as nn
from torch.distributions import Categorical

torch.manual_seed(3)
N = 4


class Grid:
    def reset(self):
        self.pos = torch.tensor([0, 0])
        return self.obs()

    def obs(self):
        return nn.functional.one_hot(self.pos[0] * N + self.pos[1], N * N).float()

    def step(self, a):
        self.pos = (self.pos + torch.tensor([[0, 1], [1, 0], [0, -1], [-1, 0]])[a]).clamp_(0, N - 1)
        done = bool((self.pos == N - 1).all())
        return self.obs(), (1.0 if done else -0.05), done


policy = nn.Sequential(nn.Linear(N * N, 16), nn.ReLU(), nn.Linear(16, 4))
opt = torch.optim.Adam(policy.parameters(), 1e-2)
env = Grid()
for episode in range(4):
    o, logps, rewards, ents = env.reset(), [], [], []
    for t in range(12):
        dist = Categorical(logits=policy(o))
        a = dist.sample()
        logps.append(dist.log_prob(a))
        ents.append(dist.entropy())
        o, r, done = env.step(a.item())
        rewards.append(r)
        if done:
            break
    returns, R = [], 0.0
    for r in reversed(rewards):
        R = r + 0.99 * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + 1e-8)
    loss = torch.stack([-l * R for l, R in zip(logps, returns)]).sum() - 0.01 * sum(ents)
    opt.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    opt.step()
    print(episode, len(rewards), f"{loss.item():.4f} {norm:.4f}", env.pos.tolist())
