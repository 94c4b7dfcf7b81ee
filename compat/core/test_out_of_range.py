"""Indices out of range: torch's exception and its words, whether the index is known or still to be computed. What wraps or is ignored in torch is so here."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from compat import bridge

# name -> (library, its x of 3 x 4, a maker of index tensors) -> a tensor
CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "gather": lambda t, x, i: x.gather(1, i([[5, 0], [0, 1], [1, 2]])),
    "gather, negative": lambda t, x, i: x.gather(1, i([[-1, 0], [0, 1], [1, 2]])),
    "gather, 0-dim": lambda t, x, i: t.tensor(5.0).gather(0, i([1])),
    "index_select": lambda t, x, i: x.index_select(0, i([0, 3])),
    "index_select, dim 1": lambda t, x, i: x.index_select(1, i([0, 4])),
    "index_select, negative": lambda t, x, i: x.index_select(0, i([-1])),
    "take": lambda t, x, i: x.take(i([0, 12, 13])),
    "take, negative": lambda t, x, i: x.take(i([-13])),
    "take, wraps": lambda t, x, i: x.take(i([-12])),
    "put": lambda t, x, i: x.put(i([12]), t.ones(1)),
    "scatter": lambda t, x, i: x.scatter(1, i([[4]]), t.ones(1, 1)),
    "scatter, value": lambda t, x, i: x.scatter(1, i([[-1]]), 1.0),
    "scatter, multiply": lambda t, x, i: x.scatter(1, i([[4]]), t.ones(1, 1), reduce="multiply"),
    "scatter_add": lambda t, x, i: x.scatter_add(1, i([[4]]), t.ones(1, 1)),
    "scatter_reduce": lambda t, x, i: x.scatter_reduce(1, i([[4]]), t.ones(1, 1), "amax"),
    "index_add": lambda t, x, i: x.index_add(0, i([3]), t.ones(1, 4)),
    "index_add, one dim": lambda t, x, i: t.arange(3.0).index_add(0, i([3]), t.ones(1)),
    "index_add, middle": lambda t, x, i: t.ones(3, 4, 2).index_add(1, i([-1]), t.ones(3, 1, 2)),
    "index_copy": lambda t, x, i: x.index_copy(0, i([0, 3]), t.ones(2, 4)),
    "index_fill": lambda t, x, i: x.index_fill(0, i([-4]), 1.0),
    "index_fill, wraps": lambda t, x, i: x.index_fill(0, i([-3]), 1.0),
    "index_reduce": lambda t, x, i: x.index_reduce(0, i([3]), t.ones(1, 4), "prod"),
    "getitem": lambda t, x, i: x[i([1, -4, 9])],
    "getitem, second dim": lambda t, x, i: x[:, i([4])],
    "getitem, both dims": lambda t, x, i: x[i([0]), i([4])],
    "index_put": lambda t, x, i: x.index_put((i([3]),), t.tensor(1.0)),
    "index_put, accumulated": lambda t, x, i: x.index_put((i([3]),), t.tensor(1.0), accumulate=True),
    "embedding": lambda t, x, i: t.nn.functional.embedding(i([3]), x),
    "embedding, negative": lambda t, x, i: t.nn.functional.embedding(i([-1]), x),
    "embedding_bag": lambda t, x, i: t.nn.functional.embedding_bag(i([0, 1, 7, -3]), x, t.tensor([0, 2])),
    "embedding_bag, max": lambda t, x, i: t.nn.functional.embedding_bag(i([0, 1, 7, -3]), x, t.tensor([0, 2]), mode="max"),
    "embedding_bag, offsets": lambda t, x, i: t.nn.functional.embedding_bag(t.tensor([0, 1, 2]), x, i([0, 9])),
    "nll_loss": lambda t, x, i: t.nn.functional.nll_loss(x, i([0, 1, 4])),
    "nll_loss, negative": lambda t, x, i: t.nn.functional.nll_loss(x, i([0, 1, -1])),
    "nll_loss, ignored": lambda t, x, i: t.nn.functional.nll_loss(x, i([0, 1, -100])),
    "nll_loss, 2d": lambda t, x, i: t.nn.functional.nll_loss(x.reshape(1, 3, 2, 2), i([[[0, 1], [2, 3]]])),
    "cross_entropy": lambda t, x, i: t.nn.functional.cross_entropy(x, i([0, 1, 4]), label_smoothing=0.1),
    "one_hot": lambda t, x, i: t.nn.functional.one_hot(i([0, 3]), 3),
    "one_hot, negative": lambda t, x, i: t.nn.functional.one_hot(i([0, -1]), 3),
    "multi_margin_loss": lambda t, x, i: t.nn.functional.multi_margin_loss(x, i([0, 1, 4])),
    "multilabel_margin_loss": lambda t, x, i: t.nn.functional.multilabel_margin_loss(x, i([[0, 1, 4, -1]] * 3)),
    "take_along_dim, modulo": lambda t, x, i: t.take_along_dim(x, i([[4], [-5], [1]]), 1),
    "max_unpool1d": lambda t, x, i: t.nn.functional.max_unpool1d(t.ones(1, 1, 2), i([[[0, 9]]]), 2),
    "max_unpool2d": lambda t, x, i: t.nn.functional.max_unpool2d(t.ones(1, 1, 2, 2), i([[[[0, 99], [2, 3]]]]), 2),
    "searchsorted": lambda t, x, i: t.searchsorted(t.tensor([1.0, 2.0, 3.0]), t.tensor([2.0]), sorter=i([0, 1, 5])),
}


def _outcome(t: Any, case: Callable[[Any, Any, Any], Any], computed: bool) -> Any:
    def index(values: Any) -> Any:
        return t.tensor(values) + 0 if computed else t.tensor(values)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return case(t, t.arange(12.0).reshape(3, 4), index).tolist()
        except (IndexError, RuntimeError) as error:
            return type(error), str(error).partition("\n")[0]


@pytest.mark.parametrize("computed", [False, True], ids=["known", "computed"])
@pytest.mark.parametrize("name", CASES)
def test_as_torch(name: str, computed: bool) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with several, torch's embedding_bag loses the words of its error on the way
    try:
        _compare(name, computed)
    finally:
        torch.set_num_threads(threads)


def _compare(name: str, computed: bool) -> None:
    assert _outcome(bridge.jtorch(), CASES[name], computed) == _outcome(torch, CASES[name], computed)
