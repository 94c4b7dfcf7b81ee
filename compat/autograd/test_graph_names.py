"""What the graph shows: a node's name and where its gradients go. Integers and numbers that torch's formula does not name are not among them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch

CALLS = """
w * n
n ** w
torch.where(b, w, n)
w.gather(1, at)
w.index_select(0, i)
w.scatter_add(1, at, v)
w.masked_fill(b, 1.0)
w.masked_fill(b, torch.tensor(1))
w // 2
w // n
w // v
w + 1
w ** 2
2 ** w
torch.fmod(w, 2)
torch.remainder(w, 2)
torch.xlogy(w, 2)
torch.xlogy(2, w)
torch.lerp(w, v, 0.5)
torch.where(b, w, 1.0)
F.nll_loss(w, i)
F.embedding(i, w)
F.rrelu(w, training=True)
torch.fake_quantize_per_channel_affine(w, torch.ones(2), torch.zeros(2, dtype=torch.int32), 0, 0, 255)
torch.linalg.lu_solve(*torch.linalg.lu_factor(w[:, :2]), torch.ones(2, 1))
torch.diag(w)
torch.diag(w[0])
torch.diagonal_copy(w)
torch.alias_copy(w)
torch.select_copy(w, 0, 1)
torch.slice_copy(w)
torch.expand_copy(w, (2, 2, 3))
torch.unbind_copy(w)[1]
torch.split_copy(w, 1)[0]
torch.narrow_copy(w, 0, 0, 1)
torch.view_copy(w, (3, 2))
torch.t_copy(w[:1])
torch.detach_copy(w)
F.adaptive_avg_pool2d(w.view(1, 2, 3, 1), 1)
F.adaptive_avg_pool2d(w.view(1, 2, 3, 1).to(memory_format=torch.channels_last), 1)
torch.positive(w)
+w
torch.cdist(w, v)
""".strip().splitlines()


def shown(library: Any, text: str) -> Any:
    w, v = (library.tensor([[1.0, 2.0, 4.0], [4.0, 5.0, 7.0]]).requires_grad_(x) for x in (True, False))
    scope = {"torch": library, "F": library.nn.functional, "w": w, "v": v, "i": library.tensor([0, 1]), "at": library.tensor([[0, 1, 1], [1, 0, 0]]), "b": w > 2, "n": library.tensor([[1, 2, 3], [4, 5, 6]])}
    node = eval(text, scope).grad_fn
    return node and (node.name(), [(to and to.name(), at) for to, at in node.next_functions])


@pytest.mark.parametrize("text", CALLS)
def test_a_node(text: str) -> None:
    assert shown(jtorch, text) == shown(torch, text)
