# A Gaussian process in float64: Cholesky factors, marginal likelihood by LBFGS, predictions.
# slow
# isolated
# digits: 3
import torch, math

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
X = torch.linspace(0, 1, 12).unsqueeze(-1)
y = torch.sin(6 * X).squeeze() + 0.1 * torch.randn(12)
raw = torch.nn.ParameterDict({"ls": torch.tensor(-1.0), "var": torch.tensor(0.0), "noise": torch.tensor(-2.0)})
sp = torch.nn.functional.softplus


def kern(a, b):
    return sp(raw["var"]) * torch.exp(-0.5 * ((a[:, None] - b[None]) / sp(raw["ls"])).square().sum(-1))


opt = torch.optim.LBFGS(raw.parameters(), lr=0.5, max_iter=8, line_search_fn="strong_wolfe")


def nll():
    K = kern(X, X) + sp(raw["noise"]) * torch.eye(len(X))
    L = torch.linalg.cholesky(K)
    a = torch.cholesky_solve(y[:, None], L)
    return 0.5 * y @ a.squeeze() + L.diagonal().log().sum() + 0.5 * len(X) * math.log(2 * math.pi)


def closure():
    opt.zero_grad()
    l = nll()
    l.backward()
    return l


for i in range(3):
    print(i, f"{opt.step(closure):.4f}")
with torch.no_grad():
    Xs = torch.tensor([[0.05], [0.5], [1.5]])
    L = torch.linalg.cholesky(kern(X, X) + sp(raw["noise"]) * torch.eye(len(X)))
    Ks = kern(X, Xs)
    mean = Ks.T @ torch.cholesky_solve(y[:, None], L)
    v = torch.linalg.solve_triangular(L, Ks, upper=False)
    print(mean.flatten(), (kern(Xs, Xs) - v.T @ v).diagonal().clamp_min(0).sqrt())
    mvn = torch.distributions.MultivariateNormal(mean.flatten(), kern(Xs, Xs) - v.mT @ v + 1e-6 * torch.eye(3))
    print(mvn.sample((2,)).shape, mvn.entropy(), torch.logdet(mvn.covariance_matrix))
print({k: round(v.item(), 3) for k, v in raw.items()}, raw)
