# Graph networks: sparse products, attention by scatter, degrees.
# slow
# digits: 3
import torch, torch.nn as nn, torch.nn.functional as F

torch.manual_seed(0)
N = 12
edges = torch.randint(0, N, (2, 40))
edges = edges[:, edges[0] != edges[1]]
edges = torch.unique(torch.cat([edges, edges.flip(0)], 1), dim=1)
A = torch.sparse_coo_tensor(edges, torch.ones(edges.shape[1]), (N, N)).coalesce()
deg = torch.sparse.sum(A, 1).to_dense()
dinv = deg.clamp(min=1).rsqrt()
val = dinv[edges[0]] * dinv[edges[1]]
Ahat = torch.sparse_coo_tensor(edges, val, (N, N))


class GCN(nn.Module):
    def __init__(self, i, h, o):
        super().__init__()
        self.w1, self.w2 = nn.Linear(i, h, bias=False), nn.Linear(h, o)

    def forward(self, x):
        return self.w2(torch.sparse.mm(Ahat, F.elu(torch.sparse.mm(Ahat, self.w1(x)))))


class GAT(nn.Module):
    def __init__(self, i, h):
        super().__init__()
        self.w = nn.Parameter(nn.init.xavier_uniform_(torch.empty(i, h), gain=1.4))
        self.a = nn.Parameter(torch.randn(2 * h) * 0.1)

    def forward(self, x):
        h = x @ self.w
        s, d = edges
        e = F.leaky_relu((torch.cat([h[s], h[d]], -1) * self.a).sum(-1), 0.2)
        m = torch.full((N,), -torch.inf).scatter_reduce(0, d, e.detach(), "amax")
        w = (e - m[d]).exp()
        z = torch.zeros(N).scatter_add(0, d, w)
        return torch.zeros(N, h.shape[1]).index_add(0, d, h[s] * (w / z[d].clamp_min(1e-9))[:, None])


x = torch.eye(N)
y = (deg > deg.median()).long()
train = torch.rand(N) < 0.7
for make in (lambda: GCN(N, 8, 2), lambda: nn.Sequential(GAT(N, 8), nn.ELU(), nn.Linear(8, 2))):
    m = make()
    opt = torch.optim.Adam(m.parameters(), 0.02, weight_decay=5e-4)
    for i in range(4):
        out = m(x).log_softmax(-1)
        loss = F.nll_loss(out[train], y[train])
        opt.zero_grad()
        loss.backward()
        opt.step()
        print(f"{loss.item():.4f}", f"{(out.argmax(1) == y)[~train].float().mean():.2f}")
print(A, Ahat.is_coalesced(), edges.shape, torch.bincount(edges[0], minlength=N))
print(
    torch.linalg.matrix_power(A.to_dense(), 3).trace(),
    torch.triu(A.to_dense(), 1).nonzero()[:3].tolist(),
    torch.searchsorted(torch.sort(deg).values, torch.tensor([2.0, 5.0])),
)
