"""torch.compile without torch beside it: what it returns, where it refuses, backends, stances."""

from __future__ import annotations

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
    with torch.compiler.set_stance("force_eager"):
        assert f(torch.ones(3)).tolist() == [2.0] * 3
    with pytest.raises(RuntimeError, match="invalid torch.compile stance"):
        torch.compiler.set_stance("bogus")

    calls: list[int] = []

    @torch.compiler.disable
    def plain(x: Any) -> Any:
        calls.append(1)
        return x * 2

    g = torch.compile(lambda x: plain(x) + 1)
    assert [g(torch.ones(1)).item() for _ in range(4)] == [3.0] * 4
    assert len(calls) == 4
    with pytest.raises(torch._dynamo.exc.Unsupported):
        torch.compile(lambda x: plain(x), fullgraph=True)(torch.ones(1))
    torch.compiler.reset()
    assert f(torch.ones(2)).tolist() == [2.0, 2.0]
