"""Small programs about sparse tensors, run with ``torch`` bound to real torch and to jtorch; both must print the same.

``show`` prints each result, or the exception's type and text (of "Could not run 'aten::...'" the part up to the operator's name, without the overload's).
"""

PRELUDE = """
import copy, io, re
F, nn = torch.nn.functional, torch.nn
torch.set_printoptions(precision=3)
def show(*fns):
    for f in fns:
        try: print(f())
        except Exception as e: print(type(e).__name__.replace("SparseMet", "NotImplementedError"), re.sub(r"Could not run .*", "Could not run", str(e), flags=re.S))
I, V = [[0, 1, 1], [2, 0, 2]], [3., 4., 5.]
def S(**k): return torch.sparse_coo_tensor(torch.tensor(I), torch.tensor(V), (2, 3), **k)
def C(**k): return torch.sparse_csr_tensor(torch.tensor([0, 1, 3]), torch.tensor([2, 0, 2]), torch.tensor(V), (2, 3), **k)
U = torch.sparse_coo_tensor([[0, 0, 1], [1, 1, 2]], [1., 2., 3.], (2, 3))
D = torch.arange(12.).reshape(3, 4)
"""

SNIPPETS: dict[str, str] = {
    "what it prints and says of itself": """
show(lambda: S(), lambda: U, lambda: U.coalesce(), lambda: S(requires_grad=True), lambda: S(requires_grad=True) * 2, lambda: S(dtype=torch.float64), lambda: torch.eye(2000).to_sparse())
show(lambda: type(S()) is torch.Tensor, lambda: (S().layout, S().is_sparse, S().is_sparse_csr, C().layout, C().is_sparse, C().is_sparse_csr), lambda: S().type(), lambda: C().type())
show(lambda: (S()._nnz(), S().sparse_dim(), S().dense_dim(), D.sparse_dim(), D.dense_dim(), S().numel(), S().shape, S().dim(), S().size(1), len(S())))
show(lambda: (S().is_coalesced(), U.coalesce().is_coalesced(), S(is_coalesced=True).is_coalesced(), S().stride(), S().is_contiguous(), S().is_same_size(U)))
show(lambda: S()._indices(), lambda: S()._values(), lambda: U.coalesce().indices(), lambda: U.coalesce().values(), lambda: torch.sparse_coo_tensor([[0, 2]], torch.ones(2, 2), (3, 2)))
""",
    "errors of parts": """
show(lambda: U.indices(), lambda: U.values(), lambda: S().numpy(), lambda: S().item(), lambda: S().tolist(), lambda: bool(S()), lambda: S().data_ptr(), lambda: S().untyped_storage(), lambda: S().reshape(-1), lambda: S().view(-1))
show(lambda: D.indices(), lambda: D._indices(), lambda: D.values(), lambda: D.coalesce(), lambda: D.is_coalesced(), lambda: D._nnz(), lambda: D.crow_indices(), lambda: D.to_dense() is D)
show(lambda: C().indices(), lambda: C()._indices(), lambda: C().ccol_indices(), lambda: S().crow_indices(), lambda: C().coalesce(), lambda: C().is_coalesced(), lambda: C().numpy(), lambda: C().stride(), lambda: C().is_contiguous())
show(lambda: S().exp(), lambda: S().cos(), lambda: S() == S(), lambda: S() > 1, lambda: S().cumsum(0), lambda: S().sigmoid(), lambda: S().argmax(), lambda: S()[0:1], lambda: torch.equal(S(), S()), lambda: S().fill_(1), lambda: S().mean())
""",
    "making them": """
show(lambda: torch.sparse_coo_tensor(I, V), lambda: torch.sparse_coo_tensor(I, V, (1, 3)), lambda: torch.sparse_coo_tensor(I, V[:2], (2, 3)), lambda: torch.sparse_coo_tensor(I, V, (2, 3, 4)))
show(lambda: torch.sparse_coo_tensor(I, V, (1, 3), check_invariants=True), lambda: torch.sparse_coo_tensor([[-1]], [1.], (2,), check_invariants=True), lambda: torch.sparse_coo_tensor([[0.5]], [1.], (2,)))
show(lambda: torch.sparse_coo_tensor((2, 3)), lambda: torch.sparse_coo_tensor(size=(2, 3)), lambda: torch.sparse_coo_tensor([0, 1], [1., 2.], (2,)), lambda: torch.sparse_coo_tensor(I, 2.0, (2, 3)))
with torch.sparse.check_sparse_tensor_invariants():
    show(lambda: torch.sparse_coo_tensor(I, V, (1, 3)), torch.sparse.check_sparse_tensor_invariants.is_enabled)
show(torch.sparse.check_sparse_tensor_invariants.is_enabled)
show(lambda: torch.zeros(2, 3, layout=torch.sparse_coo), lambda: torch.zeros_like(S()), lambda: torch.zeros_like(C()), lambda: torch.empty_like(S()), lambda: torch.ones_like(S()))
show(lambda: torch.sparse.spdiags(torch.arange(9.).reshape(3, 3), torch.tensor([0, -1, 1]), (3, 3)), lambda: torch.sparse.spdiags(torch.ones(1, 3), torch.tensor([0]), (3, 3), torch.sparse_csr), lambda: torch.sparse.spdiags(torch.ones(2, 3), torch.tensor([0, 0]), (3, 3)))
""",
    "compressed layouts": """
v = torch.tensor(V)
show(lambda: C(), lambda: C(requires_grad=True), lambda: torch.sparse_csr_tensor([0, 1, 3], [2, 0, 2], v), lambda: torch.sparse_compressed_tensor([0, 1, 3], [2, 0, 2], v, (2, 3), layout=torch.sparse_csr))
show(lambda: torch.sparse_csc_tensor([0, 1, 2, 3], [0, 1, 0], v, (2, 3)), lambda: torch.sparse_csc_tensor([0, 1, 2, 3], [0, 1, 0], v, (2, 3)).to_dense())
b = torch.arange(8.).reshape(2, 2, 2)
show(lambda: torch.sparse_bsr_tensor([0, 1, 2], [0, 1], b, (4, 4)), lambda: torch.sparse_bsr_tensor([0, 1, 2], [0, 1], b, (4, 4)).to_dense(), lambda: torch.sparse_bsc_tensor([0, 1, 2], [0, 1], b, (4, 4)).to_dense())
k = dict(check_invariants=True)
show(lambda: torch.sparse_csr_tensor([0, 1, 3], [2, 0], v, (2, 3), **k), lambda: torch.sparse_csr_tensor([0, 1, 4], [2, 0, 2], v, (2, 3), **k), lambda: torch.sparse_csr_tensor([0, 1, 3], [2, 0, 9], v, (2, 3), **k), lambda: torch.sparse_csr_tensor([0, 1, 3], [2, 2, 0], v, (2, 3), **k))
show(lambda: C().values(), lambda: C().crow_indices(), lambda: (C().sparse_dim(), C().dense_dim(), C()._nnz()), lambda: C().t(), lambda: C() * 2, lambda: C() + C(), lambda: C() + torch.ones(2, 3), lambda: torch.ones(2, 3) + C(), lambda: C() * C())
show(lambda: C() @ D, lambda: C() @ torch.ones(3), lambda: torch.ones(4, 2) @ C(), lambda: torch.addmm(torch.ones(2, 4), C(), D), lambda: C().sum(), lambda: torch.sum(C(), 0, keepdim=True), lambda: torch.sum(C(), 0), lambda: C().sin(), lambda: -C(), lambda: C().clone(), lambda: C().double(), lambda: C()[0], lambda: C()[0, 2], lambda: C() * torch.full((2, 3), 2.), lambda: torch.ones(2, 3).sparse_mask(C()))
""",
    "from one layout to another": """
show(lambda: torch.eye(3).to_sparse(), lambda: torch.eye(3).to_sparse(1), lambda: torch.eye(3).to_sparse(0), lambda: torch.eye(3).to_sparse(5), lambda: torch.tensor(3.).to_sparse(), lambda: torch.eye(2).to_sparse(layout=torch.sparse_csr))
show(lambda: S().to_sparse_csr(), lambda: S().to_sparse_csc(), lambda: torch.eye(4).to_sparse_bsr((2, 2)), lambda: torch.eye(4).to_sparse_csr().to_sparse_bsr((2, 2)), lambda: torch.ones(1, 2, 2).to_sparse_csr(), lambda: C().to_sparse(), lambda: C().to_sparse_coo(), lambda: C().to_sparse_csc())
show(lambda: torch.ones(2, 3).to_sparse().to_dense(), lambda: U.to_dense(), lambda: U.to_dense(torch.float64), lambda: torch.zeros(2, 3).to_sparse(), lambda: torch.zeros(2, 3).to_sparse_csr())
show(lambda: torch.arange(6.).reshape(2, 3).sparse_mask(S()), lambda: U.sparse_mask(S().coalesce()), lambda: torch.ones(2, 3).sparse_mask(U), lambda: S().sparse_resize_((4, 5), 2, 0), lambda: S().sparse_resize_((1, 5), 2, 0), lambda: S().sparse_resize_and_clear_((4, 5), 1, 1), lambda: S().resize_as_sparse_(torch.zeros(4, 4).to_sparse()))
""",
    "copies, types, files": """
def saved(x):
    b = io.BytesIO(); torch.save(x, b); b.seek(0); return torch.load(b)
show(lambda: saved(S()), lambda: saved(C()), lambda: saved(S().coalesce()).is_coalesced(), lambda: copy.deepcopy(S()), lambda: S().clone(), lambda: S().to(torch.float64), lambda: S().int(), lambda: S().detach(), lambda: S().cpu())
s = S(); t = s.detach(); s._values().mul_(2); print(s, t); s.mul_(3); print(s); s.zero_(); print(s)
show(lambda: S().copy_(U), lambda: S().copy_(torch.ones(2, 3)), lambda: torch.ones(2, 3).copy_(S()))
""",
    "arithmetic": """
show(lambda: S() + S(), lambda: S() + U, lambda: torch.add(S(), U, alpha=2), lambda: S() - U, lambda: torch.ones(2, 3) + S(), lambda: torch.ones(2, 3) - S(), lambda: S() + torch.ones(2, 3), lambda: S() + 1, lambda: S() - torch.ones(2, 3), lambda: 1 - S(), lambda: S() + U.double(), lambda: S() + torch.eye(3).to_sparse(), lambda: torch.ones(3, 3) + S())
show(lambda: S() * 2, lambda: 2 * S(), lambda: S() * torch.full((2, 3), 2.), lambda: torch.full((2, 3), 2.) * S(), lambda: S().coalesce() * U.coalesce(), lambda: S() * torch.tensor(2.), lambda: S() * torch.tensor([1., 2., 3.]))
show(lambda: S() / 2, lambda: S() / torch.ones(2, 3), lambda: S() / S(), lambda: S() // 2, lambda: S() ** 2, lambda: S().mul_(3), lambda: S().add_(S()), lambda: torch.ones(2, 3).add_(S(), alpha=-1.), lambda: S().add_(torch.ones(2, 3)), lambda: S().div_(2))
show(*[lambda f=f: (f(U), f(U).is_coalesced()) for f in (torch.abs, torch.sqrt, torch.sin, torch.relu, torch.isnan, torch.sign, torch.floor, torch.log1p, torch.neg, torch.square, torch.tanh, torch.expm1)])
show(lambda: torch.sparse_coo_tensor([[0]], [4], (2,)).sqrt(), lambda: S().norm(), lambda: S().any())
""",
    "sums that grow": """
def some(k, n=60):
    i = (torch.arange(n) * (7 + 2 * k) + k) % 97
    return torch.sparse_coo_tensor(torch.stack([i, i % 5]), torch.arange(1., n + 1) + k, (97, 5))
x = some(0)
for k in range(1, 5):
    x = x * 0.5 + some(k); print(x._nnz(), x.is_coalesced(), x._indices()[0, -9:], x._values()[:7], x.to_dense().sum(0))
print((x + x)._nnz(), (x + x).to_dense().sum(0), (x * 2 + x)._values()[-5:], x.coalesce()._nnz(), (x - x).coalesce().values().abs().sum())
y = some(0).coalesce()
for k in range(1, 4):
    y = torch.add(y * 2, some(k).coalesce(), alpha=0.5); print(y._nnz(), y.is_coalesced(), y.values()[:7])
z = some(0)
for k in range(1, 4):
    z.mul_(2).add_(some(k)); d = torch.zeros(97, 5).add_(z, alpha=-1); print(d.sum(0), z._nnz())
b = io.BytesIO(); torch.save(z, b); b.seek(0); print(torch.load(b)._nnz(), copy.deepcopy(z)._nnz(), z.clone()._values()[:3], z.t()._nnz(), (-z)._nnz(), z.double().sum())
v = torch.arange(1., 61).requires_grad_(); i = (torch.arange(60) * 7) % 97
s = torch.sparse_coo_tensor(torch.stack([i, i % 5]), v, (97, 5)); ((s + some(1)) * 2 + some(2)).to_dense().pow(2).sum().backward(); print(v.grad)
""",
    "which results are coalesced": """
for n, f in dict(neg=lambda x: -x, pow=lambda x: x ** 2, mul=lambda x: x * 2, div=lambda x: x / 2, fdiv=lambda x: x // 2, clone=lambda x: x.clone(), to=lambda x: x.double(), t=lambda x: x.t(), unsq=lambda x: x.unsqueeze(0), cat=lambda x: torch.cat([x, x]), isel=lambda x: x.index_select(1, torch.tensor([1, 2])), sel=lambda x: x[0], muld=lambda x: x * torch.ones(2, 3), mm=lambda x: x @ x.t(), permute=lambda x: x.permute(0, 1), zl=torch.zeros_like, sm=lambda x: torch.sparse.softmax(x, 1), stack=lambda x: torch.stack([x, x]), sum0=lambda x: x.sum(0), iadd=lambda x: x.clone().add_(x)).items():
    print(n, [(f(x).is_coalesced(), f(x)._nnz()) for x in (U, U.coalesce())])
""",
    "turned, picked, joined": """
show(lambda: S().t(), lambda: S().transpose(0, 1), lambda: S().permute(1, 0), lambda: S().T, lambda: S().t_(), lambda: S().unsqueeze(0), lambda: S().unsqueeze(-1), lambda: S()[0], lambda: S()[:, 2], lambda: S()[0, 2], lambda: S()[0, 0], lambda: S().index_select(1, torch.tensor([2, 0, 2])), lambda: S().index_select(1, torch.tensor([3])), lambda: list(S()))
show(lambda: torch.cat([S(), U]), lambda: torch.cat([S(), U], 1), lambda: torch.stack([S(), U]), lambda: torch.cat([S(), torch.ones(2, 3)]), lambda: S()[2])
h = torch.sparse_coo_tensor([[0, 2]], torch.arange(8.).reshape(2, 2, 2), (3, 2, 2))
show(lambda: h.to_dense(), lambda: h[2], lambda: h[:, 1], lambda: h.index_select(2, torch.tensor([1])), lambda: torch.sparse.sum(h, 1), lambda: torch.sparse.sum(h, (0, 2)), lambda: h.coalesce().transpose(1, 2))
""",
    "sums and softmax": """
show(lambda: S().sum(), lambda: S().sum(0), lambda: S().sum(dtype=torch.float64), lambda: torch.sparse.sum(S()), lambda: torch.sparse.sum(S(), 0), lambda: torch.sparse.sum(S(), (0, 1)), lambda: torch.sparse.sum(S(), 1, dtype=torch.float64), lambda: torch.sparse.sum(S(), 2))
show(lambda: torch.sparse.softmax(S(), 1), lambda: torch.sparse.softmax(S(), 0), lambda: torch.sparse.log_softmax(S(), 1), lambda: torch.softmax(S(), 1), lambda: torch.sparse.softmax(torch.sparse_coo_tensor([[0, 2]], torch.eye(2), (3, 2)), 1))
""",
    "products": """
show(lambda: S() @ D, lambda: torch.mm(S(), D), lambda: torch.sparse.mm(S(), D), lambda: torch.sparse.mm(S(), S().t()), lambda: S() @ S().t(), lambda: torch.ones(5, 2) @ S(), lambda: S() @ torch.ones(3), lambda: torch.addmm(torch.ones(2, 4), S(), D), lambda: torch.sparse.addmm(torch.ones(2, 4), S(), D, beta=2., alpha=3.))
show(lambda: torch.hspmm(S(), D), lambda: torch.smm(S(), D), lambda: torch.sspaddmm(torch.eye(2, 4).to_sparse(), S(), D), lambda: torch.bmm(torch.stack([S(), U]), torch.ones(2, 3, 2)), lambda: S() @ torch.ones(2, 3, 4), lambda: S() @ torch.ones(4, 4), lambda: torch.sparse.mm(D, D.t()), lambda: F.linear(torch.ones(2, 3), S()))
show(*[lambda r=r: torch.sparse.mm(C(), D, r) for r in ("sum", "mean", "amax", "amin")], lambda: torch.sparse.sampled_addmm(C(), torch.ones(2, 4), torch.ones(4, 3), beta=.5), *[lambda b=b: torch.sparse.sampled_addmm(C(), torch.ones(2, 4), torch.ones(4, 3), beta=b) for b in (1j, 2 + 0j)])
""",
    "gradients of places that are there twice": """
def leaf(): return torch.tensor([1., 2., 3.], requires_grad=True)
def made(v): return torch.sparse_coo_tensor([[0, 0, 1], [1, 1, 2]], v, (2, 3))
for f in (lambda u: u.to_dense(), lambda u: (u + U).to_dense(), lambda u: (u * 2).to_dense(), lambda u: (u.coalesce() * 2).to_dense(), lambda u: torch.sparse.sum(u.t()), lambda u: torch.sparse.mm(u, torch.ones(3, 2)), lambda u: (u * torch.arange(6.).reshape(2, 3)).to_dense(), lambda u: u.coalesce().values() ** 2, lambda u: (u ** 2).to_dense()):
    v = leaf(); f(made(v)).sum().backward(); print(v.grad)
u = made(leaf().detach()).requires_grad_(); u.to_dense().sum().backward(); print(u.grad)
u = made(leaf().detach()).requires_grad_(); (u + u).to_dense().sum().backward(); print(u.grad.coalesce())
""",
    "empty ones, other types, modules": """
E = torch.sparse_coo_tensor((2, 3)); i = torch.tensor(I)
show(lambda: E @ torch.ones(3, 2), lambda: E.coalesce(), lambda: torch.sparse.sum(E, 0), lambda: E + S(), lambda: S() @ torch.ones(3, 2, dtype=torch.float64))
show(lambda: (S() * (1 + 2j)).conj(), lambda: torch.sparse_coo_tensor(i, torch.tensor([True, True, False]), (2, 3)).to_dense(), lambda: torch.sparse_coo_tensor(i, torch.tensor([1, 2, 3], dtype=torch.int32), (2, 3)).sum(), lambda: torch.sparse_coo_tensor([[0, 0]], torch.tensor([1, 2], dtype=torch.int8), (2,)).coalesce())
show(lambda: torch.ones(2, 3).mul_(S()), lambda: S().expand(2, 2, 3), lambda: S().__setitem__(0, 1.), lambda: torch.ones(2, 2).addmm_(S(), torch.ones(3, 2)), lambda: torch.mm(S(), torch.ones(3, 2), out=torch.empty(2, 2)))
m = nn.Linear(3, 2, bias=False); m.register_buffer("A", S()); b = io.BytesIO(); torch.save(m.state_dict(), b); b.seek(0)
n = nn.Linear(3, 2, bias=False); n.register_buffer("A", S() * 0); n.load_state_dict(torch.load(b)); print(n.A, n.double().A)
p = nn.Parameter(S().coalesce()); o = torch.optim.SGD([p], .1); torch.sparse.mm(p, torch.ones(3, 2)).sum().backward(); print(p.grad); o.step(); print(p)
s = S(requires_grad=True); t = s * 2; t.retain_grad(); t.to_dense().sum().backward(); print(t.grad); s.grad = None; (s * 2).backward(S()); print(s.grad)
with torch.inference_mode(): print(S() @ torch.ones(3, 2))
""",
    "indices out of range": """
def B(i=[[0, 2], [0, 1]]): return torch.sparse_coo_tensor(i, [1., 2.], (2, 3))
show(lambda: B().to_dense(), lambda: B() @ torch.ones(3, 2), lambda: B([[0, 1], [0, 5]]) @ torch.ones(3, 2), lambda: B([[0, -1], [0, 1]]) @ torch.ones(3, 2), lambda: torch.sparse.mm(B(), torch.ones(3, 2)), lambda: torch.ones(2, 3) + B(), lambda: B().coalesce())
show(lambda: F.embedding(torch.tensor([7]), torch.ones(3, 2, requires_grad=True), sparse=True))
""",
    "gradients": """
def grad(f, leaf):
    def go():
        x = leaf(); out = f(x); made = (out.grad_fn.name() if out.grad_fn is not None else None, out.layout)
        total = out if out.layout == torch.strided else torch.sparse.sum(out) if out.layout == torch.sparse_coo else out.to_dense()
        total.sum().backward(); return (*made, x.grad)
    return go
sl = lambda: S().coalesce().requires_grad_()
cl = lambda: C(requires_grad=True)
dl = lambda: torch.arange(6.).reshape(2, 3).requires_grad_()
vl = lambda: torch.tensor(V).requires_grad_()
wl = lambda: D.clone().requires_grad_()
show(*[grad(f, sl) for f in (lambda x: x.to_dense() * 2, lambda x: x.values() * 2, lambda x: x.coalesce(), lambda x: x @ D, lambda x: torch.sparse.mm(x, D), lambda x: torch.sparse.mm(x, x.detach().t()), lambda x: torch.addmm(torch.ones(2, 4), x, D), lambda x: torch.sparse.addmm(torch.ones(2, 4), x, D), lambda x: torch.ones(2, 3) + x, lambda x: x * 2, lambda x: x * torch.full((2, 3), 2.), lambda x: x.sum(), lambda x: torch.sparse.sum(x), lambda x: torch.sparse.sum(x, 0), lambda x: -x, lambda x: x.abs(), lambda x: x.clone(), lambda x: x.double(), lambda x: x / 2, lambda x: x ** 2, lambda x: torch.ones(5, 2) @ x, lambda x: x @ torch.ones(3), lambda x: x.t() @ torch.ones(2, 2), lambda x: x.to_dense(masked_grad=False) * 2, lambda x: torch.hspmm(x, D), lambda x: torch.smm(x, D), lambda x: x._values() * 2)])
show(*[grad(f, dl) for f in (lambda x: x.to_sparse(), lambda x: x.to_sparse() * 3, lambda x: x.to_sparse(1), lambda x: x.to_sparse_csr(), lambda x: x.sparse_mask(S().coalesce()))])
show(*[grad(f, wl) for f in (lambda w: S() @ w, lambda w: torch.sparse.mm(S(), w), lambda w: C() @ w)])
show(*[grad(f, vl) for f in (lambda v: torch.sparse_coo_tensor(I, v, (2, 3)), lambda v: torch.sparse_coo_tensor(I, v, (2, 3)).to_dense() * torch.arange(6.).reshape(2, 3), lambda v: torch.sparse_coo_tensor(I, v, (2, 3)) @ D, lambda v: torch.sparse_csr_tensor([0, 1, 3], [2, 0, 2], v, (2, 3)).to_dense(), lambda v: torch.sparse_csr_tensor([0, 1, 3], [2, 0, 2], v, (2, 3)) @ D)])
show(*[grad(f, cl) for f in (lambda x: x @ D, lambda x: torch.sparse.mm(x, D), lambda x: x.values() * 2, lambda x: x.to_dense() * 2, lambda x: torch.sparse.sampled_addmm(x, torch.ones(2, 4), torch.ones(4, 3)))])
""",
}

