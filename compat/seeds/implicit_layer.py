# A deep equilibrium layer with the implicit function's gradient, fitted by LBFGS; Newton's method, torch.func.
# slow
# isolated
# digits: 4
import torch
import torch.nn as nn
from torch.autograd.functional import hessian, jacobian, hvp, jvp, vjp

torch.manual_seed(2)
torch.set_default_dtype(torch.float64)
torch.set_printoptions(precision=6)


class FixedPoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w, x, b):
        z = torch.zeros_like(x)
        for i in range(60):
            new = torch.tanh(z @ w + x + b)
            if (new - z).norm() < 1e-12:
                break
            z = new
        ctx.save_for_backward(w, x, b, z)
        ctx.steps = i
        return z

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        w, x, b, z = ctx.saved_tensors
        with torch.enable_grad():
            w, x, b, z = (t.detach().requires_grad_() for t in (w, x, b, z))
            f = torch.tanh(z @ w + x + b)
        u = g
        for _ in range(60):
            u = g + torch.autograd.grad(f, z, u, retain_graph=True)[0]
        return torch.autograd.grad(f, (w, x, b), u)


class DEQ(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.w = nn.Parameter(torch.randn(n, n) * 0.2 / n**0.5)
        self.b = nn.Parameter(torch.zeros(n))
        self.inp, self.out = nn.Linear(1, n), nn.Linear(n, 1)

    def forward(self, x):
        return self.out(FixedPoint.apply(self.w, self.inp(x), self.b))


w = (torch.randn(3, 3) * 0.2).requires_grad_()
xx, bb = torch.randn(2, 3, requires_grad=True), torch.randn(3, requires_grad=True)
print(torch.autograd.gradcheck(FixedPoint.apply, (w, xx, bb), atol=1e-6))
m = DEQ(8)
x = torch.linspace(-2, 2, 40).unsqueeze(1)
y = torch.sin(2 * x) + 0.3 * x
opt = torch.optim.LBFGS(m.parameters(), lr=0.8, max_iter=6, history_size=5, line_search_fn="strong_wolfe", tolerance_grad=1e-9)
calls = 0
for epoch in range(6):
    def closure():
        global calls
        calls += 1
        opt.zero_grad()
        loss = ((m(x) - y) ** 2).mean()
        loss.backward()
        return loss
    loss = opt.step(closure)
    print(epoch, calls, f"{loss.item():.8f}", opt.state_dict()["state"][0]["func_evals"], opt.state_dict()["state"][0]["n_iter"])


def rosen(v):
    return (100 * (v[1:] - v[:-1] ** 2) ** 2 + (1 - v[:-1]) ** 2).sum()


v = torch.tensor([1.2, 0.9, 1.1])
for i in range(5):
    h, g = hessian(rosen, v), jacobian(rosen, v)
    step = torch.linalg.solve(h + 1e-3 * torch.eye(3), g)
    v = v - step
    print(i, rosen(v).item() < 10, f"{rosen(v).item():.6e}", v)
print(h, torch.linalg.eigvalsh(h), torch.linalg.cond(h))
print(hvp(rosen, v, torch.ones(3))[1], jvp(rosen, v, torch.ones(3)), vjp(lambda t: t.cumsum(0) ** 2, v, torch.ones(3))[1])
from torch.func import grad, jacfwd, jacrev, vmap, hessian as fh, functional_call
f = lambda p, t: functional_call(m.out, p, (t,)).squeeze()
ps = {k: q.detach() for k, q in m.out.named_parameters()}
per = vmap(grad(lambda p, t: f(p, t) ** 2), in_dims=(None, 0))(ps, torch.randn(4, 8))
print({k: t.shape for k, t in per.items()}, per["bias"])
print(jacfwd(jacrev(rosen))(v), vmap(fh(rosen))(torch.stack([v, v * 2]))[1])
lam = torch.tensor(0.1, requires_grad=True)
A = torch.randn(6, 3); t = torch.randn(6)
beta = torch.linalg.solve(A.T @ A + lam * torch.eye(3), A.T @ t)
val = ((A @ beta - t) ** 2).sum()
val.backward()
print(val, lam.grad, torch.linalg.lstsq(A, t.unsqueeze(1)).solution.T)
