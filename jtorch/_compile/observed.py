"""From a call that was watched to its replay: where each input of the recorded nodes comes from, which tensors were written, what is returned."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np

from jtorch._compile.guarding import Guards, same
from jtorch._compile.numbers import Tracked, program
from jtorch._compile.parts import Constant, Elements, assignment, contents, deletion, in_ranks, layers_of
from jtorch._compile.replaying import Replay, zeros
from jtorch._compile.watching import ABSENT, Watch
from jtorch._core.backward.backward_pass import run_backward
from jtorch._core.graph.node import AccumulateGrad, OpNode
from jtorch._core.graph.view_history import edge_of
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.view_steps import aval_of, read
from jtorch._engine.placing.entries import part_aval
from jtorch._engine.recording.trace import SCALAR
from jtorch._engine.running.replay import Recorded
from jtorch._engine.values.placed import PlacedAval, behind, placed
from jtorch._engine.values.values import Value

__all__ = ["Refused", "replay_of"]


class Refused(Exception):
    """Why a call cannot be replayed."""


def replay_of(w: Watch, args: list[Any], result: Any) -> Replay:
    """The replay of a call that was watched to its end. ``args``: the tensors among its arguments. Refused if there is none."""
    return _Maker(w, args).made(result)


class _Maker:
    def __init__(self, w: Watch, args: list[Any]) -> None:
        self.w, self.args = w, args
        self.arg_at = {id(t): i for i, t in enumerate(args)}
        self.live: dict[int, int] = {}
        self.wanted: list[Any] = []
        self.replay = Replay()
        self.alive: dict[int, int] = {}  # id of an output with a graph -> its number
        self.out_tensors: list[Any] = []

    # ---- parts

    def output(self, v: Value) -> int:
        """The number of an output of the nodes among those that are asked for."""
        return self.live.setdefault(v.pos, len(self.live))

    def number(self, how: Any) -> int:
        self.wanted.append(how)
        return len(self.wanted) - 1

    def template(self, x: Any, depth: int = 0) -> Any:
        """What makes the value once more: a function of (replay, args, results, numbers, made, node)."""
        if isinstance(x, Tracked):
            n, kind = self.number(x.how), int if isinstance(x, int) else float
            return lambda r, a, o, numbers, made, node: kind(numbers[n])
        if isinstance(x, Tensor):
            return self._tensor(x)
        cls = x.__class__
        if id(x) not in self.w.containers or cls is tuple:
            if cls is tuple or (isinstance(x, tuple) and hasattr(x, "_fields")):
                parts = [self.template(v, depth + 1) for v in x]
                if all(p.__class__ is Constant for p in parts):
                    return Constant(x)
                build = cls if cls is tuple else cls._make
                return lambda *given: build([p(*given) for p in parts])
            if cls is list:
                parts = [self.template(self._slot(x, i, v), depth + 1) for i, v in enumerate(x)]
                return lambda *given: [p(*given) for p in parts]
            if isinstance(x, dict) and cls.__init__ in (dict.__init__, type({}).__init__) or cls.__name__ in ("OrderedDict",):
                keys, parts = list(x), [self.template(self._slot(x, k, v), depth + 1) for k, v in x.items()]
                return lambda *given: cls(zip(keys, [p(*given) for p in parts], strict=True))
        if cls in (int, float, bool, str, complex, bytes, type(None)) or isinstance(x, type):
            return Constant(x)
        if id(x) in self.w.containers or not (id(x) in self.w.fresh or _holds_tensor(x)):
            if id(x) in self.w.fresh:
                raise Refused(f"a new {cls.__name__} is given out")
            return Constant(x)
        if hasattr(x, "__dict__") and id(x) in self.w.fresh and not hasattr(cls, "__slots__"):
            names, parts = list(x.__dict__), [self.template(self._slot(x.__dict__, k, v), depth + 1) for k, v in x.__dict__.items()]

            def build_object(*given: Any) -> Any:
                made = cls.__new__(cls)
                made.__dict__.update(zip(names, [p(*given) for p in parts], strict=True))
                return made

            return build_object
        raise Refused(f"a new {cls.__name__} is given out")

    def _slot(self, held: Any, key: Any, v: Any) -> Any:
        found = self.w.overlay.get((id(held), key)) if key.__class__ in (int, str) else None
        return found if found is not None else v

    def _tensor(self, t: Any) -> Any:
        key = id(t)
        if key in self.arg_at:
            i = self.arg_at[key]
            return lambda r, args, o, n, made, node: args[i]
        seen = self.w.tensors.get(key)
        if seen is not None:
            return self._gradient_of(seen, t) or Constant(t)
        if t.__class__ is not Tensor:
            raise Refused(f"a new {t.__class__.__name__} is given out")
        if t.__dict__:
            raise Refused("a new tensor with attributes of its own is given out")
        if id(t._s) in self.seen_storages:
            raise Refused("a view of a tensor that was there before is given out")
        shown = read(t)
        v, layers = layers_of(shown)
        strides = t._s.strides if t._view is None else None
        alive = t._edge is not None and self._is_alive(t)
        dead = t._edge is not None and not alive
        if t._edge is None and t._meta is not None and t._meta.inference:
            raise Refused("inference mode")
        if t.requires_grad and t._edge.__class__ is AccumulateGrad:
            raise Refused("a new leaf is given out")
        nr = None
        if alive:
            nr = self.alive.setdefault(key, len(self.alive))
            if nr == len(self.out_tensors):
                self.out_tensors.append(t)
        if v.trace is self.w.trace:
            n = self.output(v)
            self.replay.shown.add(n)
        elif v.trace is None and id(v) not in self.w.values and v.array.__class__ is np.ndarray and id(v) not in self.drawn:
            n, constant = None, v
        else:
            raise Refused("a tensor is given out that was not computed here")
        aval, inside = shown.aval, v.aval
        if alive and any(layer.func is in_ranks for layer in layers):
            raise Refused("a result with a graph that is another one in each rank")
        from jtorch._compile.replaying import CompiledBackward, new_value

        def build(r: Any, args: Any, results: Any, numbers: Any, made: Any, node: Any) -> Any:
            found = made.get(key)
            if found is None:
                if n is None:
                    value: Any = new_value(aval, constant.array)
                else:
                    value = results[n]
                    if value.__class__ is not Value:
                        value = new_value(inside, value)
                    for layer in layers:
                        value = layer(value)
                found = made[key] = new_tensor(value, strides)
                if alive:
                    found._edge, found._nr = node, nr
                elif dead:
                    gone = CompiledBackward()
                    gone.edges, gone.seq, gone.hooks, gone.extra, gone.saved, gone.replay, gone.avals = (), 0, None, None, None, r, (aval,)
                    found._edge = gone
            return found

        return build

    def _gradient_of(self, seen: Any, t: Any) -> Any:
        """What gives the gradient of a tensor that is there, if this is one; each call has its own."""
        owner = next((s.tensor for s in self.w.tensors.values() if s.grad is t), None)
        if owner is None:
            return None
        if owner._grad is not t:
            raise Refused("a gradient is given out and replaced")
        at = self.arg_at.get(id(owner))
        return (lambda *given: owner.grad) if at is None else (lambda r, args, *given: args[at].grad)

    def _is_alive(self, t: Any) -> bool:
        """Whether a backward can still go through the graph of an output."""
        stack, seen = [edge_of(t)], set()
        while stack:
            node = stack.pop()
            if node in seen or node.__class__ is AccumulateGrad:
                continue
            seen.add(node)
            if isinstance(node, OpNode):
                if node.saved is None:
                    return False
                if node.hooks is not None:
                    raise Refused("hooks on the graph of a result")
            elif node.seq >= self.w.first_seq and getattr(node, "saved", ()) is None:
                return False
            if node.seq < self.w.first_seq:
                continue
            if hasattr(node, "_forward_cls"):  # module hooks on the way back are such, too
                raise Refused("a custom autograd.Function, whose backward is Python")
            stack.extend(node.edges[::2])
        return True

    # ---- the whole

    def made(self, result: Any) -> Replay:
        w, r = self.w, self.replay
        tr = w.trace
        self.seen_storages = {id(s.storage) for s in w.tensors.values()}
        self.drawn = {id(v) for v, _ in w.draws}
        counted = {id(s) for storages, _, _ in w.counts for s in storages}
        r.looked = [(self.output(v), truth) for v, truth in w.looked]
        r.result = self.template(result)
        r.effects = self._effects()
        self._tensor_effects(counted)
        if self.alive and tr.backwards:
            raise Refused("a backward pass inside, and results that have a graph")
        if self.alive and any(g is not None for _, g, _, _ in r.grads):
            raise Refused("gradients and results that have a graph")
        count = tr.count
        nodes, forward_inputs = list(tr.nodes), tr.input_count
        found = self._backward() if self.alive else None
        self._inputs(tr, forward_inputs if found is None else tr.input_count)
        scalars = self._scalars(tr)
        checks = self._checks(tr)
        fixed_avals = [v.aval for v in tr.inputs[: tr.input_count]]
        if found is not None:
            self._joint(tr, nodes, count, found, scalars)
        r.recorded = Recorded(nodes, fixed_avals, scalars, {i for i, _ in r.dynamic}, tr.device, checks)
        r.live = tuple(self.live)
        every = [a for node in nodes for a in node[0].outs]
        r.live_avals = [every[p] for p in r.live]
        r.scalars = scalars
        self._guards()
        self._donatable()
        r.decisions = [v for _, v in w.decisions]
        r.compute = program([how for how, _ in w.decisions] + self.wanted).compute
        r.slots = w.slots
        r.counts = [(storages, self.number_of[i], storages[0].value.aval) for i, (storages, _, _) in enumerate(w.counts)]
        return r

    def _effects(self) -> list[Any]:
        """What was written to objects, less what is as it was."""
        w, out = self.w, []
        for (_, key), (held, _, was) in w.starts.items():
            now = held.get(key, ABSENT)
            tracked = w.overlay.get((id(held), key))
            if tracked is None and (now is was or same(now, was)):
                continue
            if id(held) in self._fresh_dicts():
                continue
            if now is ABSENT:
                out.append(deletion(held, key))
                continue
            if was.__class__ in (int, float) and now.__class__ in (int, float) and tracked is None:
                w.dynamic_found.append((id(held), key))
            out.append(assignment(held, key, self.template(tracked if tracked is not None else now)))
        for c, was in w.containers.values():
            if c.__class__ in (tuple, frozenset) or id(c) in w.fresh:
                continue
            now = tuple(c.items()) if isinstance(c, dict) else tuple(c)
            tracked = [self._slot(c, k, None) for k in (c if isinstance(c, dict) else range(len(c)))]
            if len(now) == len(was) and not any(t is not None for t in tracked):
                if isinstance(c, dict):
                    if all(a[0] is b[0] and (a[1] is b[1] or same(a[1], b[1])) for a, b in zip(now, was, strict=True)):
                        continue
                elif isinstance(c, (set,)):
                    if set(now) == set(was):
                        continue
                elif all(a is b or same(a, b) for a, b in zip(now, was, strict=True)):
                    continue
            before = dict(was) if isinstance(c, dict) else None
            if isinstance(c, dict):
                for k, v in now:
                    t = self._slot(c, k, None)
                    old = before.get(k, ABSENT) if before is not None else ABSENT
                    if t is None and old.__class__ in (int, float) and v.__class__ in (int, float) and not same(old, v):
                        w.dynamic_found.append((id(c), k))
                    if t is not None or not (old is v or same(old, v)):
                        out.append(assignment(c, k, self.template(t if t is not None else v)))
                for k in before or ():
                    if k not in c:
                        out.append(deletion(c, k))
            elif c.__class__ is list:
                for i, v in enumerate(now):
                    if i < len(was) and was[i].__class__ in (int, float) and v.__class__ in (int, float) and not same(was[i], v) and tracked[i] is None:
                        w.dynamic_found.append((id(c), i))
                parts = [self.template(t if t is not None else v) for t, v in zip(tracked, now, strict=True)]
                out.append(contents(c, parts))
            else:
                raise Refused(f"a {c.__class__.__name__} that was there before is written")
        return out

    def _fresh_dicts(self) -> set[int]:
        return {id(x.__dict__) for x in self.w.fresh.values() if hasattr(x, "__dict__")}

    def _tensor_effects(self, counted: set[int]) -> None:
        w, r = self.w, self.replay
        r.writes, r.arg_writes, r.grads, r.grad_writes = [], [], [], []
        grads = {id(s.grad): s.tensor for s in w.tensors.values() if s.grad is not None}
        done: set[int] = set()
        for seen in w.tensors.values():
            t, s = seen.tensor, seen.storage
            if t._s is not s or t._view is not seen.view:
                raise Refused("a tensor was given other data")
            if t._edge is not seen.edge:
                if t._edge is not None and seen.edge is None and t._edge.__class__ is AccumulateGrad:
                    raise Refused("requires_grad was changed")
                raise Refused("a tensor that was there before was written with a graph")
            if s.host is not None:
                raise Refused("a tensor that numpy shares")
            if t._grad is not seen.grad:
                if id(t) in self.arg_at:
                    raise Refused("an argument's gradient is written")
                g = t._grad
                if g is None:
                    r.grads.append((t, None, None, None))
                elif g._view is None and behind(read(g)).trace is w.trace:
                    if g._edge is not None:
                        raise Refused("a gradient with a graph")
                    r.grads.append((t, self.output(behind(read(g))), read(g).aval, g._s.strides))
                else:
                    raise Refused("a gradient that was not computed here")
            if id(s) in done or id(s) in counted:
                continue
            done.add(id(s))
            if s.version != seen.version or (seen.view is None and s.value is not seen.value):
                if seen.view is not None and id(t) in self.arg_at:
                    raise Refused("an argument that is a view is written")
                v = behind(s.value)
                if v.trace is not w.trace:
                    if s.value is seen.value:
                        continue
                    raise Refused("a tensor was written by something that was not recorded")
                if PlacedAval in (seen.aval.__class__, s.value.aval.__class__) and (seen.view is not None or s.value.aval is not seen.aval):
                    raise Refused("a tensor was written that lies elsewhere now")
                more = s.version - seen.version
                if id(t) in grads and id(t) not in self.arg_at:
                    leaf = grads[id(t)]
                    if id(leaf) in self.arg_at or t._view is not None:
                        raise Refused("an argument's gradient is written")
                    if leaf._grad is t:
                        r.grad_writes.append((self.output(v), leaf, more))
                        continue
                    raise Refused("a gradient is written and dropped")
                if id(t) in self.arg_at:
                    r.arg_writes.append((self.output(v), self.arg_at[id(t)], more))
                else:
                    r.writes.append((self.output(v), s, more))
        r.written_args = bool(r.arg_writes) or bool(r.writes)

    def _inputs(self, tr: Any, count: int) -> None:
        w, r = self.w, self.replay
        order: dict[int, int] = {}
        r.tensors, r.storages, r.avals, r.edges, r.views = [], [], [], [], []
        for seen in w.tensors.values():
            if id(seen.tensor) in self.arg_at:
                continue
            if any(seen.tensor is s.grad for s in w.tensors.values() if s.grad is not None and id(s.tensor) not in self.arg_at):
                continue
            order[id(seen.tensor)] = len(r.tensors)
            r.tensors.append(seen.tensor)
            r.storages.append(seen.storage)
            r.avals.append(seen.aval if seen.view is None else seen.storage.value.aval)
            r.edges.append(seen.edge)
            r.views.append(seen.view)
        r.storage_ids = {id(s) for s in r.storages}
        fixed = [s for s in w.tensors.values() if id(s.tensor) in order]
        r.threes = list(zip(r.storages, r.edges, r.views, strict=True))
        r.no_grad = [s.tensor for s in fixed if s.grad is None and (s.edge is not None or id(s.tensor) in w.grads_read)]
        r.some_grad = [s.tensor for s in fixed if s.grad is not None]
        grads = {id(s.grad): s.tensor for s in fixed if s.grad is not None}
        r.grad_forms = []
        draws = {id(v): i for i, (v, _) in enumerate(w.draws)}
        self.draw_at: dict[int, int] = {}
        r.sources, r.lies, self.source_seen = [], [], []
        for at, v in enumerate(tr.inputs[:count]):
            seen = w.values.get(id(v))
            self.source_seen.append(seen)
            if hasattr(v, "lies"):
                r.lies.append((at, v.lies))
            if id(v) in draws:
                self.draw_at[draws[id(v)]] = at
                r.sources.append(("draw", draws[id(v)]))
            elif seen is not None:
                t = seen.tensor
                if id(t) in self.arg_at:
                    if seen.base:  # another argument may be another part of its own
                        raise Refused("what an argument is a view of is read")
                    r.sources.append(("arg", self.arg_at[id(t)]))
                elif id(t) in grads:
                    if t._view is not None:
                        raise Refused("a gradient that is a view")
                    r.grad_forms.append((grads[id(t)], seen.aval))
                    r.sources.append(("grad", grads[id(t)]))
                elif id(t) in order:
                    if seen.base and seen.value is not seen.storage.value:
                        raise Refused("a step on the way to a view is read")
                    if seen.view is not None and not seen.base:
                        r.sources.append(("view", t))
                    else:
                        r.sources.append(("fixed", order[id(t)]))
                else:
                    raise Refused("a tensor of unknown origin")
            elif v.trace is None and v.array is not None and (v.array.__class__ is np.ndarray or hasattr(v.array, "devices")) and id(v) not in w.before:
                r.sources.append(("const", v))
            else:
                raise Refused("a value of unknown origin")
        r.engines = list({id(redraw.args[0]): redraw.args[0] for _, redraw in w.draws}.values())
        r.draws = [(self.draw_at.get(i), redraw, v.aval) for i, (v, redraw) in enumerate(w.draws)]

    def _scalars(self, tr: Any) -> list[Any]:
        w, r = self.w, self.replay
        scalars = list(tr.scalars[: tr.scalar_count])
        r.dynamic = []
        used: set[int] = set()
        for i, x in enumerate(scalars):
            found = w.raw.get(id(x))
            if found is not None:
                used.add(id(x))
                r.dynamic.append((i, self.number(found[1])))
        for key, (x, how) in w.raw.items():
            if key not in used:
                w.decisions.append((how, x))
        self.number_of = {i: self.number(how) for i, (_, _, how) in enumerate(w.counts)}
        return scalars

    def _checks(self, tr: Any) -> Any:
        r = self.replay
        r.checks, later = [], []
        for v, bounds, user, _ in tr.guards:
            if v.trace is tr:
                later.append((v.pos, (v.aval, bounds), user))
            else:
                at = tr.input_pos.get(v)
                if at is None:
                    raise Refused("an index of unknown origin")
                r.checks.append((-1 - at, bounds))
        r.checked = [lambda: None] * len(r.checks)
        return tuple(later)

    # ---- backward

    def _backward(self) -> Any:
        """Record the backward pass from the results that have a graph: (the seeds, gradients, targets)."""
        w = self.w
        leaves: list[Any] = []
        for seen in w.tensors.values():
            if seen.edge is not None or (seen.tensor._edge is not None):
                if seen.tensor._edge.hooks is not None and seen.tensor._edge.__class__ is not AccumulateGrad:
                    raise Refused("hooks on an argument")
                leaves.append(seen)
        seeds = [placed(a, zeros(part_aval(a))) if a.__class__ is PlacedAval else zeros(a) for a in map(aval_of, self.out_tensors)]
        roots = [(edge_of(t), t._nr) for t in self.out_tensors]
        where = [(edge_of(s.tensor), s.tensor._nr) for s in leaves]
        ends = [(node, node.hooks) for node, _ in where]
        for node, _ in ends:  # what hooks of leaves do is for the pass outside, which the gradients go on with
            node.hooks = None
        try:
            found = run_backward(roots, seeds, True, False, where, False)
        finally:
            for node, hooks in ends:
                node.hooks = hooks
        grads = [None if g is None else read(g) if isinstance(g, Tensor) else g for g in found]
        return seeds, grads, leaves

    def _joint(self, tr: Any, forward: list[Any], count: int, found: Any, scalars: list[Any]) -> None:
        """Divide what was recorded into forward and backward."""
        r = self.replay
        seeds, grads, leaves = found
        r.out_avals = [s.aval for s in seeds]
        nodes = tr.nodes[len(forward) :]
        seeds = list(map(behind, seeds))
        seed_at = {id(v): i for i, v in enumerate(seeds)}
        # inputs of backward: what it reads of forward's inputs and outputs, then the seeds
        saved: dict[tuple[str, int], int] = {}
        n_inputs = tr.input_count
        inputs_seen = [id(v) for v in tr.inputs[:n_inputs]]

        def place(p: int) -> Any:
            if p >= count:
                return ("new", p - count)
            if p >= 0:
                return ("kept", saved.setdefault(("out", self.live.setdefault(p, len(self.live))), len(saved)))
            if p <= SCALAR:
                return ("scalar", p)
            i = -1 - p
            if inputs_seen[i] in seed_at:
                return ("seed", seed_at[inputs_seen[i]])
            return ("kept", saved.setdefault(("in", i), len(saved)))

        placed = [(node[0], [place(p) for p in node[1:]]) for node in nodes]
        r.gradients, live, targets = [], {}, []
        for g, seen in zip(grads, leaves, strict=True):
            if g is None:
                continue
            inner = behind(g)
            if inner.trace is not tr:
                raise Refused("a gradient that was not computed")
            kind, at = place(inner.pos)
            if kind != "new":
                raise Refused("a gradient that is a value of forward")
            r.gradients.append(live.setdefault(at, len(live)))
            r.gradient_avals.append(g.aval)
            targets.append(("arg", self.arg_at[id(seen.tensor)]) if id(seen.tensor) in self.arg_at else ("fixed", seen.tensor))
        r.targets = targets
        k = len(saved)

        def ref(kind: str, i: int) -> int:
            return i if kind == "new" else -1 - i if kind == "kept" else -1 - (k + i) if kind == "seed" else i

        body = [(entry, *[ref(*p) for p in places]) for entry, places in placed]
        avals: list[Any] = [None] * k
        out_avals: list[Any] = []
        for node in forward:
            out_avals += node[0].outs
        order = list(self.live)
        for (kind, i), at in saved.items():
            avals[at] = tr.inputs[i].aval if kind == "in" else out_avals[order[i]]
        r.backward = Recorded(body, [*avals, *[s.aval for s in seeds]], scalars, set(), tr.device)
        r.backward_live = tuple(live)
        r.saved = list(saved)
        # what stands for the seeds is no input of forward
        r.sources = [("const", tr.inputs[i]) if inputs_seen[i] in seed_at else s for i, s in enumerate(r.sources)]

    # ---- guards

    def _guards(self) -> None:
        w, g = self.w, Guards()
        followed = {(id(held), key) for held, key in w.slots if key is not None}
        fresh = self._fresh_dicts()
        for k, (held, key, was) in w.reads.items():
            if id(held) in fresh:
                continue
            if k in followed:
                g.numbers.append((held, key, was.__class__))
            elif was is ABSENT:
                if isinstance(held, dict):
                    g.missing.append((held, key))
            else:
                g.dicts.append(held)
                g.keys.append(key)
                g.expected.append(was)
        for c, was in w.containers.values():
            if c.__class__ in (tuple, frozenset):
                continue
            if c.__class__ is set:
                g.sets.append((c, frozenset(was)))
                continue
            if isinstance(c, dict):
                g.containers.append((c, [k for k, _ in was]))
                if not any((id(c), key) in followed for key, _ in was if key.__class__ in (int, str)):
                    g.whole.append((c, tuple(v for _, v in was)))
                    continue
                for key, v in was:
                    if (id(c), key) in followed:
                        g.numbers.append((c, key, v.__class__))
                    else:
                        g.dicts.append(c)
                        g.keys.append(key)
                        g.expected.append(v)
                continue
            if any((id(c), i) in followed for i in range(len(was))) or any(v.__class__ in (int, float, str) for v in was):
                g.others.append((Elements(c, {i for i in range(len(was)) if (id(c), i) in followed}, was), True))
                g.numbers += [(c, i, was[i].__class__) for i in range(len(was)) if (id(c), i) in followed]
                continue
            g.containers.append((c, list(was)))
        for fn, code in w.functions.values():
            if code is not None:
                g.functions.append((fn, code))
        g.others += list(w.others.values())
        in_whole = {id(c) for c, _ in g.whole}
        left = [i for i, held in enumerate(g.dicts) if id(held) not in in_whole]
        g.dicts, g.keys, g.expected = ([part[i] for i in left] for part in (g.dicts, g.keys, g.expected))
        self.replay.guards = g
        r = self.replay
        at = [n if kind == "fixed" else 0 for kind, n in r.sources]
        nothing, one = not r.storages, len(at) == 1
        r.gather = (lambda values: [None] * len(at)) if nothing else (lambda values: (values[at[0]],)) if one else itemgetter(*at) if at else (lambda values: ())
        r.others = [(i, kind, n) for i, (kind, n) in enumerate(r.sources) if kind != "fixed"]

    def _donatable(self) -> None:
        """Inputs that are overwritten, and nothing else of the replay's."""
        r = self.replay
        written = {id(s) for _, s, _ in r.writes}
        at = {id(r.storages[n]): i for i, (kind, n) in enumerate(r.sources) if kind == "fixed"}
        positions = list(self.live)
        r.recorded.successors = {at[id(s)]: positions[n] for n, s, _ in r.writes if id(s) in at}
        seen: set[int] = set()  # what goes to two places is one value
        simple = []
        for n, s, more in r.writes:
            aval = r.live_avals[n]
            if aval.dtype.category >= 2 and id(s) in at and aval is r.recorded.avals[at[id(s)]] and n not in seen:
                seen.add(n)
                simple.append((n, s, more))
        r.quick = [s for _, s, _ in simple], tuple(at[id(s)] for _, s, _ in simple), tuple(n for n, _, _ in simple)
        r.more = [more for _, _, more in simple]
        r.slow = [w for w in r.writes if not any(w[1] is s for s in r.quick[0])]
        if r.looked:  # what it finds may not be wanted, and then everything is as it was
            r.quick, r.more, r.slow, r.donatable = ([], (), ()), [], r.writes, ()
            return
        r.wide = [i for i, s in enumerate(r.quick[0]) if s.value.aval.__class__ is PlacedAval]
        r.donatable = tuple(i for i, (kind, n) in enumerate(r.sources) if kind == "fixed" and id(r.storages[n]) in written and r.views[n] is None)


def _holds_tensor(x: Any) -> bool:
    return any(isinstance(v, Tensor) for v in getattr(x, "__dict__", {}).values())
