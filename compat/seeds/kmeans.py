# k-means: distances, sums by index, counts, quantiles.
# digits: 4
import torch

g = torch.Generator().manual_seed(7)
centres = torch.tensor([[0.0, 0.0], [4.0, 4.0], [0.0, 5.0]])
x = torch.cat([c + torch.randn(30, 2, generator=g) * 0.5 for c in centres])
x = x[torch.randperm(len(x), generator=g)]
c = x[:3].clone()
for i in range(20):
    d = torch.cdist(x, c)
    val, lab = d.min(dim=1)
    new = torch.zeros_like(c).index_add_(0, lab, x) / torch.bincount(lab, minlength=3).unsqueeze(1).clamp(min=1)
    shift = (new - c).norm(dim=1).max()
    c = new
    print(i, f"{val.pow(2).sum():.3f}", f"{shift:.4f}")
    if shift < 1e-4:
        break
order = c[:, 0].argsort()
print(c[order])
print(torch.unique(lab, return_counts=True)[1].sort().values)
new2 = torch.stack([x[lab == k].mean(0) for k in range(3)])
print(torch.allclose(new2, c, atol=1e-5), x.scatter_reduce(0, lab[:, None].expand_as(x), x, "amax", include_self=False)[:3].shape)
print(torch.histc(val, 4), val.quantile(torch.tensor([0.25, 0.5, 0.75])), val.topk(3))
