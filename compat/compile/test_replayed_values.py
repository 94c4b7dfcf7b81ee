"""torch.compile: calls that branch on values, and what leaves a replayed call: numbers, gradients, hooks."""

from __future__ import annotations

from typing import Any

import pytest

from compat.compile.replayed import Cases, net_of

CASES = Cases()
case = CASES.case


@case(True)
def branches_on_values(lib: Any, comp: Any) -> Any:
    """Replays of one answer each: what is drawn before an answer is another is drawn again."""
    w, seen = lib.nn.Parameter(lib.ones(3)), lib.zeros(3)

    def f(x: Any) -> Any:
        y = x * w + lib.rand(3)
        y = y * 2 if y.sum() > 4 else y - lib.rand(3)
        if bool((y > 0).all()):
            y = y + 1
        seen.add_(y.detach())
        return y

    fast, out = comp(f), []
    lib.manual_seed(1)
    for i in range(12):
        y = fast(lib.full((3,), [0.0, 2.0, -1.0][i % 3]))
        y.sum().backward()
        out.append(y)
    return [out, seen, w.grad, lib.rand(1)]


@case(False)
def more_answers_than_are_kept(lib: Any, comp: Any) -> Any:
    def f(x: Any) -> Any:
        n = 0
        while x.sum() > 1:
            x, n = x / 2, n + 1
        return x + n

    fast = comp(f)
    return [fast(lib.full((2,), 2.0**i)) for i in (1, 2, 3, 4, 5, 2)]


@case(True)
def a_policy(lib: Any, comp: Any) -> Any:
    """Distributions check what they are given, and so does what draws: all of it is replayed."""
    net = net_of(lib)
    optimizer = lib.optim.Adam(net.parameters(), lr=0.01)

    def act(x: Any) -> Any:
        choice = lib.distributions.Categorical(logits=net(x).expand(3) * lib.arange(3.0))
        action = choice.sample()
        return action, choice.log_prob(action)

    fast, out = comp(act), []
    lib.manual_seed(1)
    for _ in range(2):
        state, kept = 0.1, []
        for _ in range(3):
            action, log = fast(lib.full((4,), state))
            kept.append(log)
            state = state * 0.9 + action.item() * 0.1
        optimizer.zero_grad()
        (-lib.stack(kept).mean() * state).backward()
        optimizer.step()
        out += [state, lib.stack(kept)]
    return [*out, list(net.parameters())]


@case(True)
def numbers_are_given_out(lib: Any, comp: Any) -> Any:
    """Numbers that change leave as Python's own, wherever they are put, also from the call that finds out, and where what follows cannot be followed."""

    class State:
        pass

    s, kept = State(), {}
    s.n = 1.0

    @comp
    def step(x: Any) -> Any:
        s.n = s.n * 2
        s.all = [s.n, {"n": s.n}]
        s.pair = (s.n + 1, [s.n])
        return x * s.n, s.n, [s.n, {"n": s.n}], (s.n, (s.n + 1,))

    @comp
    def ends(x: Any) -> Any:
        s.n = s.n + 1
        n = s.n
        loud = x.sum().item()
        kept["late"] = [n, loud]
        s.late = n * 2
        return lib.full((2,), n) * n, n, [n]

    def classes(v: Any) -> Any:
        return [classes(k) for k in (v.values() if isinstance(v, dict) else v)] if isinstance(v, (list, tuple, dict)) else type(v).__name__.replace("Parameter", "Tensor")

    out = []
    for f in (step, ends):
        for _ in range(5):
            r = f(lib.ones(2))
            out += [classes(r), classes(vars(s)), classes(kept), str(r[1:]), r[0]]
    return out


@case(True)
def gradients_are_given_out(lib: Any, comp: Any) -> Any:
    w = lib.ones(2, requires_grad=True)
    read, box = comp(lambda x: (w.grad, x * 2)), {}

    @comp
    def replaced(x: Any) -> Any:
        box["old"] = w.grad
        w.grad = None
        (w * x).sum().backward()
        return w.grad

    out = []
    for i in range(4):
        w.grad = lib.full((2,), float(i))
        g = read(lib.ones(2))[0]
        out += [g is w.grad, g.clone()]
        new = replaced(lib.ones(2) * i)
        out += [box["old"] is g, box["old"], new is w.grad, new.clone()]
    return out


@case(True)
def hooks_of_leaves(lib: Any, comp: Any) -> Any:
    """They run once for each pass backward, and what they return is what counts."""
    w, heard = lib.ones(2, requires_grad=True), []
    w.register_hook(lambda g: heard.append(float(g.sum())) or g * 10)
    compiled = comp(lambda x: (x * w).sum())
    found = []
    for i in range(3):
        compiled(lib.ones(2) + i).backward()
        found.append(w.grad.clone())
    return found, heard


@case(False)
def hooks_on_the_way_back(lib: Any, comp: Any) -> Any:
    """Module hooks and custom Functions are Python: they run once for each pass."""
    net, heard = net_of(lib), []
    net[1].register_full_backward_hook(lambda m, gi, go: heard.append(float(go[0].sum())))

    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            heard.append(1)
            return g * 3 * ctx.saved_tensors[0]

    step, square = comp(net), comp(lambda x: Square.apply(x).sum())
    x = lib.ones(1, 4, requires_grad=True)
    for _ in range(3):
        step(x).sum().backward()
        square(x).backward()
    return heard, x.grad


@pytest.mark.parametrize("name", CASES)
def test_compiled_is_as_torch(name: str) -> None:
    CASES.check(name)
