"""Which dims of an operator's inputs and outputs can be cut together, found by a walk through its program.

A *factor* is a set of dims, of inputs, of what is between and of outputs, that are cut alike or not at all. Where a factor is summed (or its largest taken, ...), the results of
the parts are still to be put together; they may be, as long as nothing follows that would not commute with it. What is said here of a primitive is what it does to dims; a primitive that
is not known keeps all its dims whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from jax.extend.core import ClosedJaxpr, Literal

from jtorch._engine.values.calls import called

__all__ = ["Factors", "factors_of", "inlined", "linear_outputs"]

ELEMENTWISE = frozenset(
    """
abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp clz complex conj convert_element_type copy copy_p cos cosh digamma div eq eq_to erf
erf_inv erfc exp exp2 expm1 floor ge gt igamma igamma_grad_a igammac imag integer_pow is_finite le le_to lgamma log log1p log2 logistic lt lt_to max min mul ne neg nextafter not
one_minus_square or polygamma population_count pow real reduce_precision regularized_incomplete_beta rem round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign
sin sinh sqrt square stop_gradient sub tan tanh xor zeta
""".split()
)
_LINEAR = frozenset("neg convert_element_type copy copy_p real imag conj stop_gradient complex reduce_precision".split())
_ALL = frozenset("add sub add_any".split())  # linear in all operands together
_REDUCTIONS = {"reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min", "reduce_prod": "product"}
_KEEPS = frozenset("neg convert_element_type copy copy_p".split())  # what any unfinished reduction but a sum commutes with, negation aside
_SHAPED = frozenset("broadcast_in_dim reshape transpose squeeze convert_element_type copy".split())


def inlined(closed: ClosedJaxpr, walk: Callable[[Any, list[Any]], list[Any]], given: list[Any], constant: Callable[[Any], Any]) -> list[Any]:
    """Go through a program and those it calls: ``walk(equation, operands) -> results``, for whatever stands for values. What it gives for the outputs."""
    jaxpr = closed.jaxpr
    known: dict[Any, Any] = dict(zip(jaxpr.invars, given, strict=True))
    for v, c in zip(jaxpr.constvars, closed.consts, strict=True):
        known[v] = constant(c)

    def of(x: Any) -> Any:
        return constant(x.val) if isinstance(x, Literal) else known[x]

    for eqn in jaxpr.eqns:
        operands = [of(x) for x in eqn.invars]
        inner = called(eqn)
        results = walk(eqn, operands) if inner is None else inlined(inner, walk, operands, constant)
        known.update(zip(eqn.outvars, results, strict=True))
    return [of(x) for x in jaxpr.outvars]


class Dims:
    """What stands for a value: the factor of each dim, what is unfinished (factor -> reduction), whether it is zero everywhere, and the number of the input that it is in another shape."""

    __slots__ = ("dims", "shape", "source", "unfinished", "zero")

    def __init__(self, shape: tuple[int, ...], dims: list[int], unfinished: dict[int, str] | None = None, zero: bool = False, source: int | None = None) -> None:
        self.shape, self.dims, self.unfinished, self.zero, self.source = shape, dims, unfinished or {}, zero, source


class Factors:
    """``inputs`` and ``outputs``: :class:`Dims`. ``root(f)`` is the one that stands for a factor; ``whole(f)``: it must not be cut; ``sizes(f)``: those of its dims.
    ``keep_even``: parts must not be empty, as those of an uneven cut may be."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._whole: set[int] = set()
        self._even: set[int] = set()
        self._sizes: list[set[int]] = []
        self.inputs: list[Dims] = []
        self.outputs: list[Dims] = []
        self.between: list[list[Dims]] = []  # results of each equation, in the order of the walk
        self.uses: dict[int, int] = {}  # of each input, other than to give it another shape
        self._added: dict[int, set[int]] = {}  # to a sum that is unfinished: the inputs that are (one of the processes must add them)

    def new(self, size: int) -> int:
        self._parent.append(len(self._parent))
        self._sizes.append({size})
        return len(self._parent) - 1

    def root(self, f: int) -> int:
        while self._parent[f] != f:
            f = self._parent[f]
        return f

    def unite(self, a: int, b: int) -> int:
        a, b = self.root(a), self.root(b)
        if a != b:
            self._parent[b] = a
            self._sizes[a] |= self._sizes[b]
            if b in self._whole:
                self._whole.add(a)
        return a

    def keep(self, *fs: int) -> None:
        self._whole.update(self.root(f) for f in fs)

    def keep_even(self, *fs: int) -> None:
        self._even.update(fs)

    def whole(self, f: int) -> bool:
        return any(self.root(x) == self.root(f) for x in self._whole)

    def sizes(self, f: int) -> set[int]:
        return self._sizes[self.root(f)]

    def can(self, f: int, n: int, also: int = 1) -> bool:
        """Whether a factor can be cut in ``n`` where it is cut in ``also`` already."""
        if self.whole(f):
            return False
        sizes = self.sizes(f)
        return all(s % (n * also) == 0 for s in sizes) or (also == 1 and len(sizes) == 1 and not any(self.root(x) == self.root(f) for x in self._even))

    def apart(self, a: int, b: int) -> bool:
        """Whether two factors never meet in one value, so that one dim of the grid may cut both: as where what goes back to two inputs has nothing in common but what it comes from."""
        a, b = self.root(a), self.root(b)
        for values in (self.inputs, self.outputs, *self.between):
            for d in values:
                if {a, b} <= {self.root(x) for x, n in zip(d.dims, d.shape, strict=True) if n != 1} | {self.root(x) for x in d.unfinished}:
                    return False
        return a != b

    def fresh(self, shape: tuple[int, ...], zero: bool = False) -> Dims:
        return Dims(shape, [self.new(n) for n in shape], zero=zero)

    def finish(self, operands: list[Dims], *but: Dims) -> None:
        """What comes next does not commute with what is unfinished in these."""
        for d in operands:
            if d not in but:
                self.keep(*d.unfinished)

    def together(self, operands: list[Dims]) -> dict[int, str]:
        """What stays unfinished in what is linear in all of these together: what is so in each that is not zero."""
        there = [d for d in operands if not d.zero]
        if not there:
            return {}
        unfinished = {f: how for d in there for f, how in d.unfinished.items()}
        for f, how in unfinished.items():
            for other in there:
                if self.root(f) in {self.root(x) for x in other.unfinished} and how == "sum":
                    continue
                if other.source is not None and how == "sum":
                    self._added.setdefault(f, set()).add(other.source)
                else:
                    self.keep(f)
        return unfinished

    def added(self, f: int) -> set[int] | None:
        """The inputs that one process alone must add to what is summed over this factor; None if an input is used for something else too."""
        found = {i for x, those in self._added.items() if self.root(x) == self.root(f) for i in those}
        return None if any(self.uses.get(i, 0) != 1 or any(self.root(x) == self.root(f) for x in self.inputs[i].dims) for i in found) else found


