"""Backward of a call, from ``jax.vjp`` of its function.

``plan_of(entry, mask)`` looks at what jax.vjp keeps from the forward pass. What it keeps is an input, an output, or something between.
Inputs and outputs are saved as they are (so ``exp`` saves its result and ``mul`` its factors). Something between is recomputed from them, unless
the operator asks for ``residuals="save"``: then the forward gives it as a hidden output.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters.partial_eval import dce_jaxpr
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from jtorch._engine.recording import kept
from jtorch._engine.recording.call import Call, structure_of
from jtorch._engine.recording.entry import Entry
from jtorch._engine.recording.halves import halves_among, rounding
from jtorch._engine.recording.identity import of_node
from jtorch._engine.recording.sums_in_derivatives import summed
from jtorch._engine.values.calls import called
from jtorch._engine.values.unbroken import aside
from jtorch._engine.values.values import Aval

__all__ = ["ONE_CALL", "Plan", "build", "derived", "forward_of", "inputs_of", "plan_of", "plan_of_shape", "shape_of", "recomputing_plan", "shown_inputs", "wrapped"]


class Plan:
    """How to go backward through one entry for one choice of inputs.

    ``saved_in``, ``saved_out``: which inputs and outputs the backward reads. ``forward``: the call to record in place of the entry's own when hidden
    outputs are kept (they follow its outputs), else None. ``backward(given)``: the call from (saved inputs, saved outputs, hidden outputs,
    cotangents that are there) to the gradients of the chosen inputs. ``once``: it reads what torch calls a saved tensor, which is freed after the first time.
    """

    __slots__ = ("saved_in", "saved_out", "forward", "hidden", "targets", "wanted_outs", "_pull", "_backward", "_name", "outs", "simple", "once", "direct", "source", "kept", "_make", "_hang")
    saved_in: tuple[int, ...]
    saved_out: tuple[int, ...]
    forward: Call | None
    hidden: int
    targets: tuple[int, ...]
    wanted_outs: tuple[int, ...]
    outs: Any
    simple: bool
    once: bool
    _pull: Any
    _backward: dict[Any, Call]
    _name: str
    direct: Any  # the backward's entry when it is given the one output's cotangent, or None as long as it was not recorded

    source: Any  # (entry, mask, whether it reads inputs alone)
    kept: tuple[int, ...]  # the inputs (outputs: ~i) that must not be written before backward though it does not read them, as torch keeps them
    _make: Callable[[tuple[bool, ...]], Callable[..., Any]]

    def __init__(self) -> None:
        self.direct = None
        self.kept = ()
        self._make = self._from_pull
        self._hang: list[frozenset[int]] | None = None

    @property
    def name(self) -> str:
        """The node's name."""
        return self._name

    def backward(self, given: tuple[bool, ...]) -> Call:
        found = self._backward.get(given)
        if found is None:
            kinds = halves_among([self.source[0].inputs[i] for i in self.targets])
            found = self._backward[given] = Call(None, given, rounding(self._make(given), kinds), str(self._name), numbers=self.source[0].call.numbers, origin=(derived, (*self.source, given)), kinds=kinds)
        return found

    def reached(self, given: tuple[bool, ...]) -> tuple[bool, ...] | None:
        """Which targets the outputs that have a cotangent hang on, by the program's structure. Asked of a derivative of several inputs alone (else None): torch has a
        node for each input's gradient, which leads to what its own formula reads, where here one node has them all."""
        entry = self.source[0]
        if entry.call.origin is None or entry.call.origin[0] is not derived:
            return None
        if any([not isinstance(a, type) and 0 in a.shape for a in (*entry.inputs, *entry.outs)]):  # of nothing JAX computes nothing, where torch's formula is what it is
            return None
        if self._hang is None:
            self._hang = hang_on(aside(jax.make_jaxpr(entry.call.apply), *entry.structs()).jaxpr)
        there = frozenset().union(*[self._hang[i] for i, g in zip(self.wanted_outs, given, strict=True) if g])
        return tuple([i in there for i in self.targets])

    def _from_pull(self, given: tuple[bool, ...]) -> Callable[..., Any]:
        entry = self.source[0]
        if entry.call.op is not None and entry.call.op.alone and not all(given):
            return self._from_part(given)
        pull, outs = self._pull, self.outs
        n_saved = len(self.saved_in) + len(self.saved_out) + self.hidden

        def backward(*arrays: Any) -> Any:
            return summed(apply, arrays)

        def apply(*arrays: Any) -> Any:
            rest = iter(arrays[n_saved:])
            cts = [next(rest) if there else jnp.zeros(o.shape, o.dtype.np) for there, o in zip(given, outs, strict=True)]
            return pull(arrays[:n_saved], cts)

        return backward


    def _from_part(self, given: tuple[bool, ...]) -> Callable[..., Any]:
        """The backward from some outputs, of a plan of their own: what the others' would give for a cotangent of zeros may be nan."""
        entry, mask, from_inputs = self.source
        part = build(entry, mask, from_inputs, given)
        at = [self.saved_in.index(i) for i in part.saved_in] + [len(self.saved_in) + self.saved_out.index(i) for i in part.saved_out]
        inner, first = part._from_pull((True,) * sum(given)), len(self.saved_in) + len(self.saved_out)
        return lambda *arrays: inner(*[arrays[i] for i in at], *arrays[first:])


