"""What is said of an argument of a wrong kind: its place only where it was given by place, one int where a list is asked for, which of several views was written."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

CALLS = """
torch.sum(m, 'a')
torch.cat(tensors=3)
torch.cat(tensors=[3])
torch.cat([3])
torch.add(m, other='a')
torch.transpose(m, dim0=1.5, dim1=0)
torch.roll(m, shifts='a')
torch.roll(m, 1, dims=1.5)
torch.softmax(m, dim='a')
torch.cumsum(m, dim=None)
torch.gather(m, dim=0, index=3)
torch.topk(m, k=1.5)
torch.unsqueeze(m, dim=1.5)
torch.index_select(m, dim=0, index=1)
torch.exp(input=3)
m.add(other=None)
torch.triu(m, diagonal=1.5)
torch.addmm(m, mat1=m, mat2=3)
torch.multinomial(m, num_samples=1.5)
m.repeat(repeats=(1.5,))
m.expand(size=(1.5,))
torch.permute(m, dims='a')
m.argmax(dim=1.5)
torch.eye(n=1.5)
torch.matmul(m, other=3)
torch.dot(x, tensor=3)
torch.linalg.inv(A=3)
torch.fft.fft(m, n=1.5)
torch.fft.fft(m, norm=1)
torch.diagonal(m, offset=1.5)
torch.embedding(m, x.long(), sparse=1)
torch.positive(torch.float32)
torch.broadcast_to(True, (2,))
m.view_as(True)
torch.positive(torch.preserve_format)
torch.add(torch.device('cpu'), 1)
torch.sum(m, torch.float32)
torch.ones(2, device=7)
torch.device(0)
F.l1_loss(m, m, reduction={})
torch.linspace(0, 2j, 3, dtype=torch.float32)
torch.logspace(0, 2j, 3, dtype=torch.int64)
torch.flip(m, 0)
torch.flip(m, dims=0)
torch.flip(m, 0, 1)
m.flip(0)
m.flip(0, 1)
m.flip(dims=0)
torch.permute(x, 0)
x.permute(0)
x.permute(dims=0)
torch.tile(x, 2)
x.tile(2)
x.tile(2, 2)
torch.full(2, 1.0)
x.as_strided(2, 1)
torch.split_with_sizes(x, 4)
x.repeat(2)
x.repeat(repeats=2)
x.expand(4)
x.expand(size=4)
torch.rot90(m, 1, 0)
torch.constant_pad_nd(x, 1)
F.pad(x, 1)
torch.layer_norm(x, 4)
torch.empty_strided(2, 1)
torch.broadcast_to(x, 4)
x.broadcast_to(2, 4)
x.broadcast_to(4)
x.broadcast_to(size=(2, 4))
x.broadcast_to((2, 4))
x.broadcast_to()
F.embedding(x.long(), m.new_ones(4, 2), sparse=1)
F.embedding(x.long(), m.new_ones(4, 2), max_norm='a')
F.embedding_bag(x.long()[None], m.new_ones(4, 2), sparse=1)
F.embedding_bag(x.long()[None], m.new_ones(4, 2), include_last_offset=1)
torch.isin(x > 0, x > 0)
torch.isin(x, x > 0)
torch.isin(x + 1j, x)
torch.isin(x, 1)
(x.requires_grad_() * 1).split(2)[1].zero_()
(x.requires_grad_() * 1).unbind()[3].zero_()
(x.requires_grad_() * 1).split_with_sizes([1, 2, 1])[2].mul_(2)
(x.requires_grad_() * 1).view(2, 2).hsplit(2)[1].add_(1)
(x.requires_grad_() * 1).split(2)[1][0].zero_()
x.requires_grad_().__setitem__(slice(None), 1.0)
x.requires_grad_().__setitem__(Ellipsis, 1.0)
x.requires_grad_().__setitem__(slice(0, 2), 1.0)
x.clone(memory_format=3)
x.contiguous(memory_format='x')
x.contiguous(memory_format=torch.float32)
torch.empty(2, memory_format=1)
torch.empty_like(x, memory_format=2)
torch.zeros_like(x, memory_format='a')
x.float(memory_format=1)
x.is_contiguous(memory_format=1)
x.clone().resize_as_(x, memory_format=3)
x.clone().resize_(3, memory_format=3)
torch.zeros(2, dtype=3)
torch.zeros(2, layout='strided')
torch.zeros_like(x, dtype='float32')
torch.zeros(2, requires_grad=None, pin_memory=None)
torch.arange(3, requires_grad=None)
torch.hann_window(4, requires_grad=None)
torch.tensor(2., requires_grad=None)
x.clone().resize_()
x.clone().resize_(True)
x.clone().resize_(2.0)
x.clone().resize_(size=3)
x.clone().resize_(size=(2,))
F.max_unpool1d(m[None], m[None].long(), 2.0)
F.max_unpool1d(m[None], m[None].long(), 2, 2.0)
F.gaussian_nll_loss(m, m, torch.tensor(2))
F.gaussian_nll_loss(m, m, torch.tensor(2.0))
F.gaussian_nll_loss(m, m, m.new_ones(1, 2))
F.gaussian_nll_loss(m, m, m.new_ones(2))
F.rrelu(x, .5, .1)
torch.sspaddmm(m, m, m)
F.conv1d(m[None].double(), m[None])
F.conv1d(m[None].double(), m[None], x[:1])
F.conv2d(m[None, None], m[None, None].double())
F.conv2d(m.expand(2, 1, 2, 2), m[None, None].double())
F.conv2d(m.expand(1, 2, 2, 2), m.expand(2, 1, 2, 2).bfloat16(), groups=2)
F.conv2d(m[None, None], m[None, None].cfloat())
F.conv2d(m[None, None].cfloat(), m[None, None], x[:1])
F.conv_transpose3d(m[None, None, None].bfloat16(), m[None, None, None])
x.bfloat16().expand(2, 2, 2)
m.bfloat16().expand(2)
m.to(torch.uint16).expand(2)
m.to(torch.float8_e5m2).expand(2)
m.half().expand(2)
""".strip().splitlines()


def outcome(library: Any, text: str) -> str:
    scope = {"torch": library, "F": library.nn.functional, "x": library.ones(4), "m": library.ones(2, 2)}
    try:
        return str(eval(text, scope))
    except Exception as e:
        return f"{type(e).__name__}: {e}"


@pytest.mark.parametrize("text", CALLS)
def test_a_call(text: str) -> None:
    assert outcome(jtorch, text) == outcome(torch, text)


WRITES = [("T", 3), ("mT", 3), ("H", 3), ("mH", 3), ("shape", (4,)), ("dtype", 3), ("device", "cpu"), ("grad_fn", 3), ("is_leaf", True), ("is_cuda", 1), ("is_sparse", 1), ("is_quantized", 1), ("name", "q"), ("ndim", 2), ("layout", 3), ("_version", 3), ("requires_grad", 3), ("requires_grad", True), ("volatile", True), ("grad", 3), ("data", 3), ("output_nr", 1)]


@pytest.mark.filterwarnings("ignore:volatile")
@pytest.mark.parametrize(("name", "value"), WRITES, ids=str)
def test_an_attribute(name: str, value: Any) -> None:
    def found(library: Any) -> str:
        x = library.ones(4)
        said = []
        for doing in (lambda: setattr(x, name, value), lambda: delattr(x, name)):
            try:
                doing()
                said.append("done")
            except Exception as e:
                said.append(f"{type(e).__name__}: {e}")
        return str(said)

    assert found(jtorch) == found(torch)


def test_no_gradients_in_a_batch() -> None:
    def found(library: Any) -> str:
        x = library.ones(2, requires_grad=True)
        with pytest.raises(ValueError, match="in_dim") as info:
            library.autograd.grad(x.sum(), x, is_grads_batched=True)
        return str(info.value)

    assert found(jtorch) == found(torch)