Rule = Callable[[Factors, Any, list[Dims]], list[Dims]]
_RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def declare(fn: Rule) -> Rule:
        for name in names:
            _RULES[name] = fn
        return fn

    return declare


def _shapes(eqn: Any) -> list[tuple[int, ...]]:
    return [tuple(v.aval.shape) for v in eqn.outvars]


def _unknown(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    f.finish(ops)
    outs = [f.fresh(s) for s in _shapes(eqn)]
    for d in (*ops, *outs):
        f.keep(*d.dims)
    return outs


@_rule(*ELEMENTWISE)
def _elementwise(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    (shape,) = _shapes(eqn)
    name = eqn.primitive.name
    dims: list[int | None] = [None] * len(shape)
    for d in ops:
        if len(d.shape) == len(shape):  # (dims of size 1 go with any size, without an equation of their own)
            for i, (x, n) in enumerate(zip(d.dims, d.shape, strict=True)):
                if n == shape[i]:
                    at = dims[i]
                    dims[i] = x if at is None else f.unite(at, x)
    out = Dims(shape, [f.new(n) if x is None else x for x, n in zip(dims, shape, strict=True)])
    if not any(d.unfinished for d in ops):
        out.zero = name in ("mul", "convert_element_type", "copy", "neg") and any(d.zero for d in ops)
        return [out]
    if name in _LINEAR:
        for d in ops:
            f.keep(*[x for x, how in d.unfinished.items() if how != "sum" and (name == "neg" or name not in _KEEPS)])
        out.unfinished = f.together(ops)
        if name == "convert_element_type" and eqn.params["new_dtype"].kind not in "fcV" and ops[0].unfinished:
            f.keep(*[x for x, how in ops[0].unfinished.items() if how == "sum"])
    elif name in _ALL:
        out.unfinished = f.together(ops)
    elif name == "select_n":
        f.finish(ops[:1])
        out.unfinished = f.together(ops[1:])
    elif name in ("mul", "div"):
        first, second = ops
        if name == "div":
            f.finish([second])
        elif first.unfinished and second.unfinished:
            f.finish([second])
            f.finish([first], second)
        chosen = first if first.unfinished else second
        f.keep(*[x for x, how in chosen.unfinished.items() if how != "sum"])
        out.unfinished = {x: how for x, how in chosen.unfinished.items() if how == "sum"}
    else:
        f.finish(ops)
    return [out]


@_rule("bitcast_convert_type")
def _bits(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    return (_elementwise if _shapes(eqn)[0] == ops[0].shape else _unknown)(f, eqn, ops)


@_rule("broadcast_in_dim")
def _broadcast(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    (shape,) = _shapes(eqn)
    out = f.fresh(shape, ops[0].zero)
    for i, d in enumerate(eqn.params["broadcast_dimensions"]):
        if ops[0].shape[i] == shape[d]:
            out.dims[d] = ops[0].dims[i]
    out.unfinished = dict(ops[0].unfinished)
    return [out]


@_rule("transpose")
def _transpose(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    return [Dims(_shapes(eqn)[0], [ops[0].dims[i] for i in eqn.params["permutation"]], dict(ops[0].unfinished), ops[0].zero)]


@_rule("squeeze")
def _squeeze(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    gone = {d % len(ops[0].shape) for d in eqn.params["dimensions"]}
    return [Dims(_shapes(eqn)[0], [x for i, x in enumerate(ops[0].dims) if i not in gone], dict(ops[0].unfinished), ops[0].zero)]


@_rule("rev")
def _rev(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    f.keep(*[ops[0].dims[d] for d in eqn.params["dimensions"]])
    return [Dims(ops[0].shape, list(ops[0].dims), dict(ops[0].unfinished), ops[0].zero)]


@_rule("reshape")
def _reshape(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    (shape,), of = _shapes(eqn), ops[0]
    out = f.fresh(shape, of.zero)
    i = j = 0
    while i < len(of.shape) or j < len(shape):
        first_i, first_j = i, j
        a = b = 1
        if i < len(of.shape):
            a, i = of.shape[i], i + 1
        if j < len(shape):
            b, j = shape[j], j + 1
        while a != b:
            if a < b and i < len(of.shape):
                a, i = a * of.shape[i], i + 1
            elif b < a and j < len(shape):
                b, j = b * shape[j], j + 1
            else:  # nothing is there at all
                break
        while i < len(of.shape) and of.shape[i] == 1 and j < len(shape) and shape[j] != 1:
            i += 1
        mine = [k for k in range(first_i, i) if of.shape[k] != 1]
        theirs = [k for k in range(first_j, j) if shape[k] != 1]
        if mine and theirs and math.prod(of.shape[k] for k in mine) == math.prod(shape[k] for k in theirs):
            out.dims[theirs[0]] = f.unite(of.dims[mine[0]], out.dims[theirs[0]])
            mine, theirs = mine[1:], theirs[1:]
        f.keep(*[of.dims[k] for k in mine], *[out.dims[k] for k in theirs])
    out.unfinished = dict(of.unfinished)
    return [out]


@_rule(*_REDUCTIONS)
def _reduce(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    how, axes = _REDUCTIONS[eqn.primitive.name], set(eqn.params["axes"])
    if how != "sum":
        f.finish(ops)
    else:
        f.keep(*[x for x, h in ops[0].unfinished.items() if h != "sum"])
    out = Dims(_shapes(eqn)[0], [x for i, x in enumerate(ops[0].dims) if i not in axes])
    out.unfinished = {**ops[0].unfinished, **{ops[0].dims[i]: how for i in axes}}
    if eqn.invars[0].aval.dtype.kind == "b":
        f.keep(*out.unfinished)
    if how != "sum":
        f.keep_even(*[ops[0].dims[i] for i in axes])
    return [out]


@_rule("reduce_and", "reduce_or", "reduce_xor", "argmax", "argmin")
def _reduce_whole(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    f.finish(ops)
    axes = set(eqn.params["axes"])
    f.keep(*[ops[0].dims[i] for i in axes])
    return [Dims(_shapes(eqn)[0], [x for i, x in enumerate(ops[0].dims) if i not in axes])]


@_rule("dot_general")
def _dot(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    (lc, rc), (lb, rb) = eqn.params["dimension_numbers"]
    left, right = ops
    if left.unfinished and right.unfinished:
        f.finish(ops)
    unfinished = {**left.unfinished, **right.unfinished}
    f.keep(*[x for x, how in unfinished.items() if how != "sum"])
    for a, b in (*zip(lc, rc, strict=True), *zip(lb, rb, strict=True)):
        f.unite(left.dims[a], right.dims[b])
    dims = [left.dims[i] for i in lb]
    dims += [x for i, x in enumerate(left.dims) if i not in lc and i not in lb]
    dims += [x for i, x in enumerate(right.dims) if i not in rc and i not in rb]
    return [Dims(_shapes(eqn)[0], dims, {**unfinished, **{left.dims[i]: "sum" for i in lc}}, left.zero or right.zero)]


@_rule("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")
def _cumulative(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    if eqn.primitive.name != "cumsum":
        f.finish(ops)
    f.keep(ops[0].dims[eqn.params["axis"]], *[x for x, how in ops[0].unfinished.items() if how != "sum"])
    return [Dims(ops[0].shape, list(ops[0].dims), dict(ops[0].unfinished))]


@_rule("sort")
def _sort(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    f.finish(ops)
    dims = list(ops[0].dims)
    for d in ops[1:]:
        dims = [f.unite(a, b) for a, b in zip(dims, d.dims, strict=True)]
    f.keep(dims[eqn.params["dimension"]])
    return [Dims(s, list(dims)) for s in _shapes(eqn)]


@_rule("top_k", "split")
def _along(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    f.finish(ops)
    axis = eqn.params.get("axis", -1) % len(ops[0].shape)
    f.keep(ops[0].dims[axis])
    outs = []
    for s in _shapes(eqn):
        new = f.new(s[axis])
        f.keep(new)
        outs.append(Dims(s, [new if i == axis else x for i, x in enumerate(ops[0].dims)]))
    return outs


@_rule("concatenate")
def _concatenate(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    axis, (shape,) = eqn.params["dimension"], _shapes(eqn)
    out = f.fresh(shape, all(d.zero for d in ops))
    f.keep(out.dims[axis])
    for d in ops:
        for i, x in enumerate(d.dims):
            if i == axis:
                f.keep(x)
            else:
                f.unite(out.dims[i], x)
    out.unfinished = f.together(ops)
    return [out]


def _same_or_whole(f: Factors, a: list[int], b: list[int], same: list[bool]) -> None:
    for x, y, s in zip(a, b, same, strict=True):
        if s:
            f.unite(x, y)
        else:
            f.keep(x, y)


@_rule("pad")
def _pad(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    out = f.fresh(_shapes(eqn)[0], ops[0].zero and ops[1].zero)
    _same_or_whole(f, ops[0].dims, out.dims, [tuple(c) == (0, 0, 0) for c in eqn.params["padding_config"]])
    out.unfinished = f.together(ops)
    return [out]


@_rule("slice")
def _slice(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    p, of = eqn.params, ops[0]
    out = f.fresh(_shapes(eqn)[0], of.zero)
    _same_or_whole(f, of.dims, out.dims, [a == 0 and b == n and s == 1 for a, b, s, n in zip(p["start_indices"], p["limit_indices"], p["strides"] or (1,) * len(of.shape), of.shape, strict=True)])
    out.unfinished = dict(of.unfinished)
    return [out]


@_rule("dynamic_slice")
def _dynamic_slice(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    f.finish(ops[1:])
    out = f.fresh(_shapes(eqn)[0], ops[0].zero)
    _same_or_whole(f, ops[0].dims, out.dims, [a == b for a, b in zip(ops[0].shape, out.shape, strict=True)])
    out.unfinished = dict(ops[0].unfinished)
    return [out]


@_rule("dynamic_update_slice")
def _dynamic_update(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    f.finish(ops[2:])
    whole, part = ops[:2]
    _same_or_whole(f, whole.dims, part.dims, [a == b for a, b in zip(whole.shape, part.shape, strict=True)])
    return [Dims(whole.shape, list(whole.dims), f.together([whole, part]), whole.zero and part.zero)]


@_rule("gather")
def _gather(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    of, at = ops[:2]
    f.finish([at])
    n, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    batching = tuple(getattr(n, "operand_batching_dims", ()))
    out = f.fresh(_shapes(eqn)[0])
    windows = [d for d in range(len(of.shape)) if d not in n.collapsed_slice_dims and d not in batching]
    for d, o in zip(windows, n.offset_dims, strict=True):
        _same_or_whole(f, [of.dims[d]], [out.dims[o]], [sizes[d] == of.shape[d] and d not in n.start_index_map])
    f.keep(*[of.dims[d] for d in n.collapsed_slice_dims], *([at.dims[-1]] if at.dims else []))
    for o, x in zip([o for o in range(len(out.shape)) if o not in n.offset_dims], at.dims[:-1], strict=True):
        f.unite(out.dims[o], x)
    for d, i in zip(batching, getattr(n, "start_indices_batching_dims", ()), strict=True):
        f.unite(of.dims[d], at.dims[i])
    out.unfinished = dict(of.unfinished)
    f.keep(*[x for x, how in of.unfinished.items() if how != "sum"])
    return [out]


@_rule("scatter", "scatter-add", "scatter_add", "scatter_mul", "scatter_min", "scatter_max", "scatter-mul", "scatter-min", "scatter-max")
def _scatter(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    of, at, new = ops
    f.finish([at])
    n = eqn.params["dimension_numbers"]
    batching = tuple(getattr(n, "operand_batching_dims", ()))
    windows = [d for d in range(len(of.shape)) if d not in n.inserted_window_dims and d not in batching]
    for d, u in zip(windows, n.update_window_dims, strict=True):
        _same_or_whole(f, [of.dims[d]], [new.dims[u]], [of.shape[d] == new.shape[u] and d not in n.scatter_dims_to_operand_dims])
    f.keep(*[of.dims[d] for d in n.inserted_window_dims], *([at.dims[-1]] if at.dims else []))
    rows = [u for u in range(len(new.shape)) if u not in n.update_window_dims]
    for u, x in zip(rows, at.dims[:-1], strict=True):
        f.unite(new.dims[u], x)
    along = tuple(getattr(n, "scatter_indices_batching_dims", ()))
    for d, i in zip(batching, along, strict=True):
        f.unite(of.dims[d], at.dims[i])
    free = [new.dims[u] for k, u in enumerate(rows) if k not in along]
    adds = eqn.primitive.name.replace("_", "-") == "scatter-add"
    unfinished = f.together([of, new])
    if adds and of.zero:
        unfinished = {**unfinished, **dict.fromkeys(free, "sum")}
    else:
        f.keep(*free)
        if not adds:
            f.finish([of, new])
            unfinished = {}
    return [Dims(of.shape, list(of.dims), unfinished)]


@_rule("iota")
def _iota(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    out = f.fresh(_shapes(eqn)[0])
    f.keep(out.dims[eqn.params["dimension"]])
    return [out]


@_rule("conv_general_dilated")
def _conv(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    n, (shape,) = eqn.params["dimension_numbers"], _shapes(eqn)
    left, right = ops
    if left.unfinished and right.unfinished:
        f.finish(ops)
    unfinished = {**left.unfinished, **right.unfinished}
    f.keep(*[x for x, how in unfinished.items() if how != "sum"])
    out = f.fresh(shape)
    ls, rs, os = n.lhs_spec, n.rhs_spec, n.out_spec
    f.keep(*[left.dims[d] for d in ls[2:]], *[right.dims[d] for d in rs[2:]], *[out.dims[d] for d in os[2:]])
    groups, batches = eqn.params["feature_group_count"], eqn.params["batch_group_count"]
    if batches == 1:
        f.unite(left.dims[ls[0]], out.dims[os[0]])
    else:
        f.keep(left.dims[ls[0]], out.dims[os[0]])
    if groups == 1 and batches == 1:
        f.unite(right.dims[rs[0]], out.dims[os[1]])
        f.unite(left.dims[ls[1]], right.dims[rs[1]])
        unfinished = {**unfinished, left.dims[ls[1]]: "sum"}
    else:
        f.keep(right.dims[rs[0]], out.dims[os[1]], left.dims[ls[1]], right.dims[rs[1]])
    out.unfinished = unfinished
    return [out]


@_rule("reduce_window_max", "reduce_window_min", "reduce_window_sum")
def _window(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    p = eqn.params
    if eqn.primitive.name != "reduce_window_sum":
        f.finish(ops)
    out = f.fresh(_shapes(eqn)[0])
    alone = [w == 1 and s == 1 and tuple(g) == (0, 0) for w, s, g in zip(p["window_dimensions"], p["window_strides"], p["padding"], strict=True)]
    _same_or_whole(f, ops[0].dims, out.dims, alone)
    out.unfinished = dict(ops[0].unfinished)
    return [out]


@_rule("select_and_scatter_add", "select_and_gather_add")
def _window_back(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    p = eqn.params
    f.finish(ops)
    out = f.fresh(_shapes(eqn)[0])
    alone = [w == 1 and s == 1 and tuple(g) == (0, 0) for w, s, g in zip(p["window_dimensions"], p["window_strides"], p["padding"], strict=True)]
    for d in ops:
        _same_or_whole(f, d.dims, out.dims, alone)
    return [out]


@_rule("optimization_barrier")
def _barrier(f: Factors, eqn: Any, ops: list[Dims]) -> list[Dims]:
    return [Dims(d.shape, list(d.dims), dict(d.unfinished), d.zero) for d in ops]


def factors_of(closed: ClosedJaxpr) -> Factors:
    """The factors of a program."""
    f = Factors()
    f.inputs = [f.fresh(tuple(v.aval.shape)) for v in closed.jaxpr.invars]
    for i, d in enumerate(f.inputs):
        d.source = i

    def walk(eqn: Any, ops: list[Dims]) -> list[Dims]:
        shaped = eqn.primitive.name in _SHAPED
        for d in ops:
            if d.source is not None and not shaped:
                f.uses[d.source] = f.uses.get(d.source, 0) + 1
        outs = _RULES.get(eqn.primitive.name, _unknown)(f, eqn, ops)
        if shaped:
            outs[0].source = ops[0].source
        f.between.append(outs)
        return outs

    def constant(c: Any) -> Dims:
        shape = tuple(getattr(c, "shape", ()))
        out = f.fresh(shape, not shape and not isinstance(c, str) and getattr(c, "dtype", None) is not None and c.dtype.kind in "biufc" and not c)
        if not shape and isinstance(c, (int, float)):
            out.zero = c == 0
        f.keep(*out.dims)
        return out

    f.outputs = inlined(closed, walk, list(f.inputs), constant)
    for d in f.outputs:
        if d.source is not None:
            f.uses[d.source] = 2
    return f


def linear_outputs(closed: ClosedJaxpr, given: list[bool]) -> list[bool] | None:
    """Which outputs are sums where the inputs that ``given`` marks are (and the others are whole); None if the program is not linear in those together."""

    class NotLinear(Exception):
        pass

    ok, zero = {True, "zero"}, "zero"

    def walk(eqn: Any, ops: list[Any]) -> list[Any]:
        name, n = eqn.primitive.name, len(eqn.outvars)
        if True not in ops:
            still = name in ("broadcast_in_dim", "reshape", "transpose", "convert_element_type", "squeeze", "slice") and ops[0] == zero
            return [zero if still else False] * n
        if name in _ALL or name in ("concatenate", "pad"):
            good = all(x in ok for x in ops)
        elif name == "select_n":
            good = ops[0] is False and all(x in ok for x in ops[1:])
        elif name in ("mul", "dot_general", "conv_general_dilated"):
            good = ops.count(True) == 1
        elif name in ("div", "dynamic_slice", "gather"):
            good = True not in ops[1:]
        elif name in ("scatter-add", "scatter_add", "dynamic_update_slice"):
            where = 1 if name.startswith("scatter") else 2
            good = all(x in ok for i, x in enumerate(ops) if i != where and i < 3 and not (name.startswith("dyn") and i > 1)) and all(x is False or x == zero for x in ops[where : where + 1])
        elif name == "convert_element_type":
            good = eqn.params["new_dtype"].kind in "fcV"
        else:
            good = name in _LINEAR or name in ("broadcast_in_dim", "reshape", "transpose", "squeeze", "rev", "slice", "reduce_sum", "cumsum", "reduce_window_sum", "optimization_barrier")
        if not good:
            raise NotLinear
        return [True] * n

    def constant(c: Any) -> Any:
        shape = getattr(c, "shape", ())
        return zero if not shape and not c else False

    try:
        return [x is True for x in inlined(closed, walk, list(given), constant)]
    except NotLinear:
        return None
