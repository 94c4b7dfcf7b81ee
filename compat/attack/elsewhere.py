"""Interrupts outside of a plain training step, at chosen points instead of random moments: while a function is compiled, a file is read or written, workers are started, a checkpointed block is
computed again, a model is made, converted or filled.

``python -m jtorch compat/attack/elsewhere.py [--only save,load] [--points 60]``. Python looks for interrupts where a function begins, after a call and at a loop's turn. Those points of the library's
code are counted once; then the same thing is done again and again, and at one point each time an exception comes in, or a handler that computes and saves. Afterwards nothing is half done
that torch would not leave half done, no mode is left on, and the same thing done once more gives what it gives without interrupts.
"""

from __future__ import annotations

import argparse
import copy
import dis
import io
import itertools
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn


class Hit(BaseException):
    """What comes in between, as KeyboardInterrupt does."""


class Points:
    """A trace function that counts the points at which something can come in between, in the library's own code; at the n-th, or as soon as possible afterwards, it calls ``what``."""

    def __init__(self, n: int = 0, what: Callable[[], None] | None = None) -> None:
        self.n, self.what, self.count, self.where = n, what, 0, ""

    def __call__(self, frame: Any, event: str, arg: Any) -> Any:
        code = frame.f_code
        if f"{os.sep}jtorch{os.sep}" not in code.co_filename and f"{os.sep}torch{os.sep}" not in code.co_filename:
            return self
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        text, before = code.co_code, [""]

        def within(frame: Any, event: str, arg: Any) -> Any:
            if event == "opcode":
                if before[0].startswith(("CALL", "RESUME", "JUMP_BACKWARD")):
                    self.count += 1
                    if self.what is not None and self.count >= self.n:
                        what, self.what = self.what, None
                        sys.settrace(None)
                        self.where = f"{code.co_filename.rpartition('jtorch')[2]}:{frame.f_lineno}"
                        what()
                before[0] = dis.opname[text[frame.f_lasti]]
            return within

        return within


def throw() -> None:
    raise Hit


def full() -> None:
    raise MemoryError


def look() -> None:
    """A handler as programs have them: it computes, trains a little thing of its own, and saves."""
    with torch.enable_grad():
        w = torch.ones(2, requires_grad=True)
        (w * 3).sum().backward()
    assert w.grad is not None and w.grad.tolist() == [3.0, 3.0]
    torch.save({"w": w}, io.BytesIO())


KINDS: dict[str, Callable[[], None]] = {"exception": throw, "memory": full, "handler": look}


def modes() -> list[Any]:
    """What is on in this thread."""
    return [
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype(), torch.is_autocast_enabled("cpu"), torch.is_anomaly_enabled(), torch.get_num_threads(),
        torch.get_default_device(), torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
    ]  # fmt: skip


class Case:
    """``setup`` makes a state, ``act`` does the thing, ``result`` is what it must come to, ``check`` looks at what an interrupt left."""

    wraps: tuple[type[BaseException], ...] = ()  # what torch makes of an exception on the way
    off = 1e-3  # what a number may be off by, to one

    def setup(self) -> Any:
        raise NotImplementedError

    def act(self, s: Any) -> Any:
        raise NotImplementedError

    def check(self, s: Any) -> None:
        """Look at what is there after the interrupt."""

    def result(self, s: Any, out: Any) -> Any:
        """Plain numbers that are the same each time."""
        return out

    def again(self, s: Any) -> Any:
        """The thing once more, in the state that the interrupt left."""
        return self.act(s)


def _model() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))


def _values(m: Any) -> list[Any]:
    return [v.tolist() for v in m.state_dict().values()]


X = torch.arange(12.0).reshape(3, 4) / 12


