"""Sorting by all types, with nan, both zeros, infinities, ties and odd shapes: what is in which place is torch's, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import jtorch

_SHAPES = [(7, 13), (5, 1), (0, 4), (4, 0), (), (2, 3, 5)]
_TYPES = ["float32", "float16", "bfloat16", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]


def _tensor(lib: Any, kind: str, shape: tuple[int, ...], ties: bool) -> Any:
    r = np.random.RandomState(3)
    if "float" in kind:
        a = np.asarray(r.randn(*shape))
        a = np.round(2 * a) / 2 if ties else a
        special = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0]
    elif kind == "bool":
        a, special = np.asarray(r.randint(0, 2, shape)), []
    else:
        info = np.iinfo(kind)
        a = np.asarray(r.randint(0, 5, shape) if ties else r.randint(max(info.min, -(2**62)), min(info.max, 2**62), shape, dtype=np.int64))
        special = [info.min, info.max, info.max - 1]
    flat = a.reshape(-1)
    for value in special:
        if flat.size:
            flat[r.randint(0, flat.size, max(1, flat.size // 9))] = value
    made = lib.tensor(a, dtype=getattr(lib, kind))
    return made.t() if ties and len(shape) == 2 else made


def _numbers(x: Any) -> Any:
    return x.double().numpy() if x.dtype.is_floating_point else x.numpy()


def _equal(ours: Any, theirs: Any) -> bool:
    a, b = _numbers(ours), _numbers(theirs)
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f") and (a.dtype.kind != "f" or np.array_equal(np.signbit(a[a == a]), np.signbit(b[b == b])))


@pytest.mark.parametrize("kind", _TYPES)
def test_sort(kind: str) -> None:
    cases, found = [(shape, ties, dim, descending) for shape in _SHAPES for ties in (False, True) for dim in {0, len(shape[1:])} for descending in (False, True)], []
    for lib in (jtorch, torch):
        given = {(shape, ties): _tensor(lib, kind, shape, ties) for shape in _SHAPES for ties in (False, True)}
        found.append([given[shape, ties].sort(dim=dim, descending=descending, stable=True) for shape, ties, dim, descending in cases])
    for case, ours, theirs in zip(cases, *found, strict=True):  # all are recorded by now: few programs
        assert _equal(ours[0], theirs[0]) and _equal(ours[1], theirs[1]), case


@pytest.mark.parametrize("kind", [kind for kind in _TYPES if kind != "bool"])
def test_the_largest_and_the_smallest(kind: str) -> None:
    cases, found = [], []
    for shape, k in (((7, 13), 3), ((3, 5), 5), ((33, 4003), 9)):  # the last by blocks of columns
        for ties in (False, True):
            x, y = (_tensor(lib, kind, shape, ties).contiguous() for lib in (jtorch, torch))
            dim = x.shape.index(max(shape))
            for largest in (False, True):
                order = y.sort(dim=dim, descending=largest, stable=True)[1].narrow(dim, 0, k)  # torch leaves the order of equal ones open; here it is the stable one
                cases.append((shape, ties, largest))
                found.append((x.topk(k, dim, largest), y.topk(k, dim, largest), order))
    for case, (ours, theirs, order) in zip(cases, found, strict=True):
        assert np.array_equal(_numbers(ours[0]), _numbers(theirs[0]), equal_nan="float" in kind), case
        assert np.array_equal(ours[1].numpy(), order.numpy()), case


def test_gradients_go_where_the_values_came_from() -> None:
    found = []
    for lib in (jtorch, torch):
        x = lib.tensor(np.random.RandomState(0).randn(33, 4003).astype("f4"), requires_grad=True)
        (x.sort(1, descending=True)[0][:, :7].sum() + (x.topk(5)[0] * 2).sum() + (x.topk(5, largest=False)[0] * 3).sum() + x.kthvalue(9)[0].sum() + x.median(1)[0].sum()).backward()
        found.append(x.grad.numpy())
    assert np.array_equal(*found)
