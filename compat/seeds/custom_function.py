# A Function of one's own: forward and backward in one class.
import torch


class Rectify(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input


w = torch.tensor([[3.0, 1.0]], requires_grad=True)
b = torch.tensor([[3.0]], requires_grad=True)
x = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
y = torch.tensor([[2.0, 3.0]])
rectify = Rectify.apply
y_hat = rectify(x @ w.t() + b)
loss = torch.mean(torch.pow(y_hat - y, 2))
loss.backward()
print(w.grad, b.grad)
print(type(y_hat.grad_fn).__name__, y_hat)


class Power(torch.autograd.Function):
    """Keeps a number on ctx; says which inputs want a gradient."""

    @staticmethod
    def forward(ctx, x, n):
        ctx.n = n
        ctx.save_for_backward(x)
        return x**n

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        print("needs", ctx.needs_input_grad)
        return g * ctx.n * x ** (ctx.n - 1), None


v = torch.tensor([1.0, 2.0], requires_grad=True)
Power.apply(v, 3).sum().backward()
print(v.grad)
(first,) = torch.autograd.grad(Power.apply(v, 3).sum(), v, create_graph=True)
(second,) = torch.autograd.grad(first.sum(), v)
print(first, second)
