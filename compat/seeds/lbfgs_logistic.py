# Logistic regression by LBFGS with a closure, and its Hessian.
# slow
# digits: 3
import torch

torch.manual_seed(0)
X = torch.randn(80, 4)
w_true = torch.tensor([1.0, -2.0, 0.0, 0.5])
y = (X @ w_true + 0.3 > 0).double().float()
w = torch.zeros(4, requires_grad=True)
b = torch.zeros((), requires_grad=True)
opt = torch.optim.LBFGS([w, b], lr=1, max_iter=10, history_size=5, tolerance_grad=1e-6)
calls = 0


def closure():
    global calls
    calls += 1
    opt.zero_grad()
    l = torch.nn.functional.binary_cross_entropy_with_logits(X @ w + b, y) + 0.05 * w.square().sum()
    l.backward()
    return l


for i in range(3):
    print(i, f"{opt.step(closure).item():.5f}", calls)
acc = ((X @ w + b > 0) == y.bool()).float().mean()
print(acc, w.detach(), b, w.grad.abs().max() < 1e-3)
H = torch.autograd.functional.hessian(lambda v: torch.nn.functional.binary_cross_entropy_with_logits(X @ v, y), w.detach())
print(H.shape, torch.linalg.eigvalsh(H))
