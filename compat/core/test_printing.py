"""``tensor_repr`` beside torch's ``repr``, on random tensors of every type, shape and print option."""

from __future__ import annotations

import math
import random
import re
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from jtorch import _dtypes
from jtorch._core.tensor import print_format

FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
EIGHTS = [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu]
INTS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64]
SHAPES = [(), (1,), (0,), (0, 3), (2, 0), (7,), (30,), (3, 4), (2, 3, 4), (1, 1, 1, 2), (1001,), (7, 150), (11, 3, 40), (2, 2, 2, 2, 2), (2000, 1), (8, 8, 8, 8)]


def host(t: torch.Tensor) -> np.ndarray:
    t = t.detach()
    name = str(t.dtype).removeprefix("torch.")
    if name == "bfloat16" or name.startswith("float8"):
        return t.view(torch.int16 if name == "bfloat16" else torch.int8).numpy().view(getattr(ml_dtypes, name))
    return t.numpy()


def ours(t: torch.Tensor) -> str:
    kind = _dtypes.ALL[str(t.dtype).removeprefix("torch.")]
    default = _dtypes.ALL[str(torch.get_default_dtype()).removeprefix("torch.")]
    name = None if t.grad_fn is None else type(t.grad_fn).__name__
    meta = t.device.type == "meta"
    return print_format.tensor_repr(
        None if meta else host(t), kind, "meta" if meta else None, name, t.requires_grad and name is None, default, shape=tuple(t.shape)
    )


def scaled(rng: random.Random, shape: tuple[int, ...]) -> torch.Tensor:
    style = rng.randrange(9)
    x = torch.randn(shape, dtype=torch.float64)
    if style == 1:
        x = x * 10.0 ** rng.randint(-12, 12)
    elif style == 2:
        x = (x * 10 ** rng.randint(0, 9)).round()
    elif style == 3:
        x = torch.exp(8 * x)
    elif style == 4:
        x = torch.where(torch.rand(shape) < 0.3, torch.tensor(rng.choice([math.nan, math.inf, -math.inf, 0.0, -0.0]), dtype=torch.float64), x)
    elif style == 5:
        x = torch.zeros(shape, dtype=torch.float64) * rng.choice([1, -1, math.nan])
    elif style == 6:
        x = torch.where(torch.rand(shape) < 0.5, torch.tensor(math.inf, dtype=torch.float64), (x * 100).round())
    elif style == 7:
        x = x.abs() * rng.choice([1e-4, 1e8, 1e3, 999.0])
    return x


def sample(rng: random.Random) -> torch.Tensor:
    shape = rng.choice(SHAPES)
    dt = rng.choice([*FLOATS * 3, *INTS, torch.bool, torch.complex64, torch.complex128, *EIGHTS])
    if dt == torch.bool:
        return torch.rand(shape) < rng.random()
    if dt in INTS:
        info = torch.iinfo(dt)
        top = rng.choice([2, 100, min(info.max, 2**63 - 1)])
        return torch.randint(max(info.min, -top), min(info.max, top), shape, dtype=torch.int64).to(dt)
    if dt in EIGHTS:
        return torch.randn(shape).abs().to(dt)
    if dt.is_complex:
        return torch.complex(scaled(rng, shape), scaled(rng, shape)).to(dt)
    return scaled(rng, shape).to(dt)


def options(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.5:
        return {}
    return {
        "precision": rng.choice([None, 0, 1, 2, 8]), "threshold": rng.choice([None, 5, 0, math.inf if rng.random() < 0.1 else 50]),
        "edgeitems": rng.choice([None, 0, 1, 2, 5]), "linewidth": rng.choice([None, 20, 40, 120]),
        "profile": rng.choice([None, "default", "short"]), "sci_mode": rng.choice([None, None, True, False]),
    }  # fmt: skip


@pytest.fixture(autouse=True)
def restored():
    yield
    torch.set_printoptions(profile="default")
    print_format.set_printoptions(profile="default")
    torch.set_default_dtype(torch.float32)


def check(t: torch.Tensor, note: Any = "") -> None:
    expected, got = repr(t), ours(t)
    assert expected == got, f"{note}\n--- torch\n{expected}\n--- jtorch\n{got}"


@pytest.mark.parametrize("seed", range(24))
def test_random_tensors(seed: int) -> None:
    rng = random.Random(seed)
    torch.manual_seed(seed)
    chosen = options(rng)
    torch.set_printoptions(**chosen)
    print_format.set_printoptions(**chosen)
    torch.set_default_dtype(rng.choice([torch.float32, torch.float32, torch.float64, torch.bfloat16]))
    for _ in range(14):
        t = sample(rng)
        if t.ndim == 1 and t.dtype in EIGHTS and print_format.options.edgeitems == 0:
            continue
        if t.dtype.is_floating_point and t.dtype not in EIGHTS and rng.random() < 0.4:
            t.requires_grad_()
            if rng.random() < 0.5:
                t = t * 1
        if t.dtype in EIGHTS and t.numel() > 1000:
            continue  # torch cannot stack float8
        check(t, chosen)


def test_other_suffixes() -> None:
    check(torch.empty(3, 4, device="meta"))
    check(torch.empty(3, 4, device="meta", dtype=torch.int64))
    check(torch.empty((), device="meta", dtype=torch.float64).requires_grad_())
    check(torch.ones(3, dtype=torch.float64).requires_grad_())
    check(torch.ones(20, dtype=torch.float64).requires_grad_() * 2)
    check(torch.tensor(1.5, requires_grad=True).exp())
    check(torch.ones(2, 2)[0:1].t())


@pytest.mark.filterwarnings("ignore")
def test_sparse() -> None:
    for t in (torch.eye(3).to_sparse(), torch.zeros(2, 3, dtype=torch.float64).to_sparse(), torch.randn(30, 30).to_sparse()):
        got = print_format.sparse_repr(
            [("indices", t._indices().numpy()), ("values", t._values().numpy())], t.shape, t._nnz(), _dtypes.from_np(t._values().numpy().dtype), None, None, False, _dtypes.float32
        )
        assert got == repr(t)
    t = torch.eye(3).to_sparse_csr()
    parts = [("crow_indices", t.crow_indices().numpy()), ("col_indices", t.col_indices().numpy()), ("values", t.values().numpy())]
    assert print_format.sparse_repr(parts, t.shape, 3, _dtypes.float32, None, None, False, _dtypes.float32, layout="torch.sparse_csr") == repr(t)


def test_options() -> None:
    import torch._tensor_str as theirs

    for change in ({"profile": "full"}, {"precision": 7, "sci_mode": True}, {"profile": "short", "linewidth": 9}, {}):
        torch.set_printoptions(**change)
        print_format.set_printoptions(**change)
        assert theirs.get_printoptions() == print_format.get_printoptions()
    with print_format.printoptions(precision=1):
        assert re.fullmatch(r"tensor\(\[1\.2\]\)", print_format.tensor_repr(np.array([1.23], np.float32), _dtypes.float32, None, None, False, _dtypes.float32))
    assert print_format.options.precision == theirs.get_printoptions()["precision"]
