# Style transfer: features by forward hooks, Gram matrices, LBFGS on the image; Grad-CAM by hooks on gradients.
# slow
# digits: 2
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
vgg = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True), nn.AvgPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(inplace=True)
).eval()
for p in vgg.parameters():
    p.requires_grad_(False)


class Features:
    def __init__(self, model, layers):
        self.got, self.handles = {}, []
        for i in layers:
            self.handles.append(model[i].register_forward_hook(self._save(i)))

    def _save(self, i):
        def hook(module, args, output):
            self.got[i] = output.clone()

        return hook

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for h in self.handles:
            h.remove()


def gram(x):
    b, c, h, w = x.size()
    f = x.view(b * c, h * w)
    return torch.mm(f, f.t()).div(b * c * h * w)


class Normalise(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.as_tensor(std).view(-1, 1, 1))

    def forward(self, x):
        return (x - self.mean) / self.std


norm = Normalise([0.485, 0.456, 0.406], (0.229, 0.224, 0.225))
yy, xx = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij")
content = torch.stack([(xx**2 + yy**2 < 0.4).float(), xx.abs(), yy.abs()]).unsqueeze(0)
style = torch.stack([torch.sin(8 * xx), torch.cos(8 * yy), torch.sin(6 * (xx + yy))]).mul(0.5).add(0.5)[None]


def tv(x):
    return (x[..., 1:, :] - x[..., :-1, :]).abs().mean() + (x[..., 1:] - x[..., :-1]).abs().mean()


with Features(vgg, (2, 5)) as feats, torch.no_grad():
    vgg(norm(content))
    want = feats.got[5]
    vgg(norm(style))
    grams = {i: gram(v) for i, v in feats.got.items()}
print(len(vgg[2]._forward_hooks), {i: tuple(g.shape) for i, g in grams.items()})
img = content.clone().requires_grad_(True)
opt = torch.optim.LBFGS([img], max_iter=4, history_size=5, line_search_fn="strong_wolfe")
log = []
with Features(vgg, (2, 5)) as feats:

    def closure():
        with torch.no_grad():
            img.clamp_(0, 1)
        opt.zero_grad()
        vgg(norm(img))
        c = F.mse_loss(feats.got[5], want)
        s = sum(F.mse_loss(gram(feats.got[i]), g) for i, g in grams.items())
        loss = c + 1e3 * s + 0.1 * tv(img)
        loss.backward()
        log.append((loss.item(), c.item(), s.item()))
        return loss

    for _ in range(3):
        opt.step(closure)
print(len(log) > 9, " ".join(f"{v:.4f}" for v in log[0]))
print(log[-1][0] < 0.8 * log[0][0], img.requires_grad, img.shape)

# Grad-CAM
cam_net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
keep = {}


def forward_hook(m, i, o):
    keep["a"] = o
    o.register_hook(lambda g: keep.__setitem__("g", g))


h1 = cam_net[2].register_forward_hook(forward_hook)
h2 = cam_net[6].register_full_backward_hook(lambda m, gi, go: print("head", [tuple(g.shape) for g in gi], [tuple(g.shape) for g in go]))
h3 = cam_net[0].register_full_backward_pre_hook(lambda m, go: (go[0] * 2,))
out = cam_net(content)
out[0, out.argmax()].backward()
cam = F.relu((keep["g"].mean((2, 3), keepdim=True) * keep["a"]).sum(1, keepdim=True)).detach()
cam = F.interpolate(cam, scale_factor=2, mode="bilinear", align_corners=False)
cam = (cam - cam.amin()) / (cam.amax() - cam.amin() + 1e-8)
print(cam.shape, cam.mean(), cam_net[0].weight.grad.norm())
for h in (h1, h2, h3):
    h.remove()
cam_net.zero_grad()
cam_net(content)[0, 0].backward()
print(cam_net[0].weight.grad.norm(), len(cam_net[2]._forward_hooks))
pre = cam_net.register_forward_pre_hook(lambda m, args, kwargs: ((args[0] * 0,), kwargs), with_kwargs=True)
zero = cam_net(content)
pre.remove()
always = []
h = cam_net.register_forward_hook(lambda m, a, k, o: always.append((len(a), sorted(k))), with_kwargs=True, always_call=True)
try:
    cam_net(torch.zeros(1, 2, 4, 4))
except RuntimeError as e:
    print(str(e)[:70])
cam_net(content)
print(zero, always)
ada = lambda c, s: s.std((2, 3), keepdim=True) * (c - c.mean((2, 3), keepdim=True)) / (c.std((2, 3), keepdim=True) + 1e-5) + s.mean((2, 3), keepdim=True)
print(ada(content, style).mean((0, 2, 3)), F.grid_sample(content, torch.stack((xx, yy), -1)[None] * 0.5, align_corners=True).mean(), F.affine_grid(torch.eye(2, 3)[None], (1, 1, 2, 2), align_corners=False))
