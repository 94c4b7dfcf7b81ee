"""The checks of one module class: construction, parameters, repr, forward, gradients, train and eval, state dicts."""

from __future__ import annotations

import functools
import itertools
import time
import warnings
from typing import Any

import torch

from compat import bridge
from compat.compare import Leniency, compare
from compat.harness import Record, first_line
from compat.moduledb.extra import EXTRA, Case
from compat.opdb.checks import Outcome, _cotangent, _flat, _Fresh, _ours, seeded
from compat.opdb.samples import leaves

# An initial parameter is torch's to the last place but one (log and cosine of torch's own polynomials).
INITIAL = Leniency(scale=0.05)


@functools.cache
def database() -> dict[str, Any]:
    """Every class: module_db's entries, then the table of extra cases."""
    from torch.testing._internal.common_modules import module_db

    found: dict[str, Any] = {m.name: m for m in module_db}
    for name, make in EXTRA.items():
        found.setdefault(name, make)
    return found


def cases(name: str, dtype: torch.dtype, training: bool, limit: int) -> list[Case]:
    """A class's constructions and calls, deterministic."""
    entry = database()[name]
    torch.manual_seed(0)
    if callable(entry) and not hasattr(entry, "module_cls"):
        return entry()
    made = entry.module_inputs_func(entry, device="cpu", dtype=dtype, requires_grad=True, training=training)
    out = []
    for m in itertools.islice(made, limit):
        if m.forward_input is not None:
            c, f = m.constructor_input, m.forward_input
            out.append(Case(c.args, {**c.kwargs, **({"dtype": dtype} if dtype != torch.float32 else {})}, f.args, f.kwargs))
    return out


