"""The checks of one operator: the same call under real torch and under jtorch, in every variant that torch has."""

from __future__ import annotations

import functools
import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compat import bridge
from compat.compare import STRICT, Difference, compare
from compat.harness import Record, first_line
from compat.opdb.gauge import GAUGES
from compat.opdb.samples import cases, database, describe, dtypes_for, exceptions, leaves, pick

HALF = frozenset((torch.float16, torch.bfloat16, torch.complex32))
FEW = HALF | {torch.bool, torch.uint8, torch.int8}  # types of few values, so that samples have equal ones
# What settles a difference: the same computation in a type with more digits.
WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32, torch.complex32: torch.complex64, torch.float32: torch.float64, torch.complex64: torch.complex128}


@dataclass(frozen=True)
class Options:
    """How much is run. Counts are samples per operator and dtype."""

    samples: int = 8
    gradients: int = 4
    second: int = 2
    variants: int = 3
    errors: int = 40
    only: tuple[str, ...] = ()
    together: bool = False  # values and gradient of a sample from one call, and so from one program

    def wants(self, check: str) -> bool:
        return not self.only or check in self.only


class Call:
    """One sample, fresh for both libraries: ``theirs`` and ``ours`` hold (input, args, kwargs). ``wide``: in types with more digits."""

    def __init__(self, sample: Any, wide: bool = False) -> None:
        self.translate = bridge.Translator()
        copy = _Fresh(wide)
        self.theirs = (copy(sample.input), copy(sample.args), copy(sample.kwargs))
        self.ours = self.translate(self.theirs)
        self.process = sample.output_process_fn_grad
        self.text = describe(sample)

    def leaves(self) -> tuple[list[torch.Tensor], list[Any]]:
        """The tensors that want a gradient, on both sides, in the same order."""
        theirs = list({id(t): t for t in leaves(self.theirs) if t.requires_grad}.values())
        return theirs, [self.translate(t) for t in theirs]


class _Fresh:
    """Copies tensors (strides, sharing and leaf-ness kept), so that an in-place call does not spoil the sample."""

    def __init__(self, wide: bool = False) -> None:
        self.memo: dict[int, torch.Tensor] = {}
        self.wide = wide

    def __call__(self, v: Any) -> Any:
        if self.wide and isinstance(v, torch.dtype):
            return WIDER.get(v, v)
        if isinstance(v, torch.Tensor):
            if id(v) not in self.memo:
                given = v
                v = v.detach().to(WIDER.get(v.dtype, v.dtype)) if self.wide else v
                new = v.detach().clone(memory_format=torch.preserve_format if v.layout is torch.strided else None)
                if v.layout is torch.strided and v.numel() and new.stride() != v.stride():
                    span = 1 + sum((n - 1) * s for n, s in zip(v.shape, v.stride(), strict=True))
                    flat = torch.as_strided(v.detach(), (span,), (1,)).clone()
                    new = torch.as_strided(flat, v.shape, v.stride()).detach()
                new = torch.nn.Parameter(new) if isinstance(given, torch.nn.Parameter) else new
                self.memo[id(given)] = new.requires_grad_(given.requires_grad)
                v = given
            return self.memo[id(v)]
        if isinstance(v, tuple):
            items = [self(x) for x in v]
            return type(v)(*items) if hasattr(v, "_fields") else type(v)(items) if type(v) is torch.Size else tuple(items)
        if isinstance(v, list):
            return [self(x) for x in v]
        if isinstance(v, dict):
            return {k: self(x) for k, x in v.items()}
        return v


@dataclass
class Outcome:
    value: Any = None
    error: BaseException | None = None