# Whose gradients torch computes by one call: each of them leads to all that the call reads.
ONE_CALL = frozenset({"ConvolutionBackward0", "NativeLayerNormBackward0", "NativeBatchNormBackward0", "PreluKernelBackward0", "L1LossBackward0"})


def hang_on(jaxpr: Any) -> list[frozenset[int]]:
    """For each output of a program the inputs that it hangs on in a way that has a derivative: not by comparisons and integers."""
    none: frozenset[int] = frozenset()
    known: dict[Any, frozenset[int]] = {v: frozenset((i,)) for i, v in enumerate(jaxpr.invars) if _inexact(v)}

    def of(v: Any) -> frozenset[int]:
        return none if isinstance(v, Literal) else known.get(v, none)

    for eqn in jaxpr.eqns:
        inner = called(eqn)
        if inner is not None and len(inner.jaxpr.invars) == len(eqn.invars) and len(inner.jaxpr.outvars) == len(eqn.outvars):
            for v, inside in zip(eqn.outvars, hang_on(inner.jaxpr), strict=True):
                known[v] = none.union(*[of(eqn.invars[i]) for i in inside])
            continue
        every = none.union(*map(of, eqn.invars))
        for v in eqn.outvars:
            if _inexact(v):
                known[v] = every
    return [of(v) for v in jaxpr.outvars]


def _inexact(v: Any) -> bool:
    return bool(jnp.issubdtype(getattr(v.aval, "dtype", np.int32), jnp.inexact))


def _no_general(entry: Entry, mask: tuple[bool, ...]) -> Plan:
    raise NotImplementedError


general_plan: Callable[[Entry, tuple[bool, ...]], Plan] = _no_general  # for an entry that was made from a general one; set by families/general.py


def plan_of(entry: Entry, mask: tuple[bool, ...]) -> Plan:
    """The plan for the gradient with respect to the inputs that ``mask`` marks."""
    found = entry.plans.get(mask)
    if found is None:
        if entry.call.op is not None and entry.call.op.fixed:
            _refuse_fixed(entry.call, mask)
        try:
            found = kept_plan(entry, mask) if entry.general is None else general_plan(entry, mask)
        except RuntimeError as error:
            if not any(words in str(error) for words in ("derivative", "Found dtype")):
                raise
            found = _without(entry, mask, error)
        found.kept = _kept(entry, found) if entry.call.op is not None and entry.call.op.kept else ()
        entry.plans[mask] = found
    return found