class Compile(Case):
    """The first call of a compiled step, and the second."""

    done = 0  # steps before

    def setup(self) -> Any:
        model = _model()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, eps=1e-2)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = model(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            return loss

        s = model, optimizer, self.way(step)
        for _ in range(self.done):
            self.act(s)
        return s

    def way(self, step: Any) -> Any:
        return torch.compile(step)

    def batch(self) -> Any:
        return X

    def _parts(self, s: Any) -> list[Any]:
        state = [v for st in s[1].state.values() for _, v in sorted(st.items())]
        return [p.tolist() for p in s[0].parameters()] + ([v.tolist() for v in state] if any(v.any() for v in state) else [])  # made, and nothing in it yet: not begun

    def act(self, s: Any) -> Any:
        return s[2](self.batch()).item()

    def check(self, s: Any) -> None:
        found = self._parts(s)
        assert any(_near(found, k, self.off) for k in self.known()[self.done : self.done + 2]), "the model is neither before nor after the step"

    def known(self) -> list[Any]:
        if not hasattr(self, "_known"):
            model, optimizer, _ = Compile.setup(Compile())
            self._known = [self._parts((model, optimizer))]
            for _ in range(self.done + 3):
                optimizer.zero_grad()
                model(X).pow(2).mean().backward()
                optimizer.step()
                self._known.append(self._parts((model, optimizer)))
        return self._known

    def again(self, s: Any) -> Any:
        at = next(i for i, k in enumerate(self.known()) if i >= self.done and _near(self._parts(s), k, self.off))
        s[2](self.batch())
        assert _near(self._parts(s), self.known()[at + 1], self.off), f"a step from {at} does not lead to {at + 1}"
        return None

    def result(self, s: Any, out: Any) -> Any:
        return None


class Sizes(Compile):
    """A step whose batch has a size that was never there: one program runs for many of them. (The same rows again and again: the step is the same one.)"""

    done = 2
    off = 0.02  # Adam makes much of the last digits of gradients, which depend on the size; a step moves a number by 0.1
    sizes = itertools.count(2)

    def way(self, step: Any) -> Any:
        return step

    def batch(self) -> Any:
        return X.repeat(next(self.sizes), 1)


class CompileSizes(Sizes):
    """The same, compiled."""

    def way(self, step: Any) -> Any:
        return torch.compile(step)


class CompileForward(Case):
    """The first call of a compiled function."""

    def setup(self) -> Any:
        m = _model().eval()
        return m, torch.compile(m)

    def act(self, s: Any) -> Any:
        return s[1](X).tolist()


class Save(Case):
    """A file that is written over an older one of the same name."""

    new = True

    def setup(self) -> Any:
        folder = tempfile.mkdtemp(prefix="elsewhere")
        path = os.path.join(folder, "m.pt")
        torch.save({"a": torch.zeros(5), "n": 0}, path)
        return folder, path

    def act(self, s: Any) -> Any:
        torch.save({"a": torch.ones(50) * 2, "m": _model().state_dict(), "n": 1}, s[1], _use_new_zipfile_serialization=self.new)
        return torch.load(s[1])["a"].tolist()

    def check(self, s: Any) -> None:
        found = torch.load(s[1])
        assert found["a"].tolist() == [[0.0] * 5, [2.0] * 50][found["n"]], "the file is torn"

    def result(self, s: Any, out: Any) -> Any:
        left = sorted(os.listdir(s[0]))
        assert left == ["m.pt"], f"left behind: {left}"
        return out


class SaveOld(Save):
    new = False


class Load(Case):
    """A file that is read."""

    options: dict[str, Any] = {}
    new = True

    def setup(self) -> Any:
        if not hasattr(self, "path"):
            self.path = os.path.join(tempfile.mkdtemp(prefix="elsewhere"), "m.pt")
            m = _model()
            torch.save({"m": m.state_dict(), "s": torch.eye(3).to_sparse(), "n": [1, {"x": torch.ones(2, dtype=torch.bfloat16)}]}, self.path, _use_new_zipfile_serialization=self.new)
        return len(os.listdir("/proc/self/fd"))

    def act(self, s: Any) -> Any:
        found = torch.load(self.path, **self.options)
        return [[v.tolist() for v in found["m"].values()], found["s"].to_dense().tolist(), found["n"][1]["x"].tolist()]

    def check(self, s: Any) -> None:
        end = time.time() + 5  # another thread may be keeping a program
        while len(os.listdir("/proc/self/fd")) > s and time.time() < end:
            time.sleep(0.02)
        assert len(os.listdir("/proc/self/fd")) <= s, "a file is left open"


class LoadOld(Load):
    new = False


class LoadAll(Load):
    options = {"weights_only": False}


class LoadMapped(Load):
    options = {"mmap": True}


class Fill(Case):
    """load_state_dict of a module: each tensor is the old or the new one."""

    wraps = (RuntimeError,)

    def setup(self) -> Any:
        if not hasattr(self, "state"):
            torch.manual_seed(1)
            self.state = {k: (torch.rand(v.shape) if v.is_floating_point() else v + 3) for k, v in _model().state_dict().items()}
            self.new, self.old = [v.tolist() for v in self.state.values()], _values(_model())
        return _model()

    def act(self, s: Any) -> Any:
        s.load_state_dict(self.state)
        return _values(s)

    def check(self, s: Any) -> None:
        for found, old, new in zip(_values(s), self.old, self.new, strict=True):
            assert found in (old, new), "a tensor is neither"


class FillAssign(Fill):
    def act(self, s: Any) -> Any:
        s.load_state_dict(self.state, assign=True)
        return _values(s)


class Convert(Case):
    """Module.to(dtype): each parameter is the old or the new one, and is still one of the optimizer's."""

    def setup(self) -> Any:
        m = _model()
        return m, torch.optim.SGD(m.parameters(), lr=0.1)

    def act(self, s: Any) -> Any:
        s[0].to(torch.float64)
        return [*_values(s[0]), *(str(p.dtype) for p in s[0].parameters())]

    def check(self, s: Any) -> None:
        for (_, found), old in zip(s[0].state_dict().items(), _values(_model()), strict=True):
            assert found.tolist() == old, "a value is another"
        assert [id(p) for p in s[0].parameters()] == [id(p) for p in s[1].param_groups[0]["params"]], "the optimizer has other parameters"


class Make(Case):
    """A model that is made."""

    def setup(self) -> Any:
        return None

    def act(self, s: Any) -> Any:
        torch.manual_seed(0)
        m = nn.Sequential(nn.Linear(3, 3), nn.LSTM(3, 4, 2, bidirectional=True), nn.MultiheadAttention(4, 2), nn.Conv2d(1, 2, 3), nn.Embedding(5, 2))
        return _values(m)


class FillOptimizer(Case):
    """load_state_dict of an optimizer: the old or the new state."""

    def setup(self) -> Any:
        made = []
        for turns in (1, 3):
            m = _model()
            o = torch.optim.Adam(m.parameters(), lr=0.1 * turns)
            for _ in range(turns):
                m(X).pow(2).mean().backward()
                o.step()
            made.append((m, o))
        return made

    def _plain(self, o: Any) -> Any:
        d = o.state_dict()
        return [d["param_groups"][0]["lr"], [[v.tolist() for _, v in sorted(st.items())] for _, st in sorted(d["state"].items())]]

    def act(self, s: Any) -> Any:
        s[0][1].load_state_dict(s[1][1].state_dict())
        return self._plain(s[0][1])

    def check(self, s: Any) -> None:
        if not hasattr(self, "both"):
            self.both = [self._plain(o) for _, o in self.setup()]
        assert self._plain(s[0][1]) in self.both, "the state is neither"


class Recompute(Case):
    """A checkpointed block that is computed again in backward."""

    reentrant = False

    def setup(self) -> Any:
        m = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 4))
        torch.manual_seed(3)
        return m, nn.Linear(4, 1)

    def act(self, s: Any) -> Any:
        from torch.utils.checkpoint import checkpoint

        for p in [*s[0].parameters(), *s[1].parameters()]:
            p.grad = None
            with torch.no_grad():
                p.copy_(torch.linspace(-1, 1, p.numel()).reshape(p.shape))
        torch.manual_seed(5)
        x = X.clone().requires_grad_()
        out = s[1](checkpoint(s[0], x, use_reentrant=self.reentrant))
        out.sum().backward()
        return [x.grad.tolist(), *(p.grad.tolist() for p in s[0].parameters()), torch.rand(2).tolist()]