def attempt(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
    try:
        return Outcome(value=fn(*args, **kwargs))
    except Exception as e:
        return Outcome(error=e)


def settle(value: Any) -> Any:
    """Force everything pending in a result, so that an error of the computation shows here."""
    for t in _ours(value):
        bridge.back(t)
    return value


def _ours(value: Any) -> list[Any]:
    if isinstance(value, bridge.jtorch().Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _ours(v)]
    if isinstance(value, dict):
        return [t for v in value.values() for t in _ours(v)]
    return []


def seeded(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
    torch.manual_seed(0)
    bridge.jtorch().manual_seed(0)
    return attempt(fn, *args, **kwargs)


class OpChecks:
    """Runs one entry of op_db and fills its record."""

    def __init__(self, case: str, options: Options) -> None:
        name, _, dtype = case.partition("@")
        self.op, self.options, self.record = database()[name], options, Record(case)
        self.dtypes = [getattr(torch, dtype)] if dtype else dtypes_for(self.op)
        self.errors = not dtype or case == cases(name, True)[0]  # they have no dtype: the first of the cases takes them
        self.lenient = exceptions().get(case) or exceptions().get(name) or exceptions().get(self.op.name) or STRICT
        self.here = ""

    def run(self) -> Record:
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self._run()
            except bridge.Missing as e:
                self.record.fail("exists", f"{e} is missing")
            except Exception as e:  # the harness's own mishap must show, and cost this operator only
                self.record.fail("harness", first_line(e), self.here)
        self.record.seconds = time.perf_counter() - begin
        return self.record

    def _run(self) -> None:
        op, record = self.op, self.record
        if not op.dtypes or op.name.startswith("jiterator"):
            record.skip("values", "torch has no CPU implementation")
            return
        function = bridge.Translator()(op.op)
        record.ok("exists")
        for dtype in self.dtypes:
            self.dtype = dtype
            grad = op.supports_autograd and (dtype.is_floating_point or dtype.is_complex) and dtype in op.supported_backward_dtypes("cpu")
            try:
                samples = pick(op, dtype, grad, self.options.samples)
            except Exception as e:
                record.skip("values", f"torch makes no samples of {dtype}: {first_line(e)}")
                continue
            for i, sample in enumerate(samples):
                self.here = f"{str(dtype)[6:]} ({describe(sample)})"
                if self.lenient.distinct and dtype in FEW and _has_equals(sample.input):
                    record.skip("values", self.lenient.reason)
                    continue
                gradient = grad and i < self.options.gradients and self.options.wants("gradient") and self._compared("gradient")
                together = gradient and self.options.together and not self.lenient.gauge and "_input" not in op.gradcheck_wrapper.__name__
                if not together:
                    self._guard("values", self._function, op.op, function, sample)
                if i < self.options.variants:
                    self._variants(function, sample)
                if gradient:
                    self._guard("gradient", self._gradient, function, sample, "gradient", together)
                if grad and i < self.options.second and op.supports_gradgrad and self.options.wants("second") and self._compared("second"):
                    self._guard("second", self._gradient, function, sample, "second")
        if self.errors and self.options.wants("errors"):
            self._errors(function)

    def _compared(self, check: str) -> bool:
        """Whether torch's own answer is to be compared with (exceptions.toml)."""
        if getattr(self.lenient, check):
            return True
        self.record.skip(check, self.lenient.reason)
        return False

    def _guard(self, check: str, run: Callable[..., None], *args: Any) -> None:
        try:
            run(*args)
        except bridge.Missing as e:
            self.record.fail(check, f"{e} is missing", self.here)
        except NotImplementedError as e:
            self.record.fail(check, first_line(e), self.here)
        except Exception as e:  # the harness's own mishap, or an error where torch has none
            self.record.fail(check, first_line(e), self.here)

    def _same(self, check: str, theirs: Outcome, ours: Outcome, *, gradient: bool = False, by_kind: bool = False, exact: Any = None) -> bool:
        """Compare two outcomes; where torch raises, the type of the error is what counts. ``exact`` computes torch's answer in a wider type."""
        if ours.error is None:
            ours = attempt(settle, ours.value)
        if theirs.error is not None:
            good = ours.error is not None and isinstance(ours.error, _kind(theirs.error))
            got = first_line(ours.error) if ours.error else "no error"
            return self.record.expect("raises", None if good else f"{got}; torch raises {first_line(theirs.error)}", self.here)
        if ours.error is not None:
            return self.record.expect(check, first_line(ours.error), self.here)
        found = self._difference(theirs.value, ours.value, exact, gradient=gradient)
        if found is None:
            for kind in ("values", "dtype", "shape", "structure", "requires_grad") if by_kind else (check,):
                self.record.ok(kind)
            return True
        self.record.fail(found.kind if by_kind else check, found.text if by_kind or found.kind == "values" else f"{found.kind} {found.text}", self.here)
        return False

    def _difference(self, theirs: Any, ours: Any, exact: Callable[[], Any] | None, *, gradient: bool = False) -> Difference | None:
        """As ``compare``. A number may also be that of torch's own wider type: where torch's roundings leave it few correct digits
        (half types are rounded between the steps of a chain), who computes more exactly differs for being right."""
        found = compare(theirs, ours, self.lenient, gradient=gradient)
        if found is None or found.kind != "values" or exact is None or self.dtype not in WIDER:
            return found
        better = attempt(exact)
        return found if better.error is not None else compare(theirs, ours, self.lenient, gradient=gradient, exact=better.value)

    def _exactly(self, fn: Any, sample: Any) -> Callable[[], Any] | None:
        """A function that computes torch's answer in a wider type."""
        if self.lenient.gauge:
            return None

        def run() -> Any:
            x, a, k = Call(sample, wide=True).theirs
            return seeded_value(fn, x, *a, **k)

        return run

    def _function(self, fn: Any, ours: Any, sample: Any) -> None:
        self._call_both("values", fn, ours, sample, by_kind=True)

    def _call_both(self, check: str, fn: Any, ours: Any, sample: Any, by_kind: bool = False) -> None:
        call = Call(sample)
        (x, a, k), (y, b, m) = call.theirs, call.ours
        theirs, got = seeded(fn, x, *a, **k), seeded(ours, y, *b, **m)
        self._gauge(theirs, got, call)
        self._same(check, theirs, got, by_kind=by_kind, exact=self._exactly(fn, sample))

    def _gauge(self, theirs: Outcome, got: Outcome, call: Call) -> None:
        """Keep of both results what is unique (see gauge.py)."""
        if self.lenient.gauge and theirs.error is None and got.error is None:
            measure = GAUGES[self.lenient.gauge]
            theirs.value, got.value = measure(torch, theirs.value, call.theirs), measure(bridge.jtorch(), got.value, call.ours)

    # Variants -------------------------------------------------------------------------------------------------------

    def _variants(self, function: Any, sample: Any) -> None:
        op, record, wants = self.op, self.record, self.options.wants
        method, inplace = op.method_variant, op.inplace_variant
        tensors = list(leaves((sample.input, sample.args, sample.kwargs)))
        if wants("noncontiguous") and any(t.numel() > 1 for t in tensors) and all(t.layout is torch.strided for t in tensors):
            self._guard("noncontiguous", self._noncontiguous, function, sample)
        if not isinstance(sample.input, torch.Tensor):
            return
        if method is None:
            record.skip("method", "torch has no such method")
        elif wants("method"):
            self._guard("method", self._method, method, sample)
        if inplace is None:
            record.skip("inplace", "torch has no in-place form")
        elif wants("inplace") and not sample.broadcasts_input:
            self._guard("inplace", self._inplace, inplace, sample)
        if not op.supports_out:
            record.skip("out", "torch takes no out=")
        elif wants("out") and self._compared("out"):
            self._guard("out", self._out, function, sample)

    def _noncontiguous(self, function: Any, sample: Any) -> None:
        self._call_both("noncontiguous", self.op.op, function, sample.noncontiguous())

    def _method(self, method: Any, sample: Any) -> None:
        self._call_both("method", method, bridge.Translator()(method), sample)

    def _inplace(self, inplace: Any, sample: Any) -> None:
        call = Call(sample)
        ours_fn = bridge.Translator()(inplace)
        (x, a, k), (y, b, m) = call.theirs, call.ours
        grad = x.requires_grad and self.op.supports_inplace_autograd
        with torch.set_grad_enabled(grad), bridge.jtorch().set_grad_enabled(grad):
            x2, y2 = (x.clone(), y.clone()) if grad else (x.detach().clone(), y.detach().clone())
            before, ours_before = x2._version, y2._version
            theirs, got = seeded(inplace, x2, *a, **k), seeded(ours_fn, y2, *b, **m)
        exact = self._exactly(self.op.op, sample)
        if not self._same("inplace", theirs, got, exact=exact) or theirs.error is not None:
            return
        if got.value is not y2 and theirs.value is x2:
            self.record.fail("inplace", "the result is not the input itself", self.here)
        found = self._difference(x2.detach(), y2.detach(), exact)
        self.record.expect("inplace", None if found is None else f"the input afterwards: {found.text}", self.here)
        if (x2._version > before) != (y2._version > ours_before):
            self.record.fail("inplace", f"_version went {ours_before} -> {y2._version}, torch's {before} -> {x2._version}", self.here)
        if grad and theirs.value.requires_grad and self._compared("gradient"):
            self._compare_gradients("inplace", call, theirs.value, got.value, self.op.op, sample)

    def _out(self, function: Any, sample: Any) -> None:
        call = Call(sample)
        (x, a, k), (y, b, m) = call.theirs, call.ours
        j = bridge.jtorch()
        with torch.no_grad(), j.no_grad():
            plain = seeded(self.op.op, x, *a, **k)
            if plain.error is not None or not all(isinstance(t, torch.Tensor) for t in _flat(plain.value)):
                return
            tree = plain.value
            outs = [torch.zeros_like(t) for t in _flat(tree)]
            mine = [bridge.tensor(t) for t in outs]
            single = isinstance(tree, torch.Tensor)
            theirs = seeded(self.op.op, x, *a, **k, out=outs[0] if single else tuple(outs))
            got = seeded(function, y, *b, **m, out=mine[0] if single else tuple(mine))
        exact = self._exactly(self.op.op, sample)
        if self.lenient.gauge or not self._same("out", theirs, got, exact=exact) or theirs.error is not None:
            return
        results = _flat_any(got.value) if got.value is not None else mine
        found = self._difference(tuple(outs), tuple(mine), None if exact is None else lambda: tuple(_flat(exact())))
        self.record.expect("out", None if found is None else f"the tensor given as out: {found.text}", self.here)
        for mine_given, result in zip(mine, results, strict=True):
            if result is not mine_given and result.data_ptr() != mine_given.data_ptr():
                self.record.fail("out", "the result is not the tensor given as out", self.here)
        if single and plain.value.dtype.is_floating_point and plain.value.numel():
            wrong, mine_wrong = torch.zeros(plain.value.shape, dtype=torch.int64), j.zeros(tuple(plain.value.shape), dtype=j.int64)
            with torch.no_grad(), j.no_grad():
                self._same("out", seeded(self.op.op, x, *a, **k, out=wrong), seeded(function, y, *b, **m, out=mine_wrong))

    # Gradients ------------------------------------------------------------------------------------------------------

    def _gradient(self, function: Any, sample: Any, check: str, values: bool = False) -> None:
        """``values``: the results are compared, too, after the gradients are computed."""
        call = Call(sample)
        (x, a, k), (y, b, m) = call.theirs, call.ours
        wrapped, ours = self.op.op, function
        if "_input" in self.op.gradcheck_wrapper.__name__:  # torch declares the gradient for Hermitian or triangular matrices only
            wrapped = functools.partial(self.op.gradcheck_wrapper, self.op.op)
            ours = functools.partial(bridge.Translator()(self.op.gradcheck_wrapper), function)
        theirs = seeded(wrapped, x, *a, **k)
        if theirs.error is not None and not values:
            return
        got = seeded(ours, y, *b, **m)
        if theirs.error is None and (got.error is None or not values):
            if got.error is not None:
                raise got.error
            self._compare_gradients(check, call, call.process(theirs.value), bridge.Translator()(call.process)(got.value), wrapped, sample, second=check == "second")
        if values:
            self._same("values", theirs, got, by_kind=True, exact=self._exactly(self.op.op, sample))

    def _compare_gradients(self, check: str, call: Call, theirs: Any, ours: Any, fn: Any, sample: Any, second: bool = False) -> None:
        j = bridge.jtorch()
        leaves_t, leaves_j = call.leaves()
        outs_t, outs_j = _flat(theirs), _flat_any(ours)
        chosen = [i for i, t in enumerate(outs_t) if t.requires_grad]
        if not chosen or not leaves_t:
            return
        outs_t, outs_j = [outs_t[i] for i in chosen], [outs_j[i] for i in chosen]
        if lost := [i for i, t in enumerate(outs_j) if not t.requires_grad]:
            self.record.fail(check, f"outputs {lost} require no grad", self.here)
            return
        cts_t = [_cotangent(t, n).requires_grad_(second) for n, t in enumerate(outs_t)]
        cts_j = [bridge.tensor(c) for c in cts_t]
        g_t = attempt(torch.autograd.grad, outs_t, leaves_t, cts_t, allow_unused=True, create_graph=second)
        if g_t.error is not None:
            self.record.skip(check, f"torch: {first_line(g_t.error)}")
            return
        g_j = attempt(j.autograd.grad, outs_j, leaves_j, cts_j, allow_unused=True, create_graph=second)
        if not second:
            self._same_gradients(check, g_t, g_j, leaves_t, lambda: _wider_gradients(fn, sample, cts_t, None))
            return
        if g_j.error is not None:
            self.record.fail(check, first_line(g_j.error), self.here)
            return
        pairs = [(p, q) for p, q in zip(g_t.value, g_j.value, strict=True) if p is not None and p.requires_grad]
        if not pairs:
            return
        if any(q is None or not q.requires_grad for _, q in pairs):
            self.record.fail(check, "the first gradient requires no grad", self.here)
            return
        first_t, first_j = [p for p, _ in pairs], [q for _, q in pairs]
        cts2_t = [_cotangent(t, 100 + n) for n, t in enumerate(first_t)]
        cts2_j = [bridge.tensor(c) for c in cts2_t]
        gg_t = attempt(torch.autograd.grad, first_t, leaves_t + cts_t, cts2_t, allow_unused=True)
        if gg_t.error is not None:
            self.record.skip(check, f"torch: {first_line(gg_t.error)}")
            return
        gg_j = attempt(j.autograd.grad, first_j, leaves_j + cts_j, cts2_j, allow_unused=True)
        self._same_gradients(check, gg_t, gg_j, leaves_t + cts_t, lambda: _wider_gradients(fn, sample, cts_t, cts2_t))

    def _same_gradients(self, check: str, theirs: Outcome, ours: Outcome, inputs: list[torch.Tensor], exact: Callable[[], Any]) -> None:
        """None and zeros are the same gradient: torch itself gives either, by operator."""
        if ours.error is None:
            ours = attempt(settle, ours.value)
        if ours.error is not None:
            self.record.fail(check, first_line(ours.error), self.here)
            return
        for i, (p, q, leaf) in enumerate(zip(theirs.value, ours.value, inputs, strict=True)):
            if p is None and q is None:
                continue
            p = torch.zeros_like(leaf) if p is None else p
            q = bridge.tensor(torch.zeros_like(leaf)) if q is None else q
            found = self._difference(p, q, lambda i=i: exact()[i], gradient=True)
            if found is not None:
                self.record.fail(check, f"of tensor {i}: {found.text}" if found.kind == "values" else f"of tensor {i}: {found.kind} {found.text}", self.here)
                return
        self.record.ok(check)

    # Errors ---------------------------------------------------------------------------------------------------------

    def _errors(self, function: Any) -> None:
        if self.op.error_inputs_func is None:
            self.record.skip("errors", "op_db names none")
            return
        try:
            cases = list(self.op.error_inputs("cpu"))[: self.options.errors]
        except Exception as e:
            self.record.skip("errors", first_line(e))
            return
        for case in cases:
            try:
                self.here = f"error input ({describe(case.sample_input)})"
                call = Call(case.sample_input)
            except Exception as e:
                self.record.skip("errors", f"cannot carry the sample over: {first_line(e)}")
                continue
            (x, a, k), (y, b, m) = call.theirs, call.ours
            theirs = attempt(self.op.op, x, *a, **k)
            if theirs.error is None:
                continue
            ours = attempt(lambda: settle(function(y, *b, **m)))
            good = ours.error is not None and isinstance(ours.error, _kind(theirs.error)) and not isinstance(ours.error, bridge.Missing)
            if isinstance(ours.error, NotImplementedError) and not isinstance(theirs.error, NotImplementedError):
                good = False
            got = first_line(ours.error) if ours.error else "no error"
            said = self.record.expect("errors", None if good else f"{got}; torch raises {first_line(theirs.error)}", self.here)
            if said and re.search(case.error_regex, str(theirs.error)):  # else the copies share no memory, which the case is about (compat/core/test_partial_overlap.py has those)
                matches = re.search(case.error_regex, str(ours.error)) is not None
                self.record.expect("error_text", None if matches else f"{got}; torch says /{case.error_regex}/", self.here)


def _has_equals(t: torch.Tensor) -> bool:
    return t.unique().numel() < t.numel()


def seeded_value(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    result = seeded(fn, *args, **kwargs)
    if result.error is not None:
        raise result.error
    return result.value


def _kind(e: BaseException) -> type[BaseException]:
    """torch's own subclasses of RuntimeError (LinAlgError, ...) count by their public name's base."""
    kind = type(e)
    return next((c for c in kind.__mro__ if c.__module__ == "builtins"), Exception)


def _flat(value: Any) -> list[torch.Tensor]:
    return list(leaves(value))


def _flat_any(value: Any) -> list[Any]:
    return _ours(value)


def _wider_gradients(fn: Any, sample: Any, cotangents: list[torch.Tensor], seconds: list[torch.Tensor] | None) -> list[torch.Tensor | None]:
    """torch's gradients, or second ones, in wider types throughout; the cotangents are those of the narrow ones."""
    call = Call(sample, wide=True)
    x, a, k = call.theirs
    outs = [t for t in _flat(call.process(seeded_value(fn, x, *a, **k))) if t.requires_grad]
    inputs = call.leaves()[0]
    cts = [c.detach().to(t.dtype).requires_grad_(seconds is not None) for c, t in zip(cotangents, outs, strict=True)]
    grads = torch.autograd.grad(outs, inputs, cts, allow_unused=True, create_graph=seconds is not None)
    if seconds is None:
        return list(grads)
    first = [g for g in grads if g is not None and g.requires_grad]
    cts2 = [c.to(g.dtype) for c, g in zip(seconds, first, strict=True)]
    return list(torch.autograd.grad(first, inputs + cts, cts2, allow_unused=True))


def _cotangent(t: torch.Tensor, seed: int) -> torch.Tensor:
    r = np.random.RandomState(seed)
    shape = tuple(t.shape)
    values = r.randn(*shape) + 1j * r.randn(*shape) if t.dtype.is_complex else r.randn(*shape)
    return torch.as_tensor(np.asarray(values)).to(t.dtype)