TRAINING = """
torch.manual_seed(0)
emb = nn.Embedding(6, 3, sparse=True{0}); lin = torch.linspace(-1, 1, 6).reshape(3, 2)
opt = {1}
for k in range(4):
    opt.zero_grad(); loss = ((emb(torch.tensor([[1, 2, 2], [0, 5, k % 6]])) @ lin) ** 2).sum(); loss.backward()
    show(lambda: opt.step())
torch.set_printoptions(sci_mode=False)  # an element near zero is what rounding left of larger ones
print(emb.weight.detach(), emb.weight.grad, loss.detach())
"""
_OPTIMIZERS = {
    "SGD": "lr=.1", "SGD ": "lr=.1, momentum=.9", "SGD  ": "lr=.1, weight_decay=.1", "Adagrad": "lr=.1", "SparseAdam": "lr=.1", "Adam": "lr=.1", "AdamW": "lr=.1",
    "RMSprop": "lr=.1", "Adadelta": "lr=.1",
}  # fmt: skip
for _name, _args in _OPTIMIZERS.items():
    for _pad in ("", ", padding_idx=0"):
        _opt = f"torch.optim.{_name.strip()}(emb.parameters(), {_args})"
        SNIPPETS[f"embedding trained by {_name.strip()} {_args}{_pad}"] = TRAINING.replace("{0}", _pad).replace("{1}", _opt)

