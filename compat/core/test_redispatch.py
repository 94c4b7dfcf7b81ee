"""Functions of programs that ask ``__torch_function__``: modes and classes, one step of asking left out, plain methods; the same under both libraries."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch as real

import jtorch


def _attempt(fn: Any) -> Any:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            result = fn()
        except Exception as e:
            result = type(e).__name__, str(e).split(" on types")[0]
    return result, [(w.category.__name__, str(w.message).split(" (Triggered")[0]) for w in heard]


def _seen(torch: Any) -> list[Any]:
    overrides = torch.overrides
    calls: list[str] = []

    class Logged(torch.Tensor):  # type: ignore[misc, name-defined]
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any, kwargs: Any = None) -> Any:
            calls.append(func.__name__)
            return overrides.redispatch_function(func, types, args, kwargs)

    def scaled(a: Any, b: Any) -> Any:
        if overrides.has_torch_function((a, b)):
            return overrides.handle_torch_function(scaled, (a, b), a, b)
        return a * b + 1

    class Mode(overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(self, func: Any, types: Any, args: Any, kwargs: Any = None) -> Any:
            calls.append(f"mode {func.__name__}")
            with self:
                return overrides.redispatch_function(func, types, args, kwargs)

    class Refusing:
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return NotImplemented

    class Plain:
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func.__name__

    x, y = Logged(torch.tensor([3.0])), Logged(torch.tensor([4.0]))
    a, b = torch.tensor([3.0]), torch.tensor([4.0])
    found: list[Any] = [type(scaled(x, y)).__name__, type(x + 1).__name__, tuple(x.shape), type(torch.stack([x, y])).__name__]
    with Mode():
        result = scaled(a, b)
    found += [result.tolist(), overrides.redispatch_function(torch.add, (), (a, b), {"alpha": 2}).tolist(), scaled(a, b).tolist()]
    found += [_attempt(lambda: overrides.redispatch_function(len, (), ([1],), None)), _attempt(lambda: scaled(Refusing(), a)), _attempt(lambda: scaled(Plain(), a))]
    found += [_attempt(lambda: torch.add(Plain(), 1))]
    return [*found, *calls]


def test_who_is_asked() -> None:
    assert _seen(jtorch) == _seen(real)


def _results(torch: Any) -> list[Any]:
    x = torch.tensor([[1.0, 3.0], [2.0, 0.0]])
    into = torch.empty(2), torch.empty(2, dtype=torch.int64)
    found: list[Any] = []
    for r in (torch.max(x, 0), torch.max(x, 0, out=into), torch.linalg.lu(x), torch.sort(x), torch.aminmax(x)):
        kind = type(r)
        found += [str(kind), kind.n_fields, kind.n_sequence_fields, kind.n_unnamed_fields, kind.__match_args__]
    match torch.max(x, 0):
        case torch.return_types.max(values, indices):
            found += [values.tolist(), indices.tolist()]
    made = torch.return_types.max((1, 2))
    found += [made.values, made == (1, 2), hash(made) == hash((1, 2)), _attempt(lambda: torch.return_types.max((1,)))]
    names = "aminmax_out linalg_lu_factor linalg_lstsq_out histogramdd lu_unpack_out sort_out svd topk_out".split()
    return [*found, [str(getattr(torch.return_types, n)) for n in names], _attempt(lambda: torch.return_types.nothing)]


def test_classes_of_results() -> None:
    assert _results(jtorch) == _results(real)


_ATTENTION = """
((2,3,4,8),)*3 | (4,4) | False
((2,3,4,8),)*3 | (4,4) | True
((3,4,8),)*3 | (4,4) | True
((2,3,4,8),)*3 | (4,) | False
((3,4,8),)*3 | (4,) | False
((2,3,4,8),)*3 | (5,4) | False
((2,3,4,8),)*3 | (7,4,4) | False
((3,4,8),)*3 | (2,1,4,4) | False
((2,3,4,8),(2,3,5,8),(2,3,5,6)) | (4,5) | True
((4,8),(4,7),(4,8)) | None | False
((4,8),(5,8),(4,8)) | None | False
((3,4,8),(3,4,7),(3,4,8)) | None | False
((4,8),(2,4,7),(2,4,7)) | None | False
((4,8),(4,8),(8,)) | None | False
"""


@pytest.mark.parametrize("line", _ATTENTION.strip().splitlines())
def test_attention_of_shapes_that_do_not_go_together(line: str) -> None:
    shapes, mask, causal = (eval(part) for part in line.split(" | "))

    def seen(torch: Any, dropped: float) -> Any:
        torch.manual_seed(0)
        given = [torch.ones(*s) for s in shapes]
        return _attempt(lambda: tuple(torch.nn.functional.scaled_dot_product_attention(*given, None if mask is None else torch.ones(*mask), dropped, causal).shape))

    for dropped in (0.0, 0.5):
        assert seen(jtorch, dropped) == seen(real, dropped)


def test_keywords_that_an_overload_does_not_have() -> None:
    def seen(torch: Any) -> Any:
        a, b = torch.tensor(2), torch.tensor(0)
        add = torch.ops.aten.add
        return [_attempt(lambda: add.Tensor(a, a, out=b)), _attempt(lambda: add.Tensor(a, a, foo=1)), int(add.out(a, a, out=b)), int(add.Tensor(a, other=a, alpha=2))]

    assert seen(jtorch) == seen(real)
