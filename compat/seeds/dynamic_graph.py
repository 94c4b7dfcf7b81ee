# The graph is built while the forward runs, and given up by backward.
import torch

torch.manual_seed(0)
w = torch.tensor([[3.0, 1.0]], requires_grad=True)
b = torch.tensor([[3.0]], requires_grad=True)
x, y = torch.randn(10, 2), torch.randn(10, 1)
y_hat = x @ w.t() + b
loss = torch.mean(torch.pow(y_hat - y, 2))
print(loss.data)
print(y_hat.data)
print(loss.grad_fn.name(), y_hat.grad_fn.name(), [f.name() for f, _ in y_hat.grad_fn.next_functions])
loss.backward()
print(w.grad, b.grad)
try:
    loss.backward()
except RuntimeError as e:
    print("RuntimeError:", str(e)[:100])
again = torch.mean(torch.pow(x @ w.t() + b - y, 2))
again.backward(retain_graph=True)
again.backward()
print(w.grad, b.grad)
w.grad.zero_()
(g,) = torch.autograd.grad(((x @ w.t() + b) ** 2).mean(), w)
print(g, w.grad)