class ModuleChecks:
    """Runs one class and fills its record."""

    def __init__(self, name: str, samples: int = 12, dtypes: tuple[torch.dtype, ...] = (torch.float32,)) -> None:
        self.name, self.samples, self.dtypes, self.record, self.here = name, samples, dtypes, Record(name), ""

    def run(self) -> Record:
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                theirs = functools.reduce(getattr, self.name.split("."), torch)
                ours = bridge.resolve(self.name)
                self.record.ok("exists")
                self.record.expect("bases", _bases(theirs, ours))
                for dtype, training in itertools.product(self.dtypes, (True, False)):
                    for case in cases(self.name, dtype, training, self.samples):
                        self._case(theirs, ours, case, training)
            except bridge.Missing as e:
                self.record.fail("exists", f"{e} is missing")
            except Exception as e:  # the harness's own mishap must show, and cost this class only
                self.record.fail("harness", first_line(e), self.here)
        self.record.seconds = time.perf_counter() - begin
        return self.record

    def _case(self, theirs: Any, ours: Any, case: Case, training: bool) -> None:
        self.here = f"{self.name}({', '.join([*map(_short, case.args), *(f'{k}={_short(v)}' for k, v in case.kwargs.items())])}) {'train' if training else 'eval'}"
        carry = bridge.Translator()
        args, kwargs = carry(case.args), carry(case.kwargs)
        a, b = seeded(theirs, *case.args, **case.kwargs), seeded(ours, *args, **kwargs)
        if not self._both("construct", a, b):
            return
        m, n = a.value.train(training), b.value.train(training)
        self.record.expect("repr", None if repr(m) == repr(n) else f"{repr(n)!r}, torch {repr(m)!r}", self.here)
        self.record.expect("train_eval", None if n.training is training else "training flag")
        lazy = any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in m.parameters())
        if lazy:  # parameters come with the first call, from the same seed on both sides
            fresh = _Fresh()
            inputs = fresh(case.inputs)
            if not self._both("forward", seeded(m, *inputs), seeded(n, *bridge.Translator()(inputs))):
                return
        mine = dict(n.state_dict())
        if list(m.state_dict()) != list(mine):
            self.record.fail("state_dict", f"keys {list(mine)}, torch {list(m.state_dict())}", self.here)
            return
        self.record.ok("state_dict")
        for key, value in m.state_dict().items():
            if isinstance(value, torch.Tensor):
                found = compare(value, mine[key], INITIAL)
                if not self.record.expect("initial", f"{key}: {found.kind} {found.text}" if found else None, self.here):
                    break
        loaded = seeded(n.load_state_dict, {k: carry(v) for k, v in m.state_dict().items()})
        self.record.expect("load_state_dict", None if loaded.error is None else first_line(loaded.error), self.here)
        self._forward(m, n, case)

    def _forward(self, m: Any, n: Any, case: Case) -> None:
        fresh, carry = _Fresh(), bridge.Translator()
        inputs, kwargs = fresh(case.inputs), fresh(case.input_kwargs)
        ours_in, ours_kw = carry(inputs), carry(kwargs)
        a, b = seeded(m, *inputs, **kwargs), seeded(n, *ours_in, **ours_kw)
        if not self._both("forward", a, b):
            return
        gradients = self._gradients(m, n, inputs, kwargs, carry, a.value, b.value)  # before a look at the results: one program has both
        found = compare(a.value, b.value)
        if not self.record.expect("forward", f"{found.kind} {found.text}" if found else None, self.here):
            return
        for key, value in m.named_buffers():
            found = compare(value, dict(n.named_buffers())[key])
            self.record.expect("buffers", f"{key}: {found.kind} {found.text}" if found else None, self.here)
        if gradients is None:
            return
        p, q, theirs_t = gradients
        if q.error is not None:
            self.record.fail("gradient", first_line(q.error), self.here)
            return
        for i, (x, y, leaf) in enumerate(zip(p.value, q.value, theirs_t, strict=True)):
            x = torch.zeros_like(leaf) if x is None else x
            y = bridge.tensor(torch.zeros_like(leaf)) if y is None else y
            found = compare(x, y, gradient=True)
            if not self.record.expect("gradient", f"of tensor {i}: {found.kind} {found.text}" if found else None, self.here):
                return

    @staticmethod
    def _gradients(m: Any, n: Any, inputs: Any, kwargs: Any, carry: bridge.Translator, theirs: Any, ours: Any) -> tuple[Outcome, Outcome, list[torch.Tensor]] | None:
        """Both gradients by all inputs and parameters, and torch's inputs and parameters; None if torch has no gradient there."""
        theirs_t = [t for t in leaves((inputs, kwargs)) if t.requires_grad] + [p for p in m.parameters() if p.requires_grad]
        ours_t = [carry(t) for t in leaves((inputs, kwargs)) if t.requires_grad] + [p for p in n.parameters() if p.requires_grad]
        outs, ours_out = _flat(theirs), _ours(ours)
        chosen = [i for i, t in enumerate(outs) if t.requires_grad]
        if not chosen or not theirs_t:
            return None
        cts = [_cotangent(outs[i], i) for i in chosen]
        j = bridge.jtorch()
        p = seeded(torch.autograd.grad, [outs[i] for i in chosen], theirs_t, cts, allow_unused=True)
        if p.error is not None:
            return None
        return p, seeded(j.autograd.grad, [ours_out[i] for i in chosen], ours_t, [bridge.tensor(c) for c in cts], allow_unused=True), theirs_t

    def _both(self, check: str, a: Outcome, b: Outcome) -> bool:
        """Both gave a value; where torch raises, that jtorch raises the same type is counted and there is no more to do."""
        if a.error is not None:
            good = b.error is not None and isinstance(b.error, type(a.error).__mro__[0])
            self.record.expect("raises", None if good else f"{b.error!r}; torch raises {first_line(a.error)}", self.here)
            return False
        if b.error is not None:
            if isinstance(b.error, bridge.Missing):
                self.record.fail(check, f"{b.error} is missing", self.here)
            else:
                self.record.fail(check, first_line(b.error), self.here)
            return False
        self.record.ok(check)
        return True


def _bases(theirs: type, ours: type) -> str | None:
    """The public bases, by name: ``isinstance(m, nn.modules.batchnorm._BatchNorm)`` is common in programs."""
    want = [c.__name__ for c in theirs.__mro__ if c.__module__.startswith("torch.nn")]
    have = [c.__name__ for c in ours.__mro__]
    lost = [w for w in want if w not in have]
    return f"no base {lost}" if lost else None


def _short(v: Any) -> str:
    return f"<{str(v.dtype)[6:]} {tuple(v.shape)}>" if isinstance(v, torch.Tensor) else repr(v).replace("\n", " ")[:80]