SNIPPETS |= {
    "gradients of embedding": """
def table(): torch.manual_seed(0); return nn.Embedding(6, 3, sparse=True)
w = torch.arange(3.)
emb = table()
for idx in ([1, 2, 2], [1, 2, 2], [4, 1]):
    (emb(torch.tensor(idx)) * w * 2).sum().backward()
print(emb.weight.grad, emb.weight.grad.coalesce())
emb = table(); emb(torch.tensor([1, 1])).pow(2).sum().backward(); emb.weight.pow(2).sum().backward(); print(emb.weight.grad); emb(torch.tensor([1, 1])).pow(2).sum().backward(); print(emb.weight.grad)
emb = table(); seen = []
emb.weight.register_hook(lambda g: (seen.append((g.is_sparse, g.layout)), g * 2)[1]); (emb(torch.tensor([1, 2])) * w).sum().backward(); print(seen, emb.weight.grad)
print(torch.autograd.grad((table()(torch.tensor([[1, 2], [2, 2]])) ** 2).sum(), emb.weight, allow_unused=True))
emb = table(); opt = torch.optim.SGD(emb.parameters(), .1); (emb(torch.tensor([1, 2])) ** 2).sum().backward(); opt.zero_grad(set_to_none=False); print(emb.weight.grad); (emb(torch.tensor([1, 2])) ** 2).sum().backward(); opt.step(); print(emb.weight.grad, emb.weight)
show(lambda: nn.utils.clip_grad_norm_(emb.parameters(), .1), lambda: nn.utils.clip_grad_value_(emb.parameters(), .1))
show(lambda: F.embedding(torch.tensor([1, 2]), emb.weight, scale_grad_by_freq=True, sparse=True).sum().backward())
""",
    "embedding_bag": """
at, off = torch.tensor([1, 2, 4, 5, 4, 3, 2, 0]), torch.tensor([0, 4])
for mode in ("sum", "mean", "max"):
    for k in ({}, {"padding_idx": 2}):
        def run():
            torch.manual_seed(0); bag = nn.EmbeddingBag(6, 3, mode=mode, sparse=True, **k); out = bag(at, off); (out ** 2).sum().backward(); return out.detach(), bag.weight.grad.coalesce()
        show(run)
torch.manual_seed(0); bag = nn.EmbeddingBag(6, 3, mode="sum", sparse=True); w = torch.arange(1., 9.).requires_grad_()
(bag(at, off, per_sample_weights=w) ** 2).sum().backward(); print(bag.weight.grad, w.grad)
""",
}
