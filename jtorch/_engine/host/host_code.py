"""A jaxpr as a Python function of numpy arrays, written out: one line for each operation of numpy's.

What is small costs its interpreter, not its numbers. So everything that the jaxpr says already is done once, when the function is written: calls are opened, what comes of constants alone is
computed, conversions that change nothing go, one number that stands for many is not spread until somebody needs it, and results whose type numpy gets right by itself are not looked at.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from jtorch._engine.host.host_rules import ELEMENTWISE
from jtorch._engine.values.calls import called

__all__ = ["HostFunction"]

Rule = Callable[[list[Any]], Any]  # an equation's inputs to a sequence of its outputs
_FOLDED = 256  # elements of a constant that is computed beforehand
_SAME = frozenset(("copy", "copy_p", "stop_gradient", "optimization_barrier", "device_put", "sharding_constraint"))


class _Name:
    """A variable of the function. ``spread``: the shape that it has, where one number stands for it; ``value``: what it is, if that is known; ``given``: whether somebody else has its array too."""

    __slots__ = ("text", "spread", "value", "given")

    def __init__(self, text: str, spread: tuple[int, ...] | None = None, value: Any = None, given: bool = False) -> None:
        self.text, self.spread, self.value, self.given = text, spread, value, given


class HostFunction:
    """A function that is being written. ``rule_of``: how an equation is computed that is not elementwise; it raises if there is no way."""

    def __init__(self, rule_of: Callable[[Any], Rule]) -> None:
        self.rule_of = rule_of
        self.lines: list[str] = []
        self.world: dict[str, Any] = {"asarray": np.asarray, "array": np.array, "ndarray": np.ndarray, "broadcast_to": np.broadcast_to}
        self.count = 0

    def new(self, letter: str = "v") -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def input(self) -> _Name:
        """One more array that the function is given."""
        return _Name(self.new("a"), given=True)

    def known(self, value: Any) -> _Name:
        name = self.new("c")
        self.world[name] = value
        return _Name(name, value=value, given=True)

    def tool(self, thing: Any) -> str:
        name = self.new("f")
        self.world[name] = thing
        return name

    def call(self, function: Callable[..., Any], given: Sequence[_Name], outs: int) -> list[_Name]:
        """Leave something to a function, which gives so many arrays in a list."""
        names = [self.new() for _ in range(outs)]
        self.lines.append(f"{', '.join(names)}, = {self.tool(function)}({', '.join(map(self.whole, given))})")
        return [_Name(n) for n in names]

    def run(self, closed: ClosedJaxpr, given: Sequence[_Name]) -> list[_Name]:
        """Compute a closed jaxpr of these."""
        jaxpr = closed.jaxpr
        env: dict[Any, _Name] = dict(zip(jaxpr.invars, given, strict=True))
        for v, c in zip(jaxpr.constvars, closed.consts, strict=True):
            env[v] = self.known(np.asarray(c))

        def at(v: Any) -> _Name:
            return self.known(np.asarray(v.val, v.aval.dtype)) if isinstance(v, Literal) else env[v]

        for eqn in jaxpr.eqns:
            env.update(zip(eqn.outvars, self.equation(eqn, [at(v) for v in eqn.invars]), strict=True))
        return [at(v) for v in jaxpr.outvars]

    def equation(self, eqn: Any, ins: list[_Name]) -> list[_Name]:
        name, params = eqn.primitive.name, eqn.params
        inner = called(eqn)
        if inner is not None:
            return self.run(inner, ins)
        if name in _SAME or (name == "convert_element_type" and eqn.invars[0].aval.dtype == eqn.outvars[0].aval.dtype):
            return ins
        if params.get("axes") == () and name.startswith("reduce_"):
            return ins
        if name in ("broadcast_in_dim", "reshape") and eqn.invars[0].aval.shape == eqn.outvars[0].aval.shape and params.get("dimensions") is None:
            return ins
        if name == "broadcast_in_dim" and len(ins) == 1 and (ins[0].spread is not None or not eqn.invars[0].aval.shape):
            return [_Name(ins[0].text, eqn.outvars[0].aval.shape, ins[0].value, ins[0].given)]
        rule = ELEMENTWISE.get(name)
        shape = eqn.outvars[0].aval.shape if len(eqn.outvars) == 1 else None
        kinds = tuple([np.dtype(v.aval.dtype) for v in eqn.invars])
        if rule is not None and shape is not None:
            call = rule(kinds, [x.value for x in ins], params)
            if call is not None and all([not s or s == shape for s in [v.aval.shape for v in eqn.invars]]):
                return [self.elementwise(eqn, call, ins, kinds, shape)]
        return self.general(eqn, ins)

    def elementwise(self, eqn: Any, call: Callable[..., Any], ins: list[_Name], kinds: tuple[np.dtype, ...], shape: tuple[int, ...]) -> _Name:
        wanted = np.dtype(eqn.outvars[0].aval.dtype)
        alone = all([x.spread is not None or not v.aval.shape for x, v in zip(ins, eqn.invars, strict=True)])  # one number, however many it stands for
        spread = shape if alone and shape else None
        right = _kind_of(call, kinds) == wanted
        if all([x.value is not None for x in ins]) and (alone or math.prod(shape) <= _FOLDED):
            with np.errstate(all="ignore"):
                value = np.asarray(call(*[x.value for x in ins]), wanted)
            found = self.known(value)
            return _Name(found.text, spread, value, True)
        name = self.new()
        text = f"{self.tool(call)}({', '.join([x.text for x in ins])})"
        self.lines.append(f"{name} = {text}" if right else f"{name} = asarray({text}).astype({self.tool(wanted)})")
        return _Name(name, spread)

    def whole(self, x: _Name) -> str:
        """An array of the shape that a variable has."""
        if x.spread is not None:
            return f"broadcast_to({x.text}, {x.spread})"
        return x.text if x.given else f"asarray({x.text})"

    def general(self, eqn: Any, ins: list[_Name]) -> list[_Name]:
        rule = self.rule_of(eqn)
        small = sum([math.prod(v.aval.shape) for v in eqn.outvars]) <= _FOLDED
        if small and all([x.value is not None for x in ins]) and not eqn.effects:
            with np.errstate(all="ignore"):
                values = rule([x.value if x.spread is None else np.broadcast_to(x.value, x.spread) for x in ins])
            return [self.known(np.array(value, v.aval.dtype)) for value, v in zip(values, eqn.outvars, strict=True)]
        names = [self.new() for _ in eqn.outvars]
        self.lines.append(f"{''.join([n + ', ' for n in names]) or '_'}= {self.tool(rule)}([{', '.join(map(self.whole, ins))}])")
        for name, v in zip(names, eqn.outvars, strict=True):
            kind = self.tool(np.dtype(v.aval.dtype))
            self.lines.append(f"if {name}.__class__ is not ndarray or {name}.dtype != {kind}: {name} = asarray({name}, {kind})")
        return [_Name(n) for n in names]

    def function(self, given: Sequence[_Name], outs: Sequence[_Name]) -> Callable[..., list[np.ndarray]]:
        """What has been written, as a function of these that gives those."""
        results, seen = [], set()
        for x in outs:
            # Arrays of somebody else's are not given away, nor one array twice.
            other = x.given or x.text in seen
            results.append(f"array({self.whole(x)})" if other and x.spread is None else self.whole(x))
            seen.add(x.text)
        head = f"def run({', '.join([x.text for x in given])}):"
        text = "\n    ".join([head, *self.lines, f"return [{', '.join(results)}]"])
        exec(compile(text, "<jtorch on the host>", "exec"), self.world)
        return self.world["run"]  # type: ignore[no-any-return]


@functools.lru_cache(4096)
def _kind_of(call: Callable[..., Any], kinds: tuple[np.dtype, ...]) -> np.dtype | None:
    """The type of what numpy makes of numbers of these types."""
    with np.errstate(all="ignore"):
        try:
            return getattr(call(*[np.ones((), kind) for kind in kinds]), "dtype", None)
        except TypeError:  # numpy has none for these: so it will say
            return None
