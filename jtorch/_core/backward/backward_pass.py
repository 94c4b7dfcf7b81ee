"""The backward pass: walks the graph from the roots, newest node first, and records each node's vjp into the same trace."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any

import jax

from jtorch._core.graph.grad_modes import check_anomaly
from jtorch._core.storage.view_steps import write
from jtorch._engine.recording.call import T, call_of
from jtorch._engine.values.sparse_values import SparseMet
from jtorch._engine.values.thread_state import ANOMALY, GRAD, state
from jtorch._engine.recording.trace import record_multi
from jtorch._engine.values.values import Value
from jtorch._engine.recording.vjp import recomputing_plan
from jtorch._registry import lookup

from jtorch._core.backward.replaced import replaced, replaced_all
from jtorch._core.backward.read_inputs import of_flat_derivative, without_needless_history, without_unread
from jtorch._core.backward.seeds import ones, seed_of
from jtorch._core.backward.watched import accumulate_watched, add_watched, shown_as_it_is, watched
from jtorch._core.dispatch import flush_points
from jtorch._core.graph import sparse_history
from jtorch._core.graph import node as node_module
from jtorch._core.dispatch.record import apply_multi
from jtorch._core.graph.view_history import edge_of
from jtorch._core.graph.node import AccumulateGrad, Node, OpNode
from jtorch._core.storage.bare_tensor import Tensor, new_tensor
from jtorch._core.storage.elementwise_strides import strides_of_gradient
from jtorch._core.dispatch.torch_function import heard_below
from jtorch._core.storage.view_steps import Changed, read, warn_leak
from jtorch._engine.recording.undo import keep_gradient
from jtorch._engine.values.unbroken import at_once
from jtorch._errors import warn_once

__all__ = ["run_backward", "put", "call_node", "backward", "root_of", "ones"]

_ADD: Any = None


def _add(a: Value, b: Value) -> Value:
    global _ADD
    if _ADD is None:
        _ADD = call_of(lookup("internal.accumulate"), (T, T))
    try:
        return record_multi(_ADD, (a, b))[0]
    except SparseMet:
        return sparse_history.add_gradients(a, b)


def _reachable(roots: Sequence[Any]) -> tuple[list[Any], dict[Any, int]]:
    """The nodes that the roots reach, newest first (an order in which each comes after all that lead to it), and how many edges lead to each leaf."""
    order: list[Any] = []
    left: dict[Any, int] = {}
    stack = list(dict.fromkeys(roots))
    seen = set(stack)
    while stack:
        node = stack.pop()
        if node.__class__ is AccumulateGrad:
            continue
        order.append(node)
        for target in node.edges[::2]:
            if target.__class__ is AccumulateGrad:
                left[target] = left.get(target, 0) + 1
            elif target not in seen:
                seen.add(target)
                stack.append(target)
    order.sort(key=_SEQ, reverse=True)
    return order, left


_SEQ = attrgetter("seq")


def _relevant(roots: Sequence[Any], targets: set[Any]) -> set[Any]:
    """Nodes on a path from a root to a target."""
    found: dict[Any, bool] = {}
    stack: list[tuple[Any, bool]] = [(r, False) for r in roots]
    while stack:
        node, done = stack.pop()
        if done:
            e = node.edges
            found[node] = node in targets or any(found.get(e[i], False) for i in range(0, len(e), 2))
            continue
        if node in found:
            continue
        found[node] = False
        stack.append((node, True))
        e = node.edges
        stack += [(e[i], False) for i in range(0, len(e), 2) if e[i] not in found]
    return {n for n, yes in found.items() if yes}


class _Pass:
    """One run. Gradients are values, or tensors when their own graph is wanted.

    ``buffers``: what has arrived at each node: the gradient of its first output alone, or a dict by output number.
    """

    def __init__(self, retain: bool, create: bool) -> None:
        self.retain, self.create = retain, create
        self.plain = False  # an ordinary ``loss.backward()``
        self.buffers: dict[Any, Any] = {}
        self.roots: list[Any] = []
        self.reached: tuple[list[Any], dict[Any, int]] | None = None
        self.allowed: set[Any] | None = None
        self.callbacks: list[Any] = []
        self.node: Any = None  # the last one with a function or hook of the program's

    def will_visit(self, node: Any) -> bool:
        """Whether the pass comes to a node."""
        if self.reached is None:
            self.reached = _reachable(self.roots)
        order, left = self.reached
        return node in (left if node.__class__ is AccumulateGrad else order) and (self.allowed is None or node in self.allowed)

    def add(self, a: Any, b: Any) -> Any:
        if not self.create and (watched(a) or watched(b)):
            return self.unwrap(add_watched(self.wrap(a), self.wrap(b)))
        if self.create:
            from jtorch._namespace import torch


            return torch.add(a, b) if a.layout is b.layout or not a.is_sparse else torch.add(b, a)
        return _add(b, a)  # of sparse gradients the newer one comes first

    def wrap(self, g: Any) -> Tensor:
        return g if isinstance(g, Tensor) else new_tensor(g)

    apply = staticmethod(apply_multi)

    def unwrap(self, t: Any) -> Any:
        return t if self.create or t is None or shown_as_it_is(t) else read(t)

    def deliver(self, node: Any, nr: int, g: Any) -> None:
        buffer = self.buffers.get(node)
        if buffer is None:
            self.buffers[node] = g if nr == 0 else {nr: g}
        elif buffer.__class__ is dict:
            buffer[nr] = g if nr not in buffer else self.add(buffer[nr], g)
        elif nr == 0:
            self.buffers[node] = self.add(buffer, g)
        else:
            self.buffers[node] = {0: buffer, nr: g}


def run_backward(
    roots: list[tuple[Any, int]], grads: list[Any], retain: bool, create: bool, inputs: list[tuple[Any, int]] | None, accumulate: bool
) -> list[Any]:
    """Send ``grads`` into ``roots``. With ``inputs``: collect what arrives at those (node, output number) and, if ``accumulate``, into their leaves only.
    Without: a list of first gradients, (leaf, value) each, for :func:`put`."""
    run = _Pass(retain, create)
    wanted: dict[Any, dict[int, Any]] = {}
    if inputs is not None:
        for node, nr in inputs:
            wanted.setdefault(node, {})[nr] = None
        run.allowed = _relevant([r[0] for r in roots], set(wanted))
    for (node, nr), g in zip(roots, grads, strict=True):
        run.deliver(node, nr, g)
    run.roots = frontier = list(dict.fromkeys(r[0] for r in roots))
    outer, previous, limit = state.backward, state.mode, sys.getrecursionlimit()
    mode = (previous | GRAD) if create else (previous & ~GRAD)
    run.plain = mode == 0 and not create and inputs is None
    try:
        state.backward, state.mode = run, mode
        if outer is not None:  # a pass within a pass, as deep as the program wants
            sys.setrecursionlimit(limit + _FRAMES)
        if run.plain and not node_module.leaves_have_hooks and not heard_below():
            frontier = _sweep(run, frontier)
        if frontier:
            _walk(run, frontier, wanted, accumulate, previous)
    finally:
        state.mode, state.backward = previous, outer
        if outer is not None:
            sys.setrecursionlimit(limit)
    if run.callbacks:
        if inputs is None:
            put(_firsts(run))
            run.buffers = {}
        try:
            state.backward = run
            for callback in run.callbacks:  # which may add others
                callback()
        finally:
            state.backward = outer
    if inputs is None:
        return _firsts(run)
    return [wanted[node][nr] for node, nr in inputs]


def _firsts(run: _Pass) -> list[tuple[Tensor, Any]]:
    """What lies at leaves that have no gradient yet; the others get theirs."""
    firsts: list[tuple[Tensor, Any]] = []
    for node, g in run.buffers.items():
        leaf = node.ref()
        if leaf is not None and leaf._grad is None and g.__class__ is Value:  # :func:`put` looks again
            firsts.append((leaf, g))
        else:
            _accumulate(node, g, run)
    return firsts


def queue_callback(callback: Any) -> None:
    """Call ``callback`` when the pass that is under way is done and the leaves have their gradients. RuntimeError outside of one."""
    if state.backward is None:
        raise RuntimeError("Final callbacks can only be installed during backward pass.")
    state.backward.callbacks.append(callback)


_FRAMES = 400  # Python's frames that a pass takes within a function of the user's


def put(gradients: list[Any]) -> None:
    """First gradients into their leaves."""
    leaves, made = [leaf for leaf, _ in gradients], [new_tensor(g, strides_of_gradient(x) if x._view is not None or x._s.strides else None) for x, g in gradients]
    with state.updating:
        if any([leaf._grad is not None for leaf in leaves]):  # of another thread's pass, or a handler's
            for leaf, g in gradients:
                if leaf._grad is not None:
                    _add_to(leaf._grad, g)
            leaves, made = [x for x in leaves if x._grad is None], [t for x, t in zip(leaves, made, strict=True) if x._grad is None]
        if state.undo:
            for leaf in leaves:
                keep_gradient(leaf)
        at_once(map(_set_grad, leaves, made))
    classes = {g.array.__class__ for _, g in gradients}
    if not classes <= _PLAIN_ARRAYS:
        _PLAIN_ARRAYS.update(c for c in classes if not issubclass(c, jax.core.Tracer))
        for leaf, g in gradients:
            _check_leak(leaf, g.array)


def _check_leak(leaf: Tensor, gradient: Any) -> None:
    """Warn if a gradient that is known only while JAX traces goes to a leaf that stays."""
    if isinstance(gradient, jax.core.Tracer) and not isinstance(leaf._s.value.array, jax.core.Tracer):
        warn_leak("backward() was called inside a JAX transformation and put into .grad of a tensor outside of it")


_PLAIN_ARRAYS: set[type] = {type(None)}  # classes of arrays that are no tracers
_set_grad = Tensor._grad.__set__


def _add_to(t: Tensor, g: Value) -> None:
    """Add to a gradient in place, whoever else writes it."""
    while True:
        at = t._s.version
        try:
            return write(t, _add(read(t), g), at)
        except Changed:
            pass


def _sweep(run: _Pass, roots: list[Any]) -> list[Any]:
    """An ordinary pass, as far as nothing is in its way: nodes newest first as gradients come to them; what arrives at leaves stays in the buffers.

    Where there is somebody who could see how far it has come (a hook, a function of the user's), it ends: the nodes from which to go on."""
    buffers, retain = run.buffers, run.retain
    heap = [(-node.seq, node) for node in roots if node.__class__ is not AccumulateGrad]
    heapify(heap)
    while heap:
        _, node = heap[0]
        if node.hooks is not None or not node.quiet:
            return [node for _, node in heap]
        heappop(heap)
        buffer = buffers.pop(node)
        results = _pulled(node, buffer, retain) if buffer.__class__ is Value and isinstance(node, OpNode) and node.entry.out is not None else _run(run, node, buffer, 0)
        edges = node.edges
        i = 0
        for g in results:
            target = edges[i]
            if g is not None:
                if target in buffers:
                    run.deliver(target, edges[i + 1], g)
                else:
                    nr = edges[i + 1]
                    buffers[target] = g if nr == 0 else {nr: g}
                    if target.__class__ is not AccumulateGrad:
                        heappush(heap, (-target.seq, target))
            i += 2
    return []


def _walk(run: _Pass, frontier: list[Any], wanted: dict[Any, dict[int, Any]], accumulate: bool, mode: int) -> None:
    """The pass from these nodes on, in full: every hook is called, and a leaf gets its gradient as soon as all that flows to it is there."""
    order, left = _reachable(frontier)
    buffers, allowed, plain = run.buffers, run.allowed, run.plain

    def arrived(leaf: AccumulateGrad) -> None:
        g = buffers.pop(leaf, None)
        if g is None:
            if leaf.hooks is not None and leaf.hooks.tensor and (allowed is None or leaf in wanted):
                _before(run, leaf, {}, wanted, False)
            return
        if plain and leaf.hooks is None:
            _accumulate(leaf, g, run)
        elif allowed is None or leaf in wanted:
            g = _tensor_hooks(run, leaf, {0: g}, wanted, accumulate)
            if accumulate:
                _accumulate(leaf, g, run)

    for node in [n for n in buffers if n.__class__ is AccumulateGrad and n not in left]:
        arrived(node)
    for node in order:
        buffer = buffers.pop(node, None)
        results: Any = ()
        if buffer is None and (node.takes_undefined or (node.hooks is not None and node.hooks.tensor)):  # reached, though nothing flows to it: hooks hear of that
            buffer = {}
        if buffer is not None and (allowed is None or node in allowed):
            if plain and node.hooks is None and buffer.__class__ is Value and isinstance(node, OpNode) and node.entry.out is not None:
                results = _pulled(node, buffer, run.retain)
            else:
                runs = allowed is None or (accumulate and node in wanted) or any(e in allowed for e in node.edges[::2])
                if node.hooks is not None or node in wanted:
                    if buffer.__class__ is not dict:
                        buffer = {0: buffer}
                    _before(run, node, buffer, wanted, runs)
                if runs and (buffer.__class__ is not dict or buffer or node.takes_undefined):
                    results = _run(run, node, buffer, mode)
        edges = node.edges
        for i in range(0, len(edges), 2):
            target = edges[i]
            if results:
                g = results[i >> 1]
                if g is not None and (allowed is None or target in allowed):
                    run.deliver(target, edges[i + 1], g)
            if target.__class__ is AccumulateGrad:
                left[target] -= 1
                if left[target] == 0:
                    arrived(target)


def _pulled(node: OpNode, buffer: Value, retain: bool) -> list[Value]:
    results = node.pull(buffer)
    if not retain:
        node.release()
    elif node.extra is not None:
        node.repack()
    return results


def _run(run: _Pass, node: Any, buffer: Any, mode: int) -> Any:
    """Gradients for the edges of a node, hooks included. ``buffer``: as in :class:`_Pass`."""
    if buffer.__class__ is not dict:
        buffer = {0: buffer}
    run.node = node
    try:
        if isinstance(node, OpNode):
            cts = [buffer.get(i) for i in range(len(node.entry.outs))] if len(node.entry.outs) > 1 else [buffer[0]]
            try:
                results: Any = _apply_with_graph(node, cts) if run.create else node.apply(cts)
            except SparseMet:  # a dense operator between a sparse gradient and its leaf
                cts = [sparse_history.dense_gradient(c) for c in cts]
                results = _apply_with_graph(node, cts) if run.create else node.apply(cts)
            if len(cts) > 1 and any([c is None for c in cts]):
                results = without_unread(node, cts, results)
            if run.create:
                results = of_flat_derivative(node, results)
            if not run.retain:
                node.release()
            elif node.extra is not None:
                node.repack()
        else:
            results = node.run(run, buffer)
    except Exception:
        if mode & ANOMALY and node.extra and "traceback" in node.extra:
            import sys
            import warnings

            warnings.warn(
                f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{node.extra['traceback']}", stacklevel=2
            )
            sys.stderr.flush()
        raise
    if mode & ANOMALY:
        check_anomaly(node, [None if g is None else run.wrap(g) for g in results])
    if node.hooks is not None and node.hooks.post:
        given = iter(results)
        mask = node._mask()
        ins = tuple((None if (g := next(given)) is None else run.wrap(g)) if m else None for m in mask)
        outs = tuple(run.wrap(buffer[i]) if i in buffer else None for i in range(max(buffer, default=0) + 1))
        for hook in list(node.hooks.post.values()):
            ins = replaced_all(hook, hook(ins, outs), ins)
        results = [run.unwrap(g) for g, m in zip(ins, mask, strict=True) if m]
    return results


def watch_nodes(around: Any) -> Any:
    """Let ``around(node, run)`` call ``run()`` for each node's derivative from now on; what is returned undoes it. Costs nothing while nobody watches."""
    global _pulled, _run
    before = _pulled, _run

    def pulled(node: OpNode, buffer: Value, retain: bool) -> list[Value]:
        return around(node, lambda: before[0](node, buffer, retain))  # type: ignore[no-any-return]

    def run_node(run: _Pass, node: Any, buffer: Any, mode: int) -> Any:
        return around(node, lambda: before[1](run, node, buffer, mode))

    _pulled, _run = pulled, run_node

    def undo() -> None:
        global _pulled, _run
        _pulled, _run = before

    return undo


def _apply_with_graph(node: OpNode, cts: list[Any]) -> list[Any]:
    """As ``node.apply``, on tensors, so that the result can be differentiated again."""

    node.check([None if c is None else read(c) for c in cts])
    plan = node.plan
    inputs = None
    if plan.hidden:
        plan, inputs = recomputing_plan(node.entry, node.mask), node.extra["inputs"]
    args: list[Any] = []
    edge_at = {p: 2 * k for k, p in enumerate(plan.targets)}
    k = 0
    for i in plan.saved_in:
        saved = node.saved[k] if inputs is None else inputs[i]
        k += 1
        if not isinstance(saved, Value):
            args.append(saved)
            continue
        t = new_tensor(saved)
        if i in edge_at:
            t._edge, t._nr = node.edges[edge_at[i]], node.edges[edge_at[i] + 1]
        args.append(t)
    for i in plan.saved_out:
        t = new_tensor(node.saved[k])
        t._edge, t._nr = node, i
        k += 1
        args.append(t)
    return _recorded(plan, args, cts)


def _recorded(plan: Any, saved: list[Any], cts: list[Any]) -> list[Any]:
    wanted = plan.wanted_outs
    given = tuple([cts[i] is not None for i in wanted]) if len(wanted) > 1 else (True,)
    out = apply_multi(plan.backward(given), [*saved, *[cts[i] for i in wanted if cts[i] is not None]])
    if not isinstance(out, tuple):
        return [out]
    return without_needless_history(plan, list(out))


def _before(run: _Pass, node: Any, buffer: dict[int, Any], wanted: dict[Any, dict[int, Any]], runs: bool) -> None:
    """Hooks on the gradients of a node's outputs; what they return goes on. The node's own are asked last, and if it ``runs``: nobody else sees what they return."""
    hooks = node.hooks
    if hooks is not None:
        for nr, table in hooks.tensor.items():
            g = run.wrap(buffer[nr]) if nr in buffer else None  # hooks are given None where there is no gradient
            for hook in list(table.values()):
                g = replaced(hook, hook(g), g)
            if g is not None:
                buffer[nr] = run.unwrap(g)
        for nr, ref in hooks.retain.items():
            t = ref()
            if nr in buffer and t is not None:
                g = run.wrap(buffer[nr])
                t._grad = g if t._grad is None else new_tensor(_add(read(t._grad), read(g)))
    if node in wanted:
        for nr in wanted[node]:
            if nr in buffer:
                wanted[node][nr] = run.wrap(buffer[nr])
    if hooks is not None and hooks.pre and runs:
        outs: Any = tuple(run.wrap(buffer[i]) if i in buffer else None for i in range(max(buffer, default=0) + 1))
        for hook in list(hooks.pre.values()):
            outs = replaced_all(hook, hook(outs), outs)
        for i, g in enumerate(outs):
            if g is not None:
                buffer[i] = run.unwrap(g)


def _tensor_hooks(run: _Pass, node: AccumulateGrad, buffer: dict[int, Any], wanted: Any, accumulate: bool) -> Any:
    g = buffer[0]
    if node.hooks is not None:
        t = run.wrap(g)
        for table in node.hooks.tensor.values():
            for hook in list(table.values()):
                t = replaced(hook, hook(t), t)
        for hook in list(node.hooks.pre.values()) if accumulate else ():  # the node itself does not run for autograd.grad
            (t,) = replaced_all(hook, hook((t,)), (t,))
        g = run.unwrap(t)
    if node in wanted:
        wanted[node][0] = run.wrap(g)
    return g


def _accumulate(node: AccumulateGrad, g: Any, run: _Pass) -> None:
    """Add a gradient to its leaf's."""
    leaf = node.ref()
    if leaf is None:
        return
    if watched(g):
        accumulate_watched(leaf, run.wrap(g), run.create)
    else:
        _accumulate_value(leaf, g, run)
    array = g.array if g.__class__ is Value else None  # of a tensor under create_graph: its history says where it belongs
    if array is not None:
        _check_leak(leaf, array)
    if node.hooks is not None:
        for hook in list(node.hooks.acc.values()):
            if replaced(hook, hook(leaf), leaf) is not leaf:
                raise RuntimeError("Tensor post accumulate grad hooks should return None.")
        for hook in list(node.hooks.post.values()):
            hook((), (run.wrap(g),))


def _accumulate_value(leaf: Tensor, g: Any, run: _Pass) -> None:
    with state.updating:
        old = leaf._grad
        if old is None:
            if state.undo:
                keep_gradient(leaf)
            leaf._grad = g if run.create else new_tensor(g, strides_of_gradient(leaf))
        elif run.create:
            if state.undo:
                keep_gradient(leaf)
            leaf._grad = run.add(old, g)
        elif g.__class__ is Value and old._s.host is None and old._s.value.__class__ is not Value:  # sparse and dense: the sum is another tensor
            leaf._grad = new_tensor(_add(read(old), g), strides_of_gradient(leaf))
        else:
            _add_to(old, g)


def call_node(node: Node, *grads: Any) -> Any:
    """``grad_fn(grad)``: the gradients of one node's inputs from those of its outputs (None: there is none). TypeError for what is neither, and for another number of them."""
    leaf = node if isinstance(node, AccumulateGrad) else None
    at = [0] if leaf is not None else [i for i, a in enumerate(node.outs) if a.dtype.category >= 2]  # type: ignore[attr-defined]  # every other kind has them
    if len(grads) != len(at):
        raise TypeError(f"expected {len(at)} arguments, got {len(grads)} instead")
    for i, g in enumerate(grads):
        if g is not None and not isinstance(g, Tensor):
            raise TypeError(f"argument {i} is not a Variable")
    run = _Pass(True, False)
    buffer = {i: read(g) for i, g in zip(at, grads) if g is not None}
    if leaf is not None:
        if buffer:
            _accumulate(leaf, buffer[0], run)
        return ()
    results = iter(_run(run, node, buffer, 0))
    out = tuple((run.wrap(g) if (g := next(results)) is not None else None) if m else None for m in node._mask())
    return out[0] if len(out) == 1 else out


def root_of(t: Tensor) -> tuple[Any, int]:
    """Where the gradient of a tensor enters the graph. RuntimeError if it has none."""

    if t._edge is None:
        raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
    return edge_of(t), t._nr


def backward(tensors: list[Tensor], grads: list[Any], retain: bool | None, create: bool, inputs: list[Tensor] | None) -> None:
    """``torch.autograd.backward`` after its arguments were looked at."""
    if state.lanes or state.derivative:
        raise RuntimeError(
            "backward() called inside a functorch transform. This is not supported, please use functorch.grad or functorch.vjp instead or call backward() outside of functorch transforms."
        )
    if create:
        warn_once(
            "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient which can cause a memory leak. We recommend using "
            "autograd.grad when creating the graph to avoid this. If you have to use this function, make sure to reset the .grad fields of your parameters to None after use to "
            "break the cycle and avoid the leak."
        )
    retain = create if retain is None else retain
    if not isinstance(retain, int):
        raise TypeError(f"{type(retain).__name__!r} object cannot be interpreted as an integer")
    flush_points.backward_started()
    for t in inputs or ():
        if not isinstance(t, Tensor) and not hasattr(t, "node"):
            raise RuntimeError(f"all inputs have to be Tensors or GradientEdges, but got {type(t).__name__}")
    roots = [_root(t, i) for i, t in enumerate(tensors)]
    seeds = [seed_of(t, g, create) for t, g in zip(tensors, grads, strict=True)]
    where = None
    if inputs is not None:
        where = [_root(t, i) for i, t in enumerate(inputs)]
        for t, (node, _) in zip(inputs, where, strict=True):
            if node.__class__ is not AccumulateGrad:
                t.retain_grad()
    found = run_backward(roots, seeds, retain, create, where, True)
    try:
        flush_points.backward_done()  # the tensors are made while the program runs
    finally:
        if inputs is None:
            put(found)


def _root(t: Tensor, i: int) -> tuple[Any, int]:

    if t._edge is None:
        raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
    return edge_of(t), t._nr


Node.__call__ = call_node  # type: ignore[method-assign,assignment]
