# digits: 4
# einsum: elementwise formulas with sums over the indices that only stand on the left.
import torch

torch.manual_seed(0)
A, B = torch.tensor([[1, 2], [3, 4.0]]), torch.tensor([[5, 6], [7, 8.0]])
print(A @ B, torch.einsum("ik,kj->ij", [A, B]), torch.einsum("ik,kj->ij", A, B))


def check(equation, expected, *operands):
    got = torch.einsum(equation, *operands)
    print(equation, [tuple(o.shape) for o in operands], "->", tuple(got.shape), torch.allclose(got, expected, atol=1e-5))
    return got


A = torch.randn(3, 4, 5)
check("ijk->ikj", torch.permute(A, [0, 2, 1]), A)
A = torch.randn(5, 5)
check("ii->i", torch.diagonal(A), A)
check("ii", torch.trace(A), A)
A = torch.randn(4, 5)
check("ij->i", torch.sum(A, 1), A)
check("ij->", A.sum(), A)
A, B = torch.randn(5, 5), torch.randn(5, 5)
print(check("ij,ij->ij", A * B, A, B))
A, B = torch.randn(10), torch.randn(10)
print(check("i,i->", torch.dot(A, B), A, B))
A, B = torch.randn(10), torch.randn(5)
check("i,j->ij", torch.outer(A, B), A, B)
A, B = torch.randn(5, 4), torch.randn(4, 6)
check("ik,kj->ij", torch.matmul(A, B), A, B)
check("ik,kj", torch.matmul(A, B), A, B)
A, B = torch.randn(3, 4, 5), torch.randn(4, 3, 6)
print(check("ijk,jih->kh", torch.tensordot(A, B, dims=[(0, 1), (1, 0)]), A, B))
A, B = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 5, 6)
check("...ij,...jk->...ik", A @ B, A, B)

q, k, W, b = torch.randn(10), torch.randn(10), torch.randn(5, 10, 10), torch.randn(5)
a = torch.bilinear(q, k, W, b)
print("bilinear", a.shape, torch.allclose(a, torch.einsum("q,oqk,k->o", q, W, k) + b, atol=1e-4))
Q, K = torch.randn(8, 10), torch.randn(8, 10)
A = torch.einsum("bq,oqk,bk->bo", Q, W, K) + b
print("with a batch", A.shape, torch.allclose(A, torch.bilinear(Q, K, W, b), atol=1e-4), A[0])

q, k = torch.randn(10), torch.randn(6, 10)
print("attention", torch.softmax(q @ k.t() / k.shape[-1], -1))
Q, K = torch.randn(8, 10), torch.randn(8, 6, 10)
A = torch.softmax(torch.einsum("in,ijn->ij", Q, K) / K.shape[-1], -1)
print(A.shape, A.sum(-1), A[2])

x, y = torch.randn(3, 4, requires_grad=True), torch.randn(4, 2, requires_grad=True)
torch.einsum("ij,jk->ik", x, y).pow(2).sum().backward()
print(x.grad, y.grad)
try:
    torch.einsum("ij,jk->ik", torch.zeros(2, 3), torch.zeros(2, 3))
except RuntimeError as e:
    print("RuntimeError:", e)
Q, K, W, b = torch.randn(80, 100), torch.randn(80, 100), torch.randn(50, 100, 100), torch.randn(50)
print(torch.allclose(torch.bilinear(Q, K, W, b), torch.einsum("bq,oqk,bk->bo", Q, W, K) + b, atol=1e-2))
