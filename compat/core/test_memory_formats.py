"""How results lie in memory: strides after convolutions, pools, norms and the rest of what keeps channels_last, gradients and copies included."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

OPS = (
    "x.clone()", "torch.empty_like(x)", "torch.randn_like(x)", "x.double()", "x + torch.randn(4, 1, 1)", "torch.randn(2, 4, 6, 6) + x", "x.sum(0, keepdim=True)", "x.softmax(1)", "list(x.sort(1))", "x.contiguous()",
    "torch.nn.Conv2d(4, 8, 3)(x)", "torch.nn.Conv2d(4, 8, 1)(c)", "torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)(c)", "torch.nn.Conv2d(4, 4, 3, groups=4)(x)", "torch.nn.ConvTranspose2d(4, 8, 3)(x)",
    "F.max_pool2d(x, 2)", "F.max_pool2d(x, 2, return_indices=True)", "F.avg_pool2d(x, 2)", "F.adaptive_avg_pool2d(x, 3)", "F.adaptive_avg_pool2d(x, 1)", "F.adaptive_avg_pool2d(c, (1, 1))", "torch.nn.AdaptiveAvgPool2d(1)(x[:, :, :1, :1])", "F.adaptive_avg_pool2d(x[:, ::2], 1)", "torch.arange(6.).reshape(1, 3, 2, 1).permute(0, 2, 1, 3).relu()", "torch.arange(12.).reshape(2, 3, 2, 1).permute(0, 2, 1, 3) * 2", "F.adaptive_max_pool2d(x, 3)", "F.lp_pool2d(x, 2, 2)",
    "torch.nn.BatchNorm2d(4)(x)", "torch.nn.BatchNorm2d(4).eval()(x)", "torch.nn.InstanceNorm2d(4)(x)", "torch.nn.GroupNorm(2, 4)(x)", "torch.nn.LayerNorm([4, 6, 6])(x)",
    "F.interpolate(x, scale_factor=2)", "F.interpolate(x, scale_factor=2, mode='bilinear')", "F.interpolate(x, size=3, mode='area')", "F.pad(x, (1, 1, 1, 1))", "F.pad(x, (1, 1, 1, 1), mode='reflect')", "F.pad(x, (1, 1, 1, 1), mode='circular')",
    "F.pixel_shuffle(x, 2)", "F.pixel_unshuffle(x, 2)", "F.channel_shuffle(x, 2)", "F.glu(x, 1)", "torch.cat([x, x], 1)", "torch.cat([x, c], 1)", "torch.cat([x, x], 0)", "x.roll(1, 2)", "x.flip(1)", "x.repeat(1, 2, 1, 1)",
    "x.masked_fill(x > 0, 0.)", "F.mse_loss(x, x, reduction='none')", "F.binary_cross_entropy_with_logits(x, x, reduction='none')", "torch.randn(2, 1, 6, 6).to(memory_format=torch.channels_last)", "torch.randn(2, 4, 1, 1).to(memory_format=torch.channels_last)",
    "torch.zeros(2, 4, 6, 6).copy_(x)", "x.clone().add_(1)", "[q + 1 for q in x.split(2, 1)]", "x.flatten(1)", "x.reshape(2, -1)", "F.dropout2d(x)", "F.prelu(x, torch.ones(4))",
    "torch.nn.BatchNorm3d(4)(v)", "F.max_pool3d(v, 2)", "F.adaptive_avg_pool3d(v, 1)", "F.interpolate(v, scale_factor=2)", "torch.nn.Conv3d(4, 2, 2)(v)", "v + 1",
    "list(torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.BatchNorm2d(8)).to(memory_format=torch.channels_last).parameters())",
)  # fmt: skip
BACKWARD = ("torch.nn.Conv2d(4, 8, 3)(x)", "F.relu(x)", "F.max_pool2d(x, 2)", "F.avg_pool2d(x, 2)", "torch.nn.BatchNorm2d(4)(x)", "F.interpolate(x, scale_factor=2)", "x[:, :2]", "x.flatten(1)")


def laid_out(library: Any, text: str, backward: bool = False) -> Any:
    last = {"memory_format": library.channels_last}
    x, v = library.randn(2, 4, 6, 6).to(**last), library.randn(1, 4, 4, 4, 4).to(memory_format=library.channels_last_3d)
    if backward:
        x.requires_grad_()
    made = eval(text, {"torch": library, "F": library.nn.functional, "x": x, "c": library.randn(2, 4, 6, 6), "v": v})
    made = list(made) if isinstance(made, (list, tuple)) else [made]
    if backward:
        made[0].backward(library.ones_like(made[0]))
        made = [made[0], x.grad]
    return [(tuple(m.shape), m.stride(), m.is_contiguous(), m.dim() == 4 and m.is_contiguous(**last)) for m in made]


@pytest.mark.parametrize("text", OPS)
def test_result(text: str) -> None:
    assert laid_out(jtorch, text) == laid_out(torch, text)


@pytest.mark.parametrize("text", BACKWARD)
def test_gradient(text: str) -> None:
    assert laid_out(jtorch, text, True) == laid_out(torch, text, True)


def test_gradients_of_parameters() -> None:
    def run(library: Any) -> Any:
        m = library.nn.Sequential(library.nn.Conv2d(4, 8, 3), library.nn.BatchNorm2d(8)).to(memory_format=library.channels_last)
        for _ in range(2):
            m(library.randn(2, 4, 6, 6)).sum().backward()
        return [p.grad.stride() for p in m.parameters()]

    assert run(jtorch) == run(torch)


def test_values_do_not_depend_on_it() -> None:
    def run(library: Any) -> Any:
        library.manual_seed(0)
        m = library.nn.Sequential(library.nn.Conv2d(3, 8, 3), library.nn.BatchNorm2d(8), library.nn.ReLU(), library.nn.MaxPool2d(2), library.nn.Flatten(), library.nn.Linear(72, 2)).to(memory_format=library.channels_last)
        o = library.optim.SGD(m.parameters(), lr=0.1, momentum=0.9)
        x = library.arange(2 * 3 * 64.0).reshape(2, 3, 8, 8).div(100).to(memory_format=library.channels_last)
        for _ in range(3):
            o.zero_grad()
            m(x).square().sum().backward()
            o.step()
        return [p.detach().flatten()[:4].tolist() for p in m.parameters()]

    for mine, theirs in zip(run(jtorch), run(torch), strict=True):
        assert mine == pytest.approx(theirs, rel=2e-3, abs=1e-5)


KEPT = [
    lambda t: t.argsort(-1), lambda t: t.msort(), lambda t: t.fliplr(), lambda t: t.flipud(), lambda t: t.flip(0), lambda t: t.roll(1, 0),
    lambda t: t.index_fill(0, t.new_zeros(1).long(), 1.0), lambda t: t.sort(0).values, lambda t: t.put(t.new_zeros(1).long(), t.new_ones(1)), lambda t: t.clone().put_(t.new_zeros(1).long(), t.new_ones(1)),
    lambda t: t.index_put((t.new_zeros(1).long(),), t.new_ones(())), lambda t: t.clone().index_put_((t.new_zeros(1).long(),), t.new_ones(())), lambda t: t.scatter(0, t.new_zeros(t.shape).long(), 1.0),
    lambda t: t.index_add(0, t.new_zeros(1).long(), t[:1]), lambda t: t.masked_fill(t > 3, 1.0), lambda t: t.cumsum(0), lambda t: t.cummax(0).values, lambda t: t.tril(), lambda t: t.clone(), lambda t: t.double(),
]  # fmt: skip
SCATTERED = [lambda t: t.select_scatter(t.select(0, 0) * 2, 0, 0), lambda t: t.slice_scatter(t[:1] * 2, 0, 0, 1), lambda t: t.diagonal_scatter(t.diagonal() * 2)]


def test_the_order_of_dims_is_kept_where_torch_keeps_it() -> None:
    def run(library: Any) -> Any:
        permuted = library.arange(60.0).view(3, 4, 5).permute(2, 1, 0)
        dense = permuted, library.arange(96.0).view(2, 3, 4, 4).contiguous(memory_format=library.channels_last)
        with_gaps = permuted[::2], permuted.expand(2, 5, 4, 3)
        found = [f(t) for t in (*dense, *with_gaps) for f in KEPT] + [f(t) for t in dense for f in SCATTERED]
        return [(r.shape, r.stride(), r.flatten()[:5].tolist()) for r in found]

    for mine, theirs in zip(run(jtorch), run(torch), strict=True):
        assert mine == theirs


TRANSFORMS = [
    *(lambda t, x, n=n: getattr(t.fft, n)(x) for n in ("fftn", "rfftn", "irfftn", "fft2", "hfft2", "ihfft2")),
    *(lambda t, x, n=n: getattr(t.fft, n)(x, dim=0) for n in ("fft", "rfft", "irfft", "hfft", "ihfft")),
    *(lambda t, x, n=n: getattr(t.fft, n)(x, dim=(0, 1)) for n in ("rfft2", "irfft2", "fft2")),
    lambda t, x: t.fft.fft(x, n=9, dim=0), lambda t, x: t.fft.fft(x, n=2, dim=0), lambda t, x: t.fft.fftshift(x), lambda t, x: t.roll(x, 1, 0), lambda t, x: t.roll(x, 1),
    lambda t, x: t.rot90(x), lambda t, x: t.rot90(x, 2), lambda t, x: t.rot90(x, -1, (0, -1)), lambda t, x: t.stack([x, x]), lambda t, x: t.stack([x, x], 1), lambda t, x: t.stack([x, x], 2),
    lambda t, x: t.stack([x, x.contiguous()], 1), lambda t, x: t.gradient(x[:2, :2], dim=(0, 1))[1],
]  # fmt: skip


@pytest.mark.parametrize("given", ["plain", "turned", "volumes", "images"])
def test_transforms_and_turns(given: str) -> None:
    def strides(t: Any) -> list[Any]:
        plain = t.arange(12.0).reshape(3, 4)
        x = {
            "plain": lambda: plain, "turned": lambda: plain.t(), "volumes": lambda: t.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1),
            "images": lambda: t.ones(2, 3, 2, 4).contiguous(memory_format=t.channels_last),
        }[given]()  # fmt: skip
        return [tuple(f(t, x).stride()) for f in TRANSFORMS]

    assert strides(jtorch) == strides(torch)


LEAVES = {
    "with gaps": "torch.empty_strided((2, 2), (4, 2)).zero_()",
    "rows with gaps": "torch.zeros(4, 4)[::2, ::2]",
    "transposed": "torch.zeros(4, 2).t()",
    "a part of one": "torch.zeros(4, 4).t()[:, 1:]",
    "transposed and whole": "torch.zeros(2, 3, 4).permute(2, 0, 1)",
    "expanded": "torch.zeros(3).expand(2, 3)",
    "channels last": "torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)",
}


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_gradient_lies_as_its_leaf_where_that_has_no_gaps(leaf: str) -> None:
    def strides(t: Any) -> list[Any]:
        found = []
        for fn in (lambda x: x.sum(), lambda x: (x * 2).sum(), lambda x: x.exp().sum()):
            x = eval(LEAVES[leaf], {"torch": t}).requires_grad_()
            fn(x).backward()
            found.append((x.stride(), x.grad.stride()))
        return found

    assert strides(jtorch) == strides(torch)
