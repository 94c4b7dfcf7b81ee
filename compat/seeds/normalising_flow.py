# A normalising flow: coupling layers as transforms of a distribution, and the same written by hand.
# slow
# digits: 3
import torch
import torch.distributions as D
from torch import nn
from torch.distributions import constraints, transforms as T

torch.manual_seed(0)


class Coupling(T.Transform, nn.Module):
    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, dim, flip):
        nn.Module.__init__(self)
        T.Transform.__init__(self, cache_size=1)
        self.flip, self.half = flip, dim // 2
        self.net = nn.Sequential(nn.Linear(self.half, 16), nn.Tanh(), nn.Linear(16, 2 * (dim - self.half)))
        nn.init.zeros_(self.net[-1].weight)

    __hash__ = nn.Module.__hash__

    def _parts(self, x):
        a, b = x[..., : self.half], x[..., self.half :]
        return (b, a) if self.flip else (a, b)

    def _join(self, a, b):
        return torch.cat((b, a) if self.flip else (a, b), -1)

    def _call(self, x):
        a, b = self._parts(x)
        s, t = self.net(a).chunk(2, -1)
        s = torch.tanh(s)
        self._s = s
        return self._join(a, b * s.exp() + t)

    def _inverse(self, y):
        a, b = self._parts(y)
        s, t = self.net(a).chunk(2, -1)
        s = torch.tanh(s)
        self._s = s
        return self._join(a, (b - t) * (-s).exp())

    def log_abs_det_jacobian(self, x, y):
        return self._s.sum(-1)


def moons(n):
    a = torch.rand(n) * torch.pi
    up = torch.rand(n) < 0.5
    x = torch.where(up[:, None], torch.stack((a.cos(), a.sin()), 1), torch.stack((1 - a.cos(), 0.5 - a.sin()), 1))
    return x + 0.1 * torch.randn(n, 2)


layers = nn.ModuleList(Coupling(2, i % 2 == 1) for i in range(2))
loc, scale = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(2))
base = D.Independent(D.Normal(torch.zeros(2), torch.ones(2)), 1)
opt = torch.optim.Adam([*layers.parameters(), loc, scale], lr=1e-2)
x = moons(128)
for step in range(12):
    flow = D.TransformedDistribution(base, [*layers, T.AffineTransform(loc, scale, event_dim=1)])
    loss = -flow.log_prob(x).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 3 == 0:
        print(f"{step} nll {loss.item():.4f} loc {loc.tolist()[0]:.4f}")
print(flow.event_shape, flow.batch_shape, flow.support, flow.sample((5,)).shape, flow.rsample((3,)).requires_grad)
z = T.ComposeTransform(flow.transforms)
with torch.no_grad():
    back = z.inv(x)
    print(torch.allclose(z(back), x, atol=1e-4), back.mean(0), back.std(0))

ln = D.TransformedDistribution(D.Normal(0.5, 0.7), T.ExpTransform())
print(ln.log_prob(torch.tensor(2.0)), D.LogNormal(0.5, 0.7).log_prob(torch.tensor(2.0)), ln.cdf(torch.tensor(1.0)), ln.icdf(torch.tensor(0.3)))
logistic = D.TransformedDistribution(D.Uniform(0, 1), [T.SigmoidTransform().inv, T.AffineTransform(1.0, 2.0)])
print(logistic.log_prob(torch.tensor([0.0, 1.0, 4.0])), logistic)
sb = T.StickBreakingTransform()
w = sb(torch.tensor([0.2, -0.3, 0.5]))
print(w, w.sum(), sb.inv(w), sb.log_abs_det_jacobian(torch.tensor([0.2, -0.3, 0.5]), w))
ch = T.CorrCholeskyTransform()(torch.tensor([0.1, 0.2, -0.4]))
print(ch, (ch @ ch.T).diagonal())
print(D.biject_to(constraints.simplex), D.transform_to(constraints.interval(0, 2))(torch.tensor(0.3)))
print(T.TanhTransform()(torch.tensor(0.4)), T.PowerTransform(torch.tensor(2.0)).inv(torch.tensor(9.0)), T.ReshapeTransform((4,), (2, 2))(torch.arange(4.0)))
for bad in (lambda: D.Normal(0.0, -1.0), lambda: D.Categorical(probs=torch.tensor([-1.0, 2.0])), lambda: D.Normal(0.0, 1.0).log_prob("a")):
    try:
        bad()
    except Exception as e:
        print(type(e).__name__, str(e)[:60])
