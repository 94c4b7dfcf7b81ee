# digits: 3
# Matrices: products, inverse, trace, norm, determinant, eigenvalues, decompositions.
import torch
import torch.nn.functional as F

a, b = torch.tensor([[1, 2], [3, 4]]), torch.tensor([[2, 0], [0, 2]])
print(a @ b, torch.matmul(a, b), torch.mm(a, b))
torch.manual_seed(0)
p, q = torch.randn(5, 5, 6), torch.randn(5, 6, 4)
print((p @ q).shape, torch.allclose((p @ q)[2], p[2] @ q[2], atol=1e-5), torch.bmm(p, q).shape)
a = torch.tensor([[1.0, 2], [3, 4]])
print(a.t(), torch.inverse(a), torch.trace(a), torch.norm(a), torch.det(a), torch.linalg.matrix_rank(a))
try:
    torch.inverse(torch.tensor([[1, 2], [3, 4]]))
except RuntimeError as e:
    print("RuntimeError:", e)
a = torch.tensor([[1.0, 2], [-5, 4]], dtype=torch.float)
w, v = torch.linalg.eig(a)
print(sorted(w.tolist(), key=lambda z: z.imag), torch.dist(a.to(v.dtype) @ v, v * w) < 1e-5)
print(type(torch.linalg.eig(a)).__name__, torch.linalg.eigvalsh(torch.tensor([[2.0, 1.0], [1.0, 3.0]])))
a = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
u, s, vh = torch.linalg.svd(a)
print(s, u.shape, vh.shape, u.abs(), vh.abs())
print(u @ F.pad(torch.diag(s), (0, 0, 0, 1)) @ vh)
q, r = torch.linalg.qr(a)
print(torch.dist(q @ r, a) < 1e-5, torch.linalg.cholesky(a.t() @ a), torch.linalg.solve(a.t() @ a, a.t() @ torch.ones(3)))
centred = a - a.mean(0)
u, s, vh = torch.linalg.svd(centred, full_matrices=False)
print((centred @ vh[0]).abs(), s**2 / 2, torch.linalg.norm(a, dim=1), torch.outer(a[0], a[1]), torch.dot(a[0], a[1]))
