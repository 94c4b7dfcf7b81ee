"""``torch.compile`` where arguments, attributes and globals are views: another part of the same memory is another value, and what is written shows. And objects that change before a replay was tried."""

from __future__ import annotations

from typing import Any

import pytest

from compat.compile.replayed import Cases

CASES = Cases()
case = CASES.case


def _base(lib: Any) -> Any:
    return lib.arange(12.0).reshape(3, 4)


@case(True)
def other_parts(lib: Any, comp: Any) -> Any:
    base, f = _base(lib), comp(lambda v: v * 2)
    return [f(base[k]) for k in (0, 1, 2, 0)] + [f(base[:, k]) for k in (1, 1, 2, 3)], base


@case(True)
def parts_of_parts(lib: Any, comp: Any) -> Any:
    base, f = _base(lib), comp(lambda v: v[1:] * 2 + v.view(-1)[0])
    out = [f(base[k]) for k in (0, 1, 2, 0)]
    base.add_(1)
    return out + [f(base[k]) for k in (0, 1, 2)]


@case(False)
def parts_given_out(lib: Any, comp: Any) -> Any:
    base, f = _base(lib), comp(lambda v: v[1:])
    out = [f(base[k]) for k in (0, 1, 2)]
    out[0].zero_()
    return out, base


@case(False)
def parts_written(lib: Any, comp: Any) -> Any:
    base = _base(lib)

    def f(v: Any) -> Any:
        v.mul_(2)
        return v.sum()

    f = comp(f)
    return [f(v) for v in (base[0], base[:, 1], base[:, 2], base.t()[2], base[0], base[1])], base


@case(True)
def columns_and_pairs(lib: Any, comp: Any) -> Any:
    base, f = _base(lib), comp(lambda a, b: (a[:, 1:] @ b.t()).sum(0))
    return [f(base[k : k + 2], lib.ones(2, 3) * k) for k in (0, 1, 0, 1)]


@case(False)
def a_global_view(lib: Any, comp: Any) -> Any:
    base = _base(lib)
    row = base[1]
    f = comp(lambda x: x + row[1:].sum())
    out = []
    for _ in range(4):
        out.append(f(lib.zeros(3)))
        base.add_(1)
    return out


@case(True)
def a_view_of_a_buffer(lib: Any, comp: Any) -> Any:
    class Model(lib.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("both", lib.arange(6.0).reshape(2, 3))
            self.row = self.both[1]

        def forward(self, x: Any) -> Any:
            return x + self.row

    model, x = Model(), lib.zeros(3)
    f = comp(model)
    out = [f(x), f(x)]
    for write in (lambda: model.both.add_(10), lambda: model.row.zero_(), lambda: None, lambda: model.both.add_(1)):
        write()
        out.append(f(x))
    return out


@case(True)
def an_argument_that_stands_elsewhere_too(lib: Any, comp: Any) -> Any:
    """A call that was seen with one tensor in both places is no call with two."""

    class Model(lib.nn.Module):  # type: ignore[misc,name-defined]
        last = None

        def forward(self, x: Any) -> Any:
            return x if self.last is None else x + self.last

    model, (a, b, c) = Model(), [lib.ones(2) * k for k in (1, 10, 100)]
    f = comp(model)
    model.last = a
    out = [f(a), f(a), f(b), f(c), f(a)]
    model.last, held, part = b, [a], a[:1]
    g, h = comp(lambda x: x * held[0]), comp(lambda x: x + part)
    return [*out, f(b), f(b), f(a), g(a), g(a), g(b), h(a), h(a), h(b)]


@case(False)
def a_model_s_own_parameters_as_arguments(lib: Any, comp: Any) -> Any:
    lib.manual_seed(0)
    model, x = lib.nn.Linear(3, 2), lib.ones(2, 3)
    own = dict(model.named_parameters())
    f = comp(lambda p, x: lib.func.functional_call(model, p, (x,)))
    other = {k: v.detach() * 2 for k, v in own.items()}
    return [f(p, x * k) for p in (own, own, other, other, own) for k in (1, 2)]


@case(False)
def other_names_for_an_argument(lib: Any, comp: Any) -> Any:
    class Model(lib.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            y = x.detach()
            z = y.view(-1)[:1]
            self.kept = y
            return y, z + 1

    model = Model()
    f, out = comp(model), []
    for k in (1, 10, 100, 1):
        out += [*f(lib.ones(2) * k), model.kept]
    return out


@case(True)
def layers_come_before_a_replay(lib: Any, comp: Any) -> Any:
    lib.manual_seed(0)
    model = lib.nn.Sequential(lib.nn.Linear(4, 4), lib.nn.Tanh())
    f, x = comp(model), lib.ones(2, 4)
    out = [f(x)]
    model.append(lib.nn.Sigmoid())
    out += [f(x), f(x)]
    model[0].extra = 3
    model.insert(0, lib.nn.ReLU())
    return [*out, f(x), f(x), f(-x)]


@pytest.mark.parametrize("name", CASES)
def test_views(name: str) -> None:
    CASES.check(name)
