# Factorizations, their gradients and their errors, statistics and special functions.
# slow
# isolated
# digits: 4
import torch

torch.manual_seed(13)
torch.set_printoptions(precision=5, sci_mode=False, linewidth=120)
A = torch.randn(6, 4, dtype=torch.float64)
B = torch.randn(4, 4, dtype=torch.complex128)
S = A.T @ A + torch.eye(4, dtype=torch.float64)
u, s, vh = torch.linalg.svd(A, full_matrices=False)
print(s, torch.dist(u @ torch.diag(s) @ vh, A).item() < 1e-12, torch.linalg.matrix_rank(A[:, :1] @ A[:1]), torch.linalg.svdvals(B))
e, v = torch.linalg.eigh(S)
print(e, (v.abs()), torch.linalg.eigvals(A[:4]).abs().sort().values)
q, r = torch.linalg.qr(A)
A = A + 0.0
print(r.abs().diagonal(), (q.T @ q).round(decimals=4).abs())
L, info = torch.linalg.cholesky_ex(S)
print(L + 0.0, info, torch.cholesky_inverse(L), torch.linalg.cholesky_ex(-S)[1])
print(torch.linalg.slogdet(S), torch.linalg.det(B), torch.logdet(S), torch.linalg.cond(S), torch.linalg.cond(S, 1), torch.linalg.norm(A, "nuc"), torch.linalg.norm(A, -2), torch.linalg.vector_norm(A, 3, dim=0))
print(torch.linalg.pinv(A) @ A - torch.eye(4) < 1e-9, torch.linalg.matrix_exp(S / 10), torch.linalg.matrix_power(S, -2))
sol = torch.linalg.lstsq(A, torch.ones(6, 2, dtype=torch.float64), driver="gelsd")
print(sol.solution, sol.rank, sol.singular_values, sol.residuals)
lu, piv = torch.linalg.lu_factor(S)
P, Lo, U = torch.lu_unpack(lu, piv)
print(piv, P, torch.linalg.lu_solve(lu, piv, torch.ones(4, 1, dtype=torch.float64)), U)
print(torch.linalg.solve_triangular(U, torch.eye(4, dtype=torch.float64), upper=True), torch.triangular_solve(torch.ones(4, 1, dtype=torch.float64), L, upper=False)[0].T)
print(torch.linalg.householder_product(*torch.geqrf(A))[:2].abs(), torch.linalg.ldl_factor(S)[1], torch.linalg.tensorinv(torch.eye(4).reshape(2, 2, 4), ind=2).shape, torch.linalg.multi_dot([A, S, A.T]).diagonal())
x = S.clone().requires_grad_()
for name, f in dict(
    svd=lambda x: torch.linalg.svd(x)[1].pow(2).sum(), eigh=lambda x: (torch.linalg.eigh(x)[1] ** 4).sum(), qr=lambda x: torch.linalg.qr(x)[1].abs().sum(), chol=lambda x: torch.linalg.cholesky(x).sum(),
    inv=lambda x: torch.linalg.inv(x).norm(), det=lambda x: x.det(), pinv=lambda x: torch.linalg.pinv(x).sum(), exp=lambda x: torch.matrix_exp(x / 20).trace(), lstsq=lambda x: torch.linalg.lstsq(x, x @ x).solution.sum(), eig=lambda x: torch.linalg.eigvals(x).abs().prod(),
    lu=lambda x: torch.linalg.lu(x)[2].sum(), cross=lambda x: torch.linalg.cross(x[:3], x[1:], dim=0).sum(), cdist=lambda x: torch.cdist(x, x[:2], p=1.5).sum(), logcumsumexp=lambda x: torch.logcumsumexp(x, 1).sum(), cummax=lambda x: torch.cummax(x, 1)[0].sum(), renorm=lambda x: torch.renorm(x, 2, 0, 1.5).sum(),
    trapz=lambda x: torch.trapezoid(x, dx=0.5).sum(), gradient=lambda x: torch.gradient(x, spacing=2.0, dim=0)[0].square().sum(), cov=lambda x: torch.cov(x).sum(), corr=lambda x: torch.corrcoef(x).abs().sum(), kron=lambda x: torch.kron(x[:2], x[2:]).square().sum(),
).items():  # fmt: skip
    (g,) = torch.autograd.grad(f(x), x)
    print(name, f"{f(x).item():.6f}", g[0])
for bad in (lambda: torch.linalg.inv(torch.zeros(2, 2)), lambda: torch.linalg.cholesky(-torch.eye(2)), lambda: torch.linalg.solve(torch.zeros(2, 2), torch.ones(2)), lambda: torch.linalg.eigh(torch.ones(2, 3)), lambda: torch.linalg.svd(torch.ones(3)), lambda: torch.linalg.inv(torch.ones(2, 2, dtype=torch.int64)), lambda: torch.linalg.cholesky(torch.stack([torch.eye(2), -torch.eye(2)]))):
    try:
        bad()
    except Exception as err:
        print(type(err).__name__, str(err).splitlines()[0])


def power(M, n=50):
    v = torch.ones(M.shape[0], dtype=M.dtype)
    for _ in range(n):
        v = M @ v
        v /= v.norm()
    return v @ M @ v


print(power(S), torch.lobpcg(S.float(), k=1, largest=True)[0].shape, torch.pca_lowrank(A.float(), q=2)[1].shape)
C = (A - A.mean(0)) / A.std(0, unbiased=False)
print(torch.cov(C.T, correction=0), torch.std_mean(A, dim=0, correction=1), torch.var(A, (0, 1)), torch.median(A, 0), A.mode(0).values, A.kthvalue(2, 0), A.aminmax(dim=1), torch.nanmedian(A), A.msort()[0], torch.special.entr(A.abs())[0])
for f in "erf erfc erfinv gammaln digamma i0 i1e sinc expit logit log_ndtr ndtri bessel_j0 bessel_y1 modified_bessel_k0 airy_ai spherical_bessel_j0 erfcx exp2 log1p xlog1py".split():
    fn = getattr(torch.special, f)
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    print(f, fn(t, t) if f == "xlog1py" else fn(t))
print(torch.special.zeta(torch.tensor(2.5), torch.tensor(1.0)), torch.special.polygamma(2, torch.tensor(1.5)), torch.special.gammainc(torch.tensor(1.5), torch.tensor(2.0)), torch.special.multigammaln(torch.tensor(3.0), 2), torch.special.chebyshev_polynomial_t(torch.tensor(0.3), 4), torch.special.hermite_polynomial_he(torch.tensor(0.3), 3), torch.frexp(torch.tensor([3.0, 0.1])), torch.ldexp(torch.tensor(1.0), torch.tensor(4)), torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)).item(), torch.hypot(torch.tensor(3.0), torch.tensor(4.0)), torch.gcd(torch.tensor(12), torch.tensor(18)), torch.remainder(torch.tensor([-5, 5]), 3), torch.fmod(torch.tensor([-5.5]), 3), torch.floor_divide(torch.tensor([-7]), 2))
