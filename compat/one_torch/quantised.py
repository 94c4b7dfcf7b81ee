"""Observers and fake quantisation."""

import torch
from torch import nn
from torch.ao import quantization as q
from torch.ao.nn.quantized import FloatFunctional

torch.manual_seed(0)
x, y = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3) * 3 + 1
for scheme in (torch.per_tensor_affine, torch.per_tensor_symmetric):
    for dtype in (torch.quint8, torch.qint8):
        for kind in (q.MinMaxObserver, q.MovingAverageMinMaxObserver):
            seen = kind(dtype=dtype, qscheme=scheme)
            print(kind.__name__, seen.calculate_qparams(), end=" ")
            seen(x), seen(y)
            print(seen.quant_min, seen.quant_max, seen, *seen.calculate_qparams(), sorted(seen.state_dict()))
for kind in (q.PerChannelMinMaxObserver, q.MovingAveragePerChannelMinMaxObserver):
    for scheme in (torch.per_channel_affine, torch.per_channel_symmetric, torch.per_channel_affine_float_qparams):
        seen = kind(ch_axis=1, qscheme=scheme)
        seen(x), seen(y)
        print(kind.__name__, *seen.calculate_qparams())
for make in (q.default_fake_quant, q.default_weight_fake_quant, q.default_per_channel_weight_fake_quant):
    fake = make()
    out = fake(x)
    x.grad = None
    out.sum().backward()
    print(out.detach(), x.grad, fake.scale, fake.zero_point, sorted(fake.state_dict()))
    fake.apply(q.disable_fake_quant)
    print(torch.equal(fake(x), x))
print(q.QConfig(q.MinMaxObserver, q.default_weight_observer).activation is q.MinMaxObserver, q.FixedQParamsObserver(0.5, 3).calculate_qparams())
model = nn.Sequential(q.QuantStub(), nn.Linear(3, 2), nn.ReLU(), q.DeQuantStub())
model.qconfig = q.default_qconfig
prepared = q.prepare(model)
prepared(y)
print(sorted(prepared.state_dict()), prepared[1].activation_post_process.calculate_qparams())
print(FloatFunctional().add(x, y).detach(), q.QuantWrapper(nn.Linear(3, 1)).eval())
