"""``torch.compile(backend=a callable)``: what a backend made of a call's graph is called as long as all that the graph depended on is as it was. The programs print what torch prints, uncompiled."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jtorch
from compat.compile.replayed import flat, same

CASES: dict[str, Any] = {}


def case(f: Any) -> Any:
    CASES[f.__name__] = f
    return f


def _x(lib: Any) -> Any:
    return lib.linspace(-1, 1, 24).reshape(6, 4)


@case
def parameters_change(lib: Any, comp: Any) -> Any:
    m, x = lib.nn.Linear(4, 2), _x(lib)
    f = comp(m)
    out = [f(x), f(x)]
    with lib.no_grad():
        m.weight.add_(1)
    out.append(f(x))
    m.weight = lib.nn.Parameter(lib.ones(2, 4))
    out.append(f(x))
    m.bias = None
    return [*out, f(x)]


@case
def python_values_change(lib: Any, comp: Any) -> Any:
    class Model(lib.nn.Module):  # type: ignore[misc,name-defined]
        k = 1.0
        flag = False

        def __init__(self) -> None:
            super().__init__()
            self.several, self.sub = [1, 2], lib.nn.Dropout(0.5)

        def forward(self, x: Any) -> Any:
            return (x - 1 if self.flag else x * self.k) + sum(self.several) + (0 if self.sub.training else 100)

    m, x, held = Model(), _x(lib), {"k": 1.0}
    f, g, out = comp(m), comp(lambda x: x * held["k"]), []
    for change in (lambda: None, lambda: setattr(m, "k", 3.0), lambda: setattr(m, "flag", True), lambda: m.several.append(5), lambda: m.sub.eval(), lambda: held.update(k=4.0)):
        change()
        out += [f(x), g(x)]
    return out


@case
def buffers_are_written_once_a_call(lib: Any, comp: Any) -> Any:
    class Model(lib.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("n", lib.zeros(()))
            self.norm = lib.nn.BatchNorm1d(4)

        def forward(self, x: Any) -> Any:
            self.n.add_(1)
            return self.norm(x) * self.n

    m, x = Model(), _x(lib)
    f = comp(m)
    out = [f(x), f(x * 2), f(x)]
    m.eval()
    return [*out, f(x), m.n, m.norm.running_mean, m.norm.num_batches_tracked]


@case
def arguments_are_written_once_a_call(lib: Any, comp: Any) -> Any:
    a, f = lib.zeros(2), comp(lambda a: a.add_(1))
    return [f(a).clone(), f(a).clone(), a]


@case
def attributes_are_written(lib: Any, comp: Any) -> Any:
    class Model(lib.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.calls, self.seen = 0, []

        def forward(self, x: Any) -> Any:
            self.calls += 1
            self.seen.append(self.calls)
            return x * self.calls

    m, x = Model(), _x(lib)
    f = comp(m)
    return [f(x), f(x), f(x), m.calls, m.seen]


@case
def branches(lib: Any, comp: Any) -> Any:
    x, f = _x(lib), comp(lambda x: x * 2 if x.sum() > 0 else x - 5)
    return [f(x + k) for k in (1, -1, 1, -2)]


@case
def layers_are_exchanged(lib: Any, comp: Any) -> Any:
    m, x = lib.nn.Sequential(lib.nn.Linear(4, 4), lib.nn.ReLU()), _x(lib)
    f = comp(m)
    out = [f(x)]
    m[1] = lib.nn.Tanh()
    out.append(f(x))
    m.append(lib.nn.Linear(4, 1))
    return [*out, f(x), f(x)]


@case
def modes(lib: Any, comp: Any) -> Any:
    w, x = lib.ones(4, requires_grad=True), _x(lib)
    f = comp(lambda x: x * w)
    out = [f(x)]
    with lib.no_grad():
        out.append(f(x))
    f(x).sum().backward()
    return [*out, w.grad]


@case
def a_training_loop(lib: Any, comp: Any) -> Any:
    m, x = lib.nn.Linear(4, 2), _x(lib)
    f, opt, out = comp(m), lib.optim.SGD(m.parameters(), lr=0.1), []
    for _ in range(3):
        opt.zero_grad()
        loss = f(x).pow(2).mean()
        loss.backward()
        opt.step()
        out.append(loss.detach())
    return out


@case
def sizes_and_numbers(lib: Any, comp: Any) -> Any:
    x, f = _x(lib), comp(lambda x, k: (x[1:] * k, {"n": x.shape[0], "k": k}))
    return [list(f(x[:n], k)[0:1]) + [f(x[:n], k)[1]["n"]] for n, k in ((6, 1.0), (3, 1.0), (3, 2), (6, 2), (4, 1.0))]


@pytest.mark.parametrize("name", CASES)
def test_backends(name: str) -> None:
    asked: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        asked.append(graph)
        return graph

    out = []
    for lib, comp in ((torch, lambda f: f), (jtorch, lambda f: jtorch.compile(f, backend=backend))):
        lib.manual_seed(0)
        out.append(flat(CASES[name](lib, comp)))
    same(out[1], out[0])
    assert bool(asked) == (name not in ("branches", "attributes_are_written"))


def test_random_numbers_are_drawn_once_a_call() -> None:
    jtorch.manual_seed(0)
    f = jtorch.compile(lambda x: x + jtorch.rand(3), backend=lambda graph, inputs: graph)
    found = [f(jtorch.zeros(3)) for _ in range(3)]
    jtorch.manual_seed(0)
    for a in found:
        assert jtorch.equal(a, jtorch.rand(3))