def _kept(entry: Entry, plan: Plan) -> tuple[int, ...]:
    """What torch's formulas for the gradients of these inputs keep, and this engine's backward does not read."""
    call, found, every = entry.call, [], range(len(entry.inputs))
    assert call.op is not None
    places, unsaved = dict(_places(call)), call.op.unsaved_of(lambda: structure_of(call), entry.inputs)
    said = call.op.kept if isinstance(call.op.kept, str) else call.op.kept(structure_of(call), entry.inputs, entry.outs)

    def at(named: str) -> Sequence[int]:
        name, _, k = named.partition("[")
        found = every[places.get(name, slice(0))]
        return found if not k else found[int(k[:-1]) :][:1]

    for one in said.split():
        named, _, needed = one.partition(":")
        name = named.partition("[")[0]
        if needed and not any([i in plan.targets for i in at(needed)]):
            continue
        if name in places:
            found += [i for i in at(named) if not isinstance(entry.inputs[i], type) and (i not in plan.saved_in or name in unsaved)]
        elif name.startswith("result") or call.fields and name in call.fields:
            i = call.fields.index(name) if call.fields and name in call.fields else int(name[6:] or 0)
            found += [~i] if i not in plan.saved_out else []
    return tuple(found)


def _places(call: Call) -> Iterator[tuple[str, slice]]:
    """The arguments that are tensors, or stand in the place of one, and where they are among the inputs."""
    assert call.op is not None
    at = 0
    for d, p in zip(call.key, call.op.fn_params, strict=True):
        if d[0] == "V":  # no tensor
            continue
        width = sum(d[1]) if d[0] == "L" else 1
        yield p.name, slice(at, at + width)
        at += width


def _fixed(call: Call) -> Iterator[tuple[str, slice]]:
    """The arguments that torch differentiates nowhere, and where they are among the inputs."""
    assert call.op is not None
    for name, at in _places(call):
        if name in call.op.fixed:
            yield name, at


def _refuse_fixed(call: Call, mask: tuple[bool, ...]) -> None:
    """RuntimeError if the gradient is asked for of an argument that torch differentiates nowhere."""
    assert call.op is not None
    for name, at in _fixed(call):
        if any(mask[at]):
            raise RuntimeError(f"The function '{call.op.fixed[name]}' is not differentiable with respect to argument '{name}'. This input cannot have requires_grad True.")


def without_fixed(call: Call, mask: tuple[bool, ...]) -> tuple[bool, ...]:
    """``mask`` without what torch differentiates nowhere: tangents of it are left aside."""
    found = list(mask)
    for _, at in _fixed(call):
        found[at] = [False] * len(found[at])
    return tuple(found)


def derived(entry: Entry, mask: tuple[bool, ...], from_inputs: bool, given: tuple[bool, ...] | None) -> Call:
    """The backward of an entry for these cotangents, or (None) its forward with hidden outputs."""
    plan = recomputing_plan(entry, mask) if from_inputs else plan_of(entry, mask)
    call = plan.forward if given is None else plan.backward(given)
    assert call is not None
    return call


def inputs_of(entry: Entry, plan: Plan, given: tuple[bool, ...]) -> tuple[Any, ...]:
    """The avals of what the backward reads. ``entry``: that of the forward with hidden outputs, if there are any."""
    saved = [entry.inputs[i] for i in plan.saved_in] + [entry.outs[i] for i in plan.saved_out]
    if plan.hidden:
        saved += entry.outs[-plan.hidden :]
    return (*saved, *[o for there, o in zip(given, plan.outs, strict=True) if there])


def _without(entry: Entry, mask: tuple[bool, ...], error: RuntimeError) -> Plan:
    """The plan of a call that has no derivative: it records like any other, and raises when backward comes to it."""
    plan = Plan()
    plan.saved_in, plan.saved_out, plan.forward, plan.hidden, plan.simple, plan.once = (), (), None, 0, True, False
    plan.targets = tuple(i for i, m in enumerate(mask) if m)
    plan.wanted_outs = tuple(i for i, d in enumerate(entry.differentiable) if d)
    plan.outs = tuple(entry.outs[i] for i in plan.wanted_outs)
    plan._backward, plan._name, plan.source = {}, entry.call.grad_name, (entry, mask, False)
    kind, message = type(error), str(error)

    def pull(saved: Any, cts: Any) -> Any:
        raise kind(message)

    plan._pull = pull
    return plan


