# Expectation maximisation, Hamiltonian Monte Carlo and transformed distributions.
# slow
# digits: 3
import torch, math
import torch.distributions as D

torch.manual_seed(0)
data = D.MixtureSameFamily(D.Categorical(torch.tensor([0.3, 0.7])), D.Normal(torch.tensor([-2.0, 1.0]), torch.tensor([0.5, 1.0]))).sample(
    (60,)
)
pi, mu, sd = torch.full((2,), 0.5), torch.tensor([-1.0, 0.5]), torch.ones(2)
for i in range(5):
    logp = D.Normal(mu, sd).log_prob(data[:, None]) + pi.log()
    r = torch.softmax(logp, -1)
    n = r.sum(0)
    pi, mu = n / len(data), (r * data[:, None]).sum(0) / n
    sd = ((r * (data[:, None] - mu) ** 2).sum(0) / n).sqrt()
    print(i, f"{logp.logsumexp(-1).sum():.3f}", pi, mu, sd)


def logpost(w):
    return D.Normal(w[0], w[1].exp()).log_prob(data).sum() + D.Normal(0.0, 2.0).log_prob(w).sum()


w = torch.zeros(2)
acc = 0
chain = []
for i in range(30):
    w = w.detach().requires_grad_()
    p = torch.randn(2)
    h0 = -logpost(w) + 0.5 * p @ p
    q, m = w, p
    (g,) = torch.autograd.grad(logpost(q), q)
    for _ in range(3):
        m = m + 0.5 * 0.05 * g
        q = (q + 0.05 * m).detach().requires_grad_()
        (g,) = torch.autograd.grad(logpost(q), q)
        m = m + 0.5 * 0.05 * g
    if torch.rand(()).log() < h0 - (-logpost(q) + 0.5 * m @ m):
        w = q
        acc += 1
    chain.append(w.detach())
chain = torch.stack(chain)
print(acc, chain.mean(0), torch.cov(chain.T), torch.corrcoef(chain.T)[0, 1])
flow = D.TransformedDistribution(
    D.Normal(torch.zeros(2), torch.ones(2)), [D.transforms.AffineTransform(1.0, 2.0), D.transforms.TanhTransform(cache_size=1)]
)
s = flow.rsample((3,))
print(s, flow.log_prob(s))
print(
    D.kl_divergence(D.Beta(2.0, 3.0), D.Beta(1.0, 1.0)),
    D.Dirichlet(torch.ones(3)).entropy(),
    D.Poisson(3.0).log_prob(torch.tensor([0.0, 2.0])),
    D.Gamma(2.0, 1.0).cdf(torch.tensor(1.0)) if False else D.Exponential(2.0).cdf(torch.tensor(1.0)),
)
print(D.Categorical(probs=torch.tensor([0.2, 0.8])), D.Independent(D.Normal(torch.zeros(3), 1.0), 1), D.StudentT(3.0).variance)
