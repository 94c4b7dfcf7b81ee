# Spectra: short-time transforms, filters, complex arithmetic, a frequency fitted by its gradient.
# digits: 3
import torch, math

torch.manual_seed(0)
sr, n = 64, 128
t = torch.arange(n) / sr
x = torch.sin(2 * math.pi * 5 * t) + 0.5 * torch.sin(2 * math.pi * 12 * t) + 0.1 * torch.randn(n)
X = torch.fft.rfft(x)
f = torch.fft.rfftfreq(n, 1 / sr)
top = X.abs().topk(2)
print(f[top.indices], top.values)
S = torch.stft(x, 32, hop_length=8, window=torch.hann_window(32), return_complex=True, center=True)
print(S.shape, S.abs().mean())
y = torch.istft(S, 32, hop_length=8, window=torch.hann_window(32), length=n)
print((x - y).abs().max() < 1e-5)
X[f > 8] = 0
print(torch.fft.irfft(X, n)[:4])
k = torch.hamming_window(9, periodic=False)
k /= k.sum()
print(torch.nn.functional.conv1d(x[None, None], k[None, None], padding=4)[0, 0, :4])
spec = S.abs().pow(2)
db = 10 * torch.log10(spec.clamp(min=1e-10))
print(db.max(), db.amin(dim=(0, 1)), db.std(unbiased=False))
img = torch.randn(8, 8)
print(torch.fft.fftshift(torch.fft.fft2(img)).abs()[4, 4], torch.fft.ifft2(torch.fft.fft2(img)).real.sub(img).abs().max() < 1e-6)
z = torch.view_as_complex(torch.randn(4, 2))
print(z.angle(), z.conj().imag, (z * z.conj()).real, torch.polar(z.abs(), z.angle()).isclose(z))
# No whole number of periods: the bins between would hold nothing but rounding, and the derivative of their absolute values is its direction.
w = torch.nn.Parameter(torch.tensor([4.3]))
opt = torch.optim.Adam([w], 0.1)
for i in range(3):
    loss = (torch.fft.rfft(torch.sin(2 * math.pi * w * t)).abs() - torch.fft.rfft(x).abs()).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(f"{loss.item():.4f} {w.item():.4f} {w.grad.item():.3f}")
print(
    torch.cumsum(x, 0)[-1],
    torch.diff(x, n=2)[:2],
    torch.trapezoid(x, t),
    torch.cumulative_trapezoid(x[:4]),
    x.unfold(0, 16, 16).mean(1),
    torch.logspace(0, 2, 3),
    torch.bucketize(torch.tensor([0.3, 7.0]), torch.tensor([0.0, 1.0, 5.0])),
)
print(
    torch.einsum("i,j->ij", x[:2], x[2:4]),
    torch.kron(torch.eye(2), torch.ones(1, 2)),
    torch.roll(x[:4], 1),
    torch.nn.functional.interpolate(x[None, None, :4], scale_factor=2, mode="linear", align_corners=True),
)