def _conj(x: Any) -> Any:
    return jnp.conj(x) if jnp.issubdtype(x.dtype, jnp.complexfloating) else x


def recomputing_plan(entry: Entry, mask: tuple[bool, ...]) -> Plan:
    """A plan that reads inputs alone: hidden outputs have no history, so a second derivative goes back through the inputs."""
    key = ("inputs", mask)
    found = entry.plans.get(key)
    if found is None:
        found = entry.plans[key] = kept_plan(entry, mask, from_inputs=True)
    return found


def wrapped(call: Call) -> set[int]:
    """The inputs that are numbers in the place of tensors, which torch wraps in tensors."""
    if call.op is None:
        return set()
    kinds = {p.name: p.kind for s in call.op.signatures for p in s.params}
    found: set[int] = set()
    i = 0
    for d, p in zip(call.key, call.op.fn_params, strict=True):
        if d[0] == "S" and kinds.get(p.name) == "Tensor|Scalar":
            found.add(i)
        i += sum(d[1]) if d[0] == "L" else d[0] in ("T", "S")
    return found


def shown_inputs(entry: Entry, mask: tuple[bool, ...]) -> tuple[bool, ...]:
    """Which of the inputs that torch's node of this operator names have a gradient (``mask``: which of all inputs): those that its formula differentiates, given or not, numbers in the place of tensors too."""
    call = entry.call
    if call.op is None:
        return tuple([m for m, a in zip(mask, entry.inputs, strict=True) if not isinstance(a, type)])
    if call.grad_name == "torch::autograd::NotImplemented":  # there is no formula
        return tuple([m for m in mask if m])
    kinds = {p.name: p.kind for s in call.op.signatures for p in s.params}
    whole = getattr(call.grad_name, "chain", None) is None  # else what is left out makes it another of torch's operators
    found: list[bool] = []
    at = 0
    for d, p in zip(call.key, call.op.fn_params, strict=True):
        kind = kinds.get(p.name)
        if d[0] == "V":
            if kind == "Tensor" and d[2] is None and whole and not call.op.leaves_out(p.name):
                found.append(False)
            continue
        width = sum(d[1]) if d[0] == "L" else 1
        for i in range(at, at + width):
            a = entry.inputs[i]
            if kind == "Tensor|Scalar" if isinstance(a, type) else mask[i] or not call.op.leaves_out(p.name, a.dtype.category):
                found.append(mask[i])
        at += width
    return tuple(found)


_SHAPE = ("saved_in", "saved_out", "hidden", "targets", "wanted_outs", "simple", "once")


def kept_plan(entry: Entry, mask: tuple[bool, ...], from_inputs: bool = False) -> Plan:
    """The plan as an earlier process has found it, or a new one."""
    name = kept.name(lambda: f"{of_node(entry)}{mask}{from_inputs}")
    key, known = (None, None) if name is None else kept.fact("plan", name, entry.device)
    if known is None:
        plan = build(entry, mask, from_inputs)
        kept.keep_fact(key, [*shape_of(plan), plan.forward is not None])
        return plan
    *shape, forward = [tuple(x) if x.__class__ is list else x for x in known]
    made: Callable[[], Any] = functools.cache(lambda: build(entry, mask, from_inputs))
    return plan_of_shape(entry, (mask, from_inputs), shape, (lambda *arrays: made().forward.apply(*arrays)) if forward else None, lambda given: lambda *arrays: made()._from_pull(given)(*arrays))


def shape_of(plan: Plan) -> list[Any]:
    """What there is to a plan, as long as nothing of it is compiled."""
    return [getattr(plan, field) for field in _SHAPE]


def plan_of_shape(entry: Entry, source: tuple[Any, ...], shape: Sequence[Any], forward: Any, make: Callable[[tuple[bool, ...]], Callable[..., Any]]) -> Plan:
    """A plan of which only the shape is known (what ``_SHAPE`` names), with functions to trace where its programs are not there."""
    plan = Plan()
    for field, x in zip(_SHAPE, shape, strict=True):
        setattr(plan, field, x)
    plan.outs = tuple([entry.outs[i] for i in plan.wanted_outs])
    plan._name, plan._backward, plan._make, plan.source = entry.call.grad_name, {}, make, (entry, *source)
    plan.forward = None if forward is None else forward_of(entry, source[0], forward)
    return plan