class RecomputeReentrant(Recompute):
    reentrant = True


class Workers(Case):
    """A DataLoader whose epoch is interrupted: its processes end with it."""

    persistent = False

    def setup(self) -> Any:
        data = torch.utils.data.TensorDataset(torch.arange(24.0).reshape(12, 2))
        return torch.utils.data.DataLoader(data, batch_size=3, num_workers=2, persistent_workers=self.persistent)

    def act(self, s: Any) -> Any:
        return [b[0].tolist() for b in s]

    def check(self, s: Any) -> None:
        if self.persistent:
            return
        end = time.time() + 20
        while (left := multiprocessing.active_children()) and time.time() < end:
            time.sleep(0.02)
        assert not left, f"{len(left)} workers live on"


class Grads(Case):
    """autograd.grad with a graph of its own, twice."""

    def setup(self) -> Any:
        return _model()

    def act(self, s: Any) -> Any:
        x = X.clone().requires_grad_()
        s.train(False)
        (g,) = torch.autograd.grad(s(x).pow(2).sum(), x, create_graph=True)
        g.pow(2).sum().backward()
        out = [x.grad.tolist(), *(p.grad.tolist() for p in s.parameters() if p.grad is not None)]
        for p in s.parameters():
            p.grad = None
        return out

    def again(self, s: Any) -> Any:
        for p in s.parameters():
            p.grad = None
        return self.act(s)


