"""Where torch takes a list of ints: its parser asks the first element alone, so behind it a bool is an int, and what is no int is refused when the list is read. Each expression
gives the same, or the same exception, under both libraries; what a tensor is asked for, and what its overloads are, too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jtorch

EXPRESSIONS = """
t.empty((3, True)).shape
t.empty((True, 3)).shape
t.zeros(3, True).shape
t.full((3, True), 1.0)
t.full((True, 3), 1.0)
t.rand((2, True)).shape
t.randint(3, (2, True)).shape
x.new_zeros(3, True).shape
t.empty((3, 2.0)).shape
t.empty((3, "x")).shape
t.empty((3, None)).shape
t.empty((3, np.bool_(True))).shape
t.empty((np.bool_(True), 3)).shape
t.empty((3, np.float32(2))).shape
x[0].view(3, True)
x[0].reshape((3, True))
x[0].reshape((3, "x"))
x[0].expand(3, 3).expand(3, True)
x.permute(1, False)
x.sum((0, True))
x.amax((0, True))
x.amax((0, "x"))
x.repeat(2, True).shape
x.tile((2, True)).shape
x.flip((0, True))
x.squeeze((0, True)).shape
x[0].as_strided((2, True), (1, 1))
x[0].clone().resize_(2, True).shape
x.clone().resize_((2, "x"))
x[0].unflatten(0, (3, True))
x[0].unflatten(0, "x")
x[0].unflatten(0, (3, "x"))
x[0].unflatten(0, 3)
x[0].unflatten(0, (3.0, 1))
t.nn.functional.pad(x, (1, True))
t.nn.functional.pad(x, (True, 1))
t.nn.functional.pad(x, ("x",))
t.nn.functional.layer_norm(x[:, :1], (2, True)[1:])
t.nn.functional.conv2d(x[None, None], x[None, None, :1, :2], stride=(1, True))
t.nn.functional.conv2d(x[None, None], x[None, None, :1, :2], stride=(1, "x"))
t.nn.functional.max_pool2d(x[None, None], (2, True))
t.nn.Linear(True, 3).weight.shape
t.nn.LSTM(True, 3)
t.nn.Conv2d(2, 4, True).weight.shape
x.narrow(0, True, 1)
x.repeat_interleave("x")
x.repeat_interleave(2.0)
x.repeat_interleave([1, 2])
x.repeat_interleave(True)
t.add(1, 2, 3)
t.sub(1, 2, 3)
t.nn.functional.one_hot(t.tensor([1]), "x")
t.nn.functional.cross_entropy(x, t.tensor([0, 1]), label_smoothing="x")
t.nn.functional.cross_entropy(x, t.tensor([0, 1]), label_smoothing=t.tensor(0.5))
t.nn.functional.cross_entropy(x, t.tensor([0, 1]), ignore_index=1.0)
t.nn.functional.cross_entropy(x, "x")
t.nn.functional.conv1d(x[None].cfloat(), x[None])
t.nn.functional.conv1d(x[None], x[None, :, :0])
t.nn.functional.conv3d(x[None, None, None], x[None, None, None, :, :0])
t.nn.functional.conv_transpose2d(x[None, None], x[None, None][:, :0])
t.nn.functional.cosine_similarity(x, x, eps=-1.0)
x.sum().requires_grad_().backward("x")
x.sum().requires_grad_().backward(1.0)
x.sum().requires_grad_().backward(retain_graph="x")
x.sum().requires_grad_().backward(inputs="x")
t.autograd.grad("x", x)
t.autograd.backward([1])
t.isclose("x", x)
t.tensordot([1], x)
t.nn.utils.rnn.pad_sequence([t.ones(2, 2), t.ones(1, 3)])
t.nn.utils.rnn.pad_sequence([t.ones(2, 2), t.ones(2, 1)])
t._C._nn.slow_conv3d(t.ones(1, 1, 3, 3, 3), t.ones(2, 1, 2, 2, 2), 2, t.ones(2), 1, 1)
t._C._nn.slow_conv_transpose2d(x[None, None], x[None, None], (2, 3), None, 2)
t._C._nn.slow_conv_dilated2d(x[None, None], x[None, None, :1, :2], (1, 2), None, 1, 0, 2)
t.tensor(3.0).index_select(0, t.zeros(3).long())
t.tensor([t.ones(1), t.ones(1, 1)])
t.tensor([t.ones(2), t.ones(2)])
t.tensor([[1.0, 2.0], t.ones(2)])
t.tensor([t.tensor(1), 2.5])
t.tensor([[t.tensor(1)], [3]])
t.linalg.norm(t.ones(2, 2, 2), "fro")
t.linalg.vector_norm(x, "x")
t.linalg.norm(t.ones(2, 2, 2), 2)
t.linalg.cond(x[:, :2], "x")
t.fft.fft(x, "x")
t.asarray([1, 2], copy=False)
t.frombuffer(bytearray(7), dtype=t.float32)
t.ones(2, layout=t.sparse_coo)
t.unique(t.tensor([1j, 1.0]))
t.unique(t.tensor([[1j, 1.0]]), dim=0)
t.unique_consecutive(t.tensor([1j, 1.0]))
x.bool().expand(3)
x.long().expand(3)
x.cfloat().expand(())
x.expand(-1, 2, 3)
x.clone().__setitem__(0, x.long())
x.clone().copy_(t.ones(2, 2, 3).int())
t.ones(2, 4).baddbmm_(t.ones(1, 2, 3), t.ones(1, 3, 4))
t.arange(1j)
t.nn.Parameter(x.long())
t.nn.Parameter(x, "x")
t.utils.dlpack.from_dlpack("x")
x.repeat_interleave(t.tensor([[1, 2]]))
""".strip().splitlines()


def outcome(library: Any, expression: str) -> Any:
    try:
        return repr(eval(expression, {"t": library, "np": np, "x": library.arange(6.0).view(2, 3)})) if "rand" not in expression else eval(expression, {"t": library})
    except Exception as error:
        return type(error), str(error).partition("\n")[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_as_torch_takes_it(expression: str) -> None:
    ours, theirs = outcome(jtorch, expression), outcome(torch, expression)
    assert ours == theirs


CONSTRUCTED = """
LSTM(3, 2, dropout=None)
LSTM(3, 2, dropout=True)
LSTM(3, 2, bidirectional=3)
Conv2d(2, 4, (1,))
Conv2d(2, 4, 3, padding=[])
Conv2d(2, 4, 3, dilation=(1,))
ConvTranspose2d(2, 4, 3, output_padding=[])
HuberLoss(delta=True)
HuberLoss(delta='x')
EmbeddingBag(5, 3, max_norm='x')
EmbeddingBag(5, 3, include_last_offset=0)
Embedding(5, 3, padding_idx=True)
Embedding(5, 3, padding_idx=-2)
EmbeddingBag(5, 3, padding_idx=True)
Unflatten('x', (2, 2))
Unflatten(None, (2, 2))
Unflatten(1, (2, 'x'))
Unflatten(1, 2)
""".strip().splitlines()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", CONSTRUCTED)
def test_modules_made_of_it(call: str) -> None:
    def made(library: Any) -> Any:
        try:
            return repr(eval(f"library.nn.{call}"))
        except Exception as error:
            return type(error), str(error).partition("\n")[0]

    assert made(jtorch) == made(torch)


NODES = """
x.index_select(0, i)
x.gather(0, i[:, None])
x[i]
x.masked_fill(x > 1, 0.0)
torch.where(x > 1, x, x)
x.scatter(0, i[:, None], x)
x.index_add(0, i, x)
x.index_put((i,), x)
F.embedding(i, x)
F.embedding_bag(i[None], x)
F.nll_loss(x, i)
F.nll_loss(x, i, torch.ones(3))
F.mse_loss(x, torch.ones(2, 3))
F.layer_norm(x, (3,))
F.linear(x, torch.ones(2, 3))
F.conv1d(x[None], torch.ones(2, 2, 1))
F.batch_norm(x, torch.zeros(3), torch.ones(3))
x * torch.ones(3)
x * i[:, None]
x + 1
torch.cat([x, torch.ones(1, 3)])
""".strip().splitlines()


@pytest.mark.parametrize("text", NODES)
def test_what_a_node_leads_to(text: str) -> None:
    """A place for each input that the formula differentiates, given or not, and none for indices and masks."""

    def shown(library: Any) -> list[Any]:
        x = library.arange(6.0).view(2, 3).requires_grad_()
        out = eval(text, {"torch": library, "F": library.nn.functional, "x": x, "i": library.tensor([0, 1])})
        return [node is not None for node, _ in out.grad_fn.next_functions]

    assert shown(jtorch) == shown(torch)
