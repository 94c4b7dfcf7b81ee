"""torch.compile without torch beside it: what it returns, where it refuses, backends, stances."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

import jtorch as torch


def test_it_keeps_what_it_is_given() -> None:
    net = torch.nn.Linear(2, 2)
    fast = torch.compile(net)
    assert list(fast.state_dict()) == ["_orig_mod.weight", "_orig_mod.bias"]
    assert fast.weight is net.weight
    assert not fast.eval()._orig_mod.training
    x = torch.ones(1, 2)
    assert torch.equal(fast(x), net(x))

    @torch.compile(fullgraph=True)
    def double(v: Any) -> Any:
        """Twice."""
        return v * 2

    assert double.__name__ == "double"
    assert double(x).tolist() == [[2.0, 2.0]]
    with pytest.raises(RuntimeError, match="Either mode or options"):
        torch.compile(net, mode="default", options={})


def test_python_runs_once() -> None:
    ran: list[Any] = []

    class Noted(torch.nn.Module):  # type: ignore[name-defined,misc]
        def forward(self, x: Any) -> Any:
            if torch.compiler.is_compiling():
                ran.append(None) if False else None
            return x * 2

    fast = torch.compile(Noted())
    compiled = fast._run_compiled._compiled
    for i in range(5):
        assert fast(torch.full((2,), float(i))).tolist() == [2.0 * i] * 2
    assert compiled.runs == 4 and not torch.compiler.is_compiling()


def test_fullgraph_raises_where_a_value_is_looked_at() -> None:
    def f(x: Any) -> Any:
        return x + 1 if x.sum() > 0 else x

    for look in (f, lambda x: x * x.item(), lambda x: x * x.tolist()[0]):
        with pytest.raises(torch._dynamo.exc.Unsupported):
            torch.compile(look, fullgraph=True)(torch.ones(1))
        assert torch.compile(look)(torch.ones(1)).shape == (1,)
    with pytest.raises(torch._dynamo.exc.Unsupported, match="graph_break"):
        torch.compile(lambda x: (torch._dynamo.graph_break(), x)[1], fullgraph=True)(torch.ones(1))


def test_backends_get_a_graph() -> None:
    seen: list[Any] = []

    def backend(graph: Any, examples: Any) -> Any:
        seen.append(([n.op for n in graph.graph.nodes], [tuple(t.shape) for t in examples]))
        return graph.forward

    net = torch.nn.Linear(2, 3)
    fast = torch.compile(lambda x, k: {"y": net(x) * k, "k": k}, backend=backend)
    for n in (1, 1, 4):
        out = fast(torch.ones(n, 2), 2.0)
        torch.testing.assert_close(out["y"], net(torch.ones(n, 2)) * 2)
        assert out["k"] == 2.0
    assert [s for _, s in seen] == [[(1, 2)], [(4, 2)]]
    assert seen[0][0][-1] == "output" and "call_function" in seen[0][0]
    with pytest.raises(RuntimeError, match="Invalid backend: 'nope'"):
        torch.compile(net, backend="nope")
    torch._dynamo.register_backend(backend, name="mine")
    assert "mine" in torch.compiler.list_backends()
    assert torch.compile(net, backend="mine")(torch.ones(1, 2)).shape == (1, 3)
    assert len(seen) == 3


def test_stances_and_disable() -> None:
    f = torch.compile(lambda x: x + 1)
    with torch.compiler.set_stance("fail_on_recompile"), pytest.raises(RuntimeError, match="fail_on_recompile"):
        f(torch.ones(2))
    assert f(torch.ones(2)).tolist() == [2.0, 2.0]
    with torch.compiler.set_stance("fail_on_recompile"):  # what there is is replayed
        assert f(torch.ones(2)).tolist() == [2.0, 2.0]
    with torch.compiler.set_stance("force_eager"):
        assert f(torch.ones(3)).tolist() == [2.0] * 3
    with pytest.raises(RuntimeError, match="invalid torch.compile stance"):
        torch.compiler.set_stance("bogus")

    calls: list[int] = []

    @torch.compiler.disable
    def plain(x: Any) -> Any:
        assert not torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()
        calls.append(1)
        return x * 2

    g = torch.compile(lambda x: plain(x) + 1)
    assert [g(torch.ones(1)).item() for _ in range(4)] == [3.0] * 4
    assert len(calls) == 4
    with pytest.raises(torch._dynamo.exc.Unsupported):
        torch.compile(lambda x: plain(x), fullgraph=True)(torch.ones(1))
    torch.compiler.reset()
    assert f(torch.ones(2)).tolist() == [2.0, 2.0]


class _World(torch.nn.Module):  # type: ignore[name-defined,misc]
    """What a compiled function may read, of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.lin, self.act = torch.nn.Linear(2, 2), torch.nn.Tanh()
        self.register_buffer("shift", torch.zeros(2))
        self.flag, self.rate, self.none, self.word = True, 0.5, None, "a"
        self.table, self.ordered = {"x": 1.0, "y": 2}, OrderedDict(a=2.0, b=3.0)
        self.many, self.names, self.empty = [1.0, 2.0], {"p"}, []
        self.by_number = {3: 1.0, 4: 2.0}

    def twice(self, v: Any) -> Any:
        return v * 2

    def forward(self, x: Any) -> Any:
        x = self.act(self.lin(x)) + self.shift
        x = x * self.rate if self.flag is True else x - 1
        for k, v in self.table.items():
            x = x * v if k == "x" else x + v
        for v in self.ordered.values():
            x = x * 0.5 + v
        for k, v in self.by_number.items():
            x = x / k + v
        x = x * (1 / self.many[0] if self.many[0] else -3.0) + len(self.empty) + ("p" in self.names)
        if self.none is not None:
            x = x + 7
        x = x - (_outside["z"] if "z" in _outside else 100)
        return self.twice(x) if self.word == "a" else x