def _wrong_usages(m: Any, o: Any) -> list[Callable[[], Any]]:
    table, ids = torch.arange(12.0).reshape(4, 3), torch.tensor([1, 9])
    y = m(X).pow(2).mean()
    y.backward()
    o.zero_grad()
    w = torch.ones(3, requires_grad=True)
    state = dict(m.state_dict())
    state["0.weight"] = torch.zeros(3, 3)
    changed = w * 2
    squared = changed.pow(2).sum()

    def written() -> None:
        with torch.no_grad():
            changed.add_(1)
        squared.backward()

    return [
        lambda: torch.ones(2, 3) @ torch.ones(2, 3),  # a shape, while it is recorded
        lambda: (table[ids] * 2).sum().item(),  # a position, by the host
        lambda: (table[(ids.float() * 1).long()] * 2).sum().item(),  # by the program
        lambda: y.backward(),  # a graph that is used up
        lambda: w.add_(1),
        lambda: m.load_state_dict(state),
        lambda: torch.load(io.BytesIO(b"not a file of anybody's")),
        lambda: torch.linalg.cholesky(torch.eye(3) * -1).sum().item(),
        lambda: nn.functional.cross_entropy(torch.ones(2, 3), torch.tensor([0, 7])).item(),
        written,
        lambda: torch.autograd.grad(table.sum(), w),
        lambda: next(iter(torch.utils.data.DataLoader([1, "a", None], batch_size=3))),
    ]


class Raises(Case):
    """Errors of a dozen kinds, caught one after the other, between steps of a model; what comes in between comes while they are on their way."""

    def setup(self) -> Any:
        m = _model()
        return m, torch.optim.SGD(m.parameters(), lr=0.1)

    def act(self, s: Any) -> Any:
        m, o = s
        names = []
        for wrong in _wrong_usages(m, o):
            try:
                wrong()
            except (Hit, MemoryError):
                raise
            except Exception as error:
                try:
                    names.append(type(error).__name__)
                finally:
                    torch.zeros(3).add(1).sum().item()
        return names

    def check(self, s: Any) -> None:
        for found, old in zip([p.tolist() for p in s[0].parameters()], [p.tolist() for p in _model().parameters()], strict=True):
            assert found == old, "a parameter is another"


CASES: dict[str, Case] = {
    "save": Save(), "save_old": SaveOld(), "load": Load(), "load_old": LoadOld(), "load_all": LoadAll(), "load_mapped": LoadMapped(), "fill": Fill(), "fill_assign": FillAssign(),
    "fill_optimizer": FillOptimizer(), "convert": Convert(), "make": Make(), "recompute": Recompute(), "recompute_reentrant": RecomputeReentrant(), "grads": Grads(),
    "compile_forward": CompileForward(), "compile_step": Compile(), "sizes": Sizes(), "compile_sizes": CompileSizes(), "workers": Workers(), "raises": Raises(),
}  # fmt: skip


def _near(a: Any, b: Any, off: float = Case.off) -> bool:
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(_near(x, y, off) for x, y in zip(a, b, strict=True))
    return a == b or (isinstance(a, float) and isinstance(b, float) and abs(a - b) <= off / 10 + off * abs(b))


def total(case: Case) -> tuple[int, Any]:
    """How many points there are, once all that happens once has happened; and the result."""
    for _ in range(2):
        s = case.setup()
        expected = case.result(s, case.act(s))
    s, points = case.setup(), Points()
    sys.settrace(points)
    try:
        case.act(s)
    finally:
        sys.settrace(None)
    return points.count, expected


def attacked(case: Case, chosen: Iterator[int] | list[int], kinds: list[str], expected: Any) -> Iterator[str]:
    """What went wrong, in words."""
    on = modes()
    for k, n in enumerate(chosen):
        kind = kinds[k % len(kinds)]
        s = case.setup()
        points = Points(n, KINDS[kind])
        try:
            try:
                sys.settrace(points)
                try:
                    out = case.act(s)
                finally:
                    sys.settrace(None)
            except (Hit, MemoryError, *case.wraps):
                out = None
            else:
                if kind == "handler" or points.what is not None:
                    assert _near(case.result(s, out), expected), "another result"
            assert modes() == on, f"modes: {modes()} instead of {on}"
            case.check(s)
            assert _near(case.result(s, case.again(s)), expected), "another result the second time"
        except BaseException as e:  # noqa: BLE001 - told
            if isinstance(e, KeyboardInterrupt):
                raise
            yield f"{kind} at point {n} ({points.where}): {type(e).__name__}: {str(e)[:300]}\n" + "".join(traceback.format_exception(e)[-4:])[-1500:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    rng, bad = random.Random(args.seed), 0
    for name in args.only.split(",") if args.only else CASES:
        case = CASES[name]
        count, expected = total(case)
        chosen = list(range(1, count + 1)) if args.points >= count else sorted(rng.sample(range(1, count + 1), args.points))
        wrong = []
        for text in attacked(case, chosen, args.kinds.split(","), copy.deepcopy(expected)):
            wrong.append(text)
            if len(wrong) <= 3:
                print(f"{name}: {text}", flush=True)
        print(f"{name}: {len(chosen)} of {count} points, {len(wrong)} wrong", flush=True)
        bad += len(wrong)
    sys.stdout.flush()
    os._exit(1 if bad else 0)


if __name__ == "__main__":
    main()