def build(entry: Entry, mask: tuple[bool, ...], from_inputs: bool = False, given: tuple[bool, ...] | None = None) -> Plan:
    """The plan, from the outputs that have a gradient; ``given``: from some of them."""
    call, structs = entry.call, entry.structs()
    targets = [i for i, m in enumerate(mask) if m]
    wanted = [i for i, d in enumerate(entry.differentiable) if d]
    wanted = wanted if given is None else list(compress(wanted, given))

    def forward(*args: Any) -> Any:
        def f(*chosen: Any) -> Any:
            full = list(args)
            for i, x in zip(targets, chosen, strict=True):
                full[i] = x
            out = call.apply(*full)
            out = (out,) if entry.out is not None else tuple(out)
            return [out[i] for i in wanted], out

        outs, pull, every = jax.vjp(f, *[args[i] for i in targets], has_aux=True)
        final = list(every)
        for i, o in zip(wanted, outs, strict=True):
            final[i] = o
        return final, pull

    closed, (_, pull_shape) = aside(jax.make_jaxpr(forward, return_shape=True), *structs)
    leaves, tree = jax.tree.flatten(pull_shape)
    jaxpr = closed.jaxpr
    n_out = len(entry.outs)
    out_vars = {} if from_inputs else {v: i for i, v in reversed(list(enumerate(jaxpr.outvars[:n_out]))) if not isinstance(v, Literal)}
    in_vars = {v: i for i, v in enumerate(jaxpr.invars)}
    const_vars = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    kept = jaxpr.outvars[n_out:]
    assert len(kept) == len(leaves)

    save = call.residuals == "save" and not from_inputs
    between = []  # variables to recompute, or to keep as hidden outputs
    for v in kept:
        if not isinstance(v, Literal) and v not in in_vars and v not in out_vars and v not in const_vars and v not in between:
            between.append(v)
    plan = Plan()
    plan.targets, plan.wanted_outs, plan._backward, plan._name = tuple(targets), tuple(wanted), {}, call.grad_name
    plan.source = (entry, mask, from_inputs)
    plan.outs = tuple(entry.outs[i] for i in wanted)
    used_in = {in_vars[v] for v in kept if not isinstance(v, Literal) and v in in_vars}
    used_out = {out_vars[v] for v in kept if not isinstance(v, Literal) and v in out_vars and v not in in_vars}
    recompute = None
    if between and not save:
        recompute, more_in, more_out = _slice(closed, between, in_vars, out_vars, const_vars)
        used_in |= more_in
        used_out |= more_out
    plan.saved_in, plan.saved_out = tuple(sorted(used_in)), tuple(sorted(used_out))
    plan.hidden = len(between) if save else 0
    plan.forward = None
    if plan.hidden:
        plan.forward = forward_of(entry, mask, _forward_with(closed, n_out, between))
    plan.simple = not plan.saved_out and plan.forward is None
    plan.once = bool(plan.saved_out or plan.hidden) or any(isinstance(entry.inputs[i], Aval) or i in wrapped(call) for i in plan.saved_in)

    where_in = {i: k for k, i in enumerate(plan.saved_in)}
    where_out = {i: len(plan.saved_in) + k for k, i in enumerate(plan.saved_out)}
    first_hidden = len(plan.saved_in) + len(plan.saved_out)
    sources: list[tuple[str, Any]] = []
    for v in kept:
        if isinstance(v, Literal):
            sources.append(("const", np.asarray(v.val, v.aval.dtype)))
        elif v in in_vars:
            sources.append(("saved", where_in[in_vars[v]]))
        elif v in out_vars:
            sources.append(("saved", where_out[out_vars[v]]))
        elif v in const_vars:
            sources.append(("const", const_vars[v]))
        elif save:
            sources.append(("saved", first_hidden + between.index(v)))
        else:
            sources.append(("between", between.index(v)))
    is_complex = any(s.dtype.kind == "c" for s in structs) or any(o.dtype.is_complex for o in plan.outs)

    def pull(saved: Any, cts: Any) -> Any:
        recomputed = recompute(saved, where_in, where_out) if recompute is not None else ()
        args = [saved[k] if s == "saved" else recomputed[k] if s == "between" else k for s, k in sources]
        fn = jax.tree.unflatten(tree, args)
        # torch's gradient of a complex function is the conjugate of JAX's.
        if is_complex:
            return tuple(_conj(g) for g in fn([_conj(c) for c in cts]))
        return tuple(fn(list(cts)))

    plan._pull = pull
    return plan