_outside: dict[str, float] = {}


def _reordered(d: dict[Any, Any]) -> None:
    first = next(iter(d))
    d[first] = d.pop(first)


CHANGES: dict[str, Any] = {
    "an attribute": lambda m: setattr(m, "flag", False),
    "one for true": lambda m: setattr(m, "flag", 1),
    "a number": lambda m: setattr(m, "rate", 0.25),
    "an equal number that is another object": lambda m: setattr(m, "rate", float("0.5")),
    "None to something": lambda m: setattr(m, "none", 3),
    "text": lambda m: setattr(m, "word", "b"),
    "a value of a dict": lambda m: m.table.update(x=3.0),
    "a key of a dict": lambda m: m.table.update(w=3.0),
    "the order of a dict": lambda m: _reordered(m.table),
    "the order of an ordered dict": lambda m: _reordered(m.ordered),
    "a dict by numbers": lambda m: m.by_number.update({4: 9.0}),
    "the order of a dict by numbers": lambda m: _reordered(m.by_number),
    "an element": lambda m: m.many.__setitem__(0, 4.0),
    "zero": lambda m: m.many.__setitem__(0, 0.0),
    "what was empty": lambda m: m.empty.append(1),
    "a set": lambda m: m.names.clear(),
    "what was not there": lambda m: _outside.update(z=1.0),
    "a buffer's values": lambda m: m.shift.fill_(2.0),
    "a buffer": lambda m: setattr(m, "shift", torch.ones(2)),
    "a buffer's shape": lambda m: setattr(m, "shift", torch.ones(1)),
    "a parameter's data": lambda m: setattr(m.lin.weight, "data", torch.ones(2, 2)),
    "a parameter": lambda m: setattr(m.lin, "bias", torch.nn.Parameter(torch.ones(2))),
    "no parameter": lambda m: setattr(m.lin, "bias", None),
    "a module": lambda m: setattr(m, "act", torch.nn.ReLU()),
    "a hook": lambda m: m.lin.register_forward_hook(lambda mod, args, out: out * 2),
    "a method of the object": lambda m: setattr(m, "twice", lambda v: v * 3),
    "a method of its class": lambda m: setattr(type(m), "twice", lambda self, v: v * 4),
    "a method's code": lambda m: setattr(type(m).twice, "__code__", (lambda self, v: v * 5).__code__),
    "no gradients": lambda m: m.requires_grad_(False),
}


_QUICK = ("one for true", "the order of a dict", "what was not there", "a parameter's data", "a method's code")


@pytest.mark.parametrize("name", [n if n in _QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CHANGES])
def test_every_kind_of_change_is_seen(name: str) -> None:
    original = _World.twice
    code = original.__code__
    x = torch.tensor([[0.5, -1.0]])
    torch.manual_seed(0)
    m = _World()
    fast = torch.compile(m)
    compiled = fast._run_compiled._compiled
    try:
        for _ in range(2):
            assert torch.equal(fast(x), m(x))
        assert compiled.runs == 1, compiled.why
        CHANGES[name](m)
        for _ in range(2):
            found = fast(x)
            assert torch.equal(found, m(x)) and found.requires_grad == m(x).requires_grad
    finally:
        _World.twice, original.__code__ = original, code  # type: ignore[method-assign]
        _outside.clear()


def test_an_answer_comes_before_what_depends_on_it() -> None:
    @torch.compile
    def f(x: Any) -> Any:
        return torch.bernoulli(x) if (x <= 1).all() else x

    for _ in range(3):
        assert f(torch.ones(2)).tolist() == [1.0, 1.0]
    assert f(torch.full((2,), 3.0)).tolist() == [3.0, 3.0]  # no probabilities: what the first replay requires of them is not asked


def test_explain_says_what_became_of_a_call() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    found = torch._dynamo.explain(net)(torch.ones(1, 2))
    assert (found.graph_count, found.graph_break_count, found.op_count) == (1, 0, 2)
    assert "Ops 1:\n    linear\n    relu\n" in str(found)
    broken = torch._dynamo.explain(lambda x: x * x.item())(torch.ones(()))
    assert (broken.graph_count, broken.graph_break_count) == (0, 1) and "item" in broken.break_reasons[0].reason


def test_hooks_in_another_order_than_they_came() -> None:
    net = torch.nn.Linear(2, 2)
    net.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    net.register_forward_pre_hook(lambda m, args: (args[0] * 2,), prepend=True)
    fast = torch.compile(lambda x: net(x))
    x = torch.ones(1, 2)
    for _ in range(3):
        assert torch.equal(fast(x), net(x))
    assert fast._compiled.runs == 2, fast._compiled.why
