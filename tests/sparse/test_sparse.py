"""Sparse tensors against the same computation on dense ones, and what carries them."""

from __future__ import annotations

from typing import Any

import pytest

import jtorch as torch
from jtorch._engine.running.executor import stats
from jtorch.nn import functional as F

pytestmark = pytest.mark.filterwarnings("ignore:Sparse ")  # what torch says once of checks and of compressed layouts

INDICES, VALUES, SIZE = [[0, 1, 1, 1], [2, 0, 2, 2]], [3.0, 4.0, 5.0, -1.0], (2, 3)
DENSE = torch.arange(6.0).reshape(2, 3)
OTHER = torch.arange(6.0).reshape(3, 2) - 2


def sample(values: Any = VALUES) -> Any:
    """Two of its values stand at one place."""
    return torch.sparse_coo_tensor(INDICES, values, SIZE)


def layouts() -> list[Any]:
    whole = sample().coalesce()
    return [whole, whole.to_sparse_csr(), whole.to_sparse_csc(), whole.to_sparse_bsr((1, 3)), whole.to_sparse_bsc((2, 1))]


def test_a_sparse_tensor_is_a_tensor() -> None:
    s = sample()
    assert type(s) is torch.Tensor and s.layout is torch.sparse_coo and s.shape == torch.Size(SIZE) and s.dtype is torch.float32
    assert s._nnz() == 4 and s.coalesce()._nnz() == 3


@pytest.mark.parametrize("k", range(5))
def test_every_layout_holds_the_same_matrix(k: int) -> None:
    s = layouts()[k]
    wanted = sample().to_dense()
    assert torch.equal(s.to_dense(), wanted)
    assert torch.equal(s.to_sparse_coo().to_dense(), wanted)
    assert torch.equal(s.t().to_dense(), wanted.t())
    assert torch.allclose(s @ OTHER, wanted @ OTHER)
    assert torch.equal((s * DENSE).to_dense(), wanted * DENSE)


def test_gradients_of_values_are_those_of_the_dense_computation() -> None:
    v, w = (torch.tensor(VALUES, requires_grad=True) for _ in range(2))
    x, y = (OTHER.clone().requires_grad_() for _ in range(2))
    weights = torch.arange(4.0).reshape(2, 2)
    (torch.sparse.mm(sample(v), x) * weights).sum().backward()
    dense = torch.zeros(SIZE).index_put(tuple(torch.tensor(INDICES)), w, accumulate=True)
    ((dense @ y) * weights).sum().backward()
    assert torch.allclose(v.grad, w.grad) and torch.allclose(x.grad, y.grad)


def test_second_derivatives() -> None:
    v = torch.tensor(VALUES, requires_grad=True)
    (first,) = torch.autograd.grad((sample(v).to_dense() ** 3).sum(), v, create_graph=True)
    first.sum().backward()
    assert torch.equal(first, 3 * torch.tensor([9.0, 16.0, 16.0, 16.0]))
    assert torch.equal(v.grad, torch.tensor([18.0, 24.0, 48.0, 48.0]))  # the two at one place see each other


@pytest.mark.parametrize("dim", [0, 1])
def test_softmax_of_what_is_specified(dim: int) -> None:
    s = sample().coalesce()
    dense = s.to_dense()
    wanted = torch.softmax(torch.where(dense != 0, dense, -torch.inf), dim).nan_to_num(0.0)
    assert torch.allclose(torch.sparse.softmax(s, dim).to_dense(), wanted)


@pytest.mark.parametrize("padding", [None, 2])
def test_sparse_gradients_of_embedding_are_the_dense_ones(padding: int | None) -> None:
    tables = [torch.arange(12.0).reshape(4, 3).requires_grad_() for _ in range(2)]
    rows = torch.tensor([[1, 2], [2, 0]])
    for table, sparse in zip(tables, (True, False), strict=True):
        (F.embedding(rows, table, padding, sparse=sparse) ** 2).sum().backward()
    assert tables[0].grad.is_sparse and tables[0].grad._nnz() == (4 if padding is None else 2)
    assert torch.equal(tables[0].grad.to_dense(), tables[1].grad)


def test_a_dense_operator_before_a_sparse_gradient() -> None:
    table = torch.ones(4, 3, requires_grad=True)
    F.embedding(torch.tensor([1, 1]), table * 2, sparse=True).sum().backward()
    assert torch.equal(table.grad, torch.tensor([0.0, 4.0, 0.0, 0.0])[:, None].expand(4, 3))


@pytest.mark.parametrize("name", ["SGD", "SparseAdam", "Adagrad"])
def test_batches_of_one_size_share_a_program(name: str) -> None:
    torch.manual_seed(0)
    table = torch.nn.Embedding(20, 3, sparse=True, padding_idx=0)
    optimizer = getattr(torch.optim, name)(table.parameters(), lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        for _ in range(2):
            (table(torch.randint(0, 20, (4, 3))) ** 2).sum().backward()
        optimizer.step()
        table.weight.sum().item()

    for _ in range(4):
        step()
    before = stats.compilations
    for _ in range(6):
        step()
    assert stats.compilations - before <= 1  # one may be made for what earlier tests had seen of such sizes, or anew after memory was given back; never one for each batch


def test_operators_without_a_sparse_form_say_so() -> None:
    with pytest.raises(NotImplementedError, match="Could not run 'aten::exp' with arguments from the 'SparseCPU' backend"):
        sample().exp()
    with pytest.raises(NotImplementedError, match="sparse_csr"):
        torch.unique(layouts()[1])
    with pytest.raises(TypeError, match="can't convert Sparse layout tensor to numpy"):
        sample().numpy()


def test_gradients_of_rows_add_up_after_jax_has_had_arrays_in() -> None:
    """Where arrays have come in by ``to_torch``, writes without gradients ask whether JAX follows what is written: a sparse value it never does."""
    import jax
    import jax.numpy as jnp

    from jtorch import interop

    jax.grad(lambda a: interop.to_jax((interop.to_torch(a) ** 2).sum()))(jnp.ones(3))
    table = torch.nn.Embedding(5, 2, sparse=True)
    for _ in range(2):
        table(torch.tensor([1, 3])).sum().backward()
    assert table.weight.grad.to_dense().tolist() == [[0, 0], [2, 2], [0, 0], [2, 2], [0, 0]]