def _slice(closed: ClosedJaxpr, wanted: list[Any], in_vars: Any, out_vars: Any, const_vars: Any) -> tuple[Any, set[int], set[int]]:
    """The part of a program that computes ``wanted`` from its inputs and, where they help, from its outputs."""
    needed, eqns = set(wanted), []
    used_in: set[int] = set()
    used_out: set[int] = set()
    for eqn in reversed(closed.jaxpr.eqns):
        # An output that is at hand ends the walk, unless it is itself what we were asked for.
        outs = [v for v in eqn.outvars if v in needed and (v not in out_vars or v in wanted)]
        if not outs:
            continue
        eqns.append(eqn)
        for v in eqn.invars:
            if not isinstance(v, Literal):
                if v in in_vars:
                    used_in.add(in_vars[v])
                elif v in out_vars:
                    used_out.add(out_vars[v])
                elif v not in const_vars:
                    needed.add(v)
    eqns.reverse()
    ins = [v for v in closed.jaxpr.invars if in_vars[v] in used_in]
    outs_in = [v for v, i in out_vars.items() if i in used_out and v not in in_vars]
    inputs = [*const_vars, *ins, *outs_in]  # constants are inputs here: which of them stay is then said in one way by all versions of JAX
    part = closed.jaxpr.replace(eqns=eqns, invars=inputs, outvars=list(wanted), constvars=[], debug_info=_no_debug(closed, len(inputs), len(wanted)))
    # What a call within it (jnp.roll is one) takes and does not need for this is not needed either.
    part, used = dce_jaxpr(part, [True] * len(wanted))
    first, last = len(const_vars), len(const_vars) + len(ins)
    constants, ins, outs_in = list(compress(const_vars.values(), used)), list(compress(ins, used[first:])), list(compress(outs_in, used[last:]))
    used_in, used_out = {in_vars[v] for v in ins}, {out_vars[v] for v in outs_in}
    program = jaxpr_as_fun(ClosedJaxpr(part, []))

    def run(saved: Any, where_in: dict[int, int], where_out: dict[int, int]) -> Any:
        return program(*constants, *[saved[where_in[in_vars[v]]] for v in ins], *[saved[where_out[out_vars[v]]] for v in outs_in])

    return run, used_in, used_out


def _no_debug(closed: ClosedJaxpr, n_in: int, n_out: int) -> Any:
    return closed.jaxpr.debug_info._replace(arg_names=(None,) * n_in, result_paths=(None,) * n_out)


def _forward_with(closed: ClosedJaxpr, n_out: int, between: list[Any]) -> Callable[..., Any]:
    whole = closed.jaxpr.replace(
        outvars=[*closed.jaxpr.outvars[:n_out], *between], debug_info=_no_debug(closed, len(closed.jaxpr.invars), n_out + len(between))
    )
    program = jaxpr_as_fun(ClosedJaxpr(whole, closed.consts))
    return lambda *a: tuple(program(*a))


def forward_of(entry: Entry, mask: tuple[bool, ...], apply: Callable[..., Any]) -> Call:
    """The call of an entry's forward that gives hidden outputs too."""
    call = entry.call
    return Call(
        None, ("with residuals", call), apply, call.name, numbers=call.numbers, elementwise=call.elementwise, grad_name=call.grad_name, fields=call.fields,
        origin=(derived, (entry, mask, False, None)), kinds=halves_among(entry.outs),
    )  # fmt: skip
