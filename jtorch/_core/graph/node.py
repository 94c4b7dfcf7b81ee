"""Nodes of the autograd graph: one for each recorded operator that needs a gradient, one for each leaf."""

from __future__ import annotations

import functools
import itertools
import re
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from jtorch._errors import not_implemented
from jtorch._engine.recording.call import structure_of
from jtorch._engine.recording.entry import Entry
from jtorch._engine.values.thread_state import state
from jtorch._engine.recording.trace import add_input, add_scalar, append, record, record_multi
from jtorch._engine.values.values import Value
from jtorch._engine.recording.vjp import Plan, shown_inputs

from jtorch._core.graph.hook_handles import RemovableHandle
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._core.storage.view_steps import View, read_view, same_memory
from jtorch._core.storage.write_counts import origin_of, version_of, was_detached_since, written_since

__all__ = ["DETACHED", "FIXED", "Node", "Watched", "watched", "OpNode", "AccumulateGrad", "class_of", "forward_mode", "leaf_edge", "next_seq", "node_class", "node_repr"]

next_seq: Callable[[], int] = itertools.count().__next__
_new = object.__new__
_classes: dict[str, type] = {}


class Node:
    """What ``grad_fn`` is. ``edges`` are (node, output number) flattened, for the inputs that need a gradient."""

    __slots__ = ("edges", "seq", "hooks", "extra", "__weakref__")
    edges: tuple[Any, ...]
    seq: int
    hooks: Any  # None, or Hooks
    extra: Any  # None, or a dict: metadata, anomaly traceback
    leaf = False  # whether it is the input of a transformation that may not be written, as a leaf
    quiet = False  # whether it calls nothing of the program's, which could see how far a pass has come
    takes_undefined = False  # whether it is asked also when none of its outputs has a gradient, as functions of the user's are

    def name(self) -> str:
        return self.__class__.__name__

    @property
    def metadata(self) -> dict[str, Any]:
        if self.extra is None:
            self.extra = {}
        found: dict[str, Any] = self.extra.setdefault("metadata", {})
        return found

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that the gradient goes to, one pair for each input; (None, 0) where none is needed."""
        e = self.edges
        pairs = iter([(e[i], e[i + 1]) for i in range(0, len(e), 2)])
        return tuple((next(pairs) if m else (None, 0)) for m in self._mask())

    def _mask(self) -> tuple[bool, ...]:
        return (True,) * (len(self.edges) // 2)

    def _sequence_nr(self) -> int:
        return self.seq

    def register_hook(self, fn: Any) -> Any:
        """Call ``fn(grad_inputs, grad_outputs)`` after this node ran; what it returns replaces the grad_inputs."""
        return _register(self, "post", fn)

    def register_prehook(self, fn: Any) -> Any:
        """Call ``fn(grad_outputs)`` before this node runs; what it returns replaces them."""
        return _register(self, "pre", fn)

    def __call__(self, *grads: Any) -> Any: ...  # what the backward pass does with one node (``backward_pass.py`` puts it here)


class Hooks:
    """Hooks of a node: on each output's gradient (``tensor``), before (``pre``) and after (``post``) the node runs."""

    __slots__ = ("tensor", "pre", "post", "retain", "acc")

    def __init__(self) -> None:
        self.tensor: dict[int, Any] = {}
        self.pre: Any = OrderedDict()
        self.post: Any = OrderedDict()
        self.retain: dict[int, Any] = {}
        self.acc: Any = OrderedDict()


leaves_have_hooks = False  # whether a hook was ever put on a leaf: only then must its gradient be there as soon as it can be


def hooks_of(node: Node) -> Hooks:
    global leaves_have_hooks
    if node.hooks is None:
        node.hooks = Hooks()
        leaves_have_hooks |= isinstance(node, AccumulateGrad)
    found: Hooks = node.hooks
    return found


def _register(node: Node, kind: str, fn: Any) -> Any:
    table = getattr(hooks_of(node), kind)
    handle = RemovableHandle(table)
    table[handle.id] = fn
    return handle


class _ForwardMode:
    """``on``: whether a pass backward is the first of the two that a derivative forward is made of (``levels.transposed``). ``since``: the first node's number within
    the level of dual tensors that was entered, or None. ``off``: the first and the last number of nodes that carry no tangent (the last is None while that goes on).
    ``inside``: whether a custom Function's ``forward`` runs, which leaves no graph."""

    on = inside = False
    since: int | None = None

    def __init__(self) -> None:
        self.off: list[tuple[int, int | None]] = []

    @property
    def enabled(self) -> bool:
        """Whether what is recorded now carries tangents."""
        return not self.off or self.off[-1][1] is not None

    def enable(self, yes: bool) -> None:
        """From now on."""
        if yes and not self.enabled:
            self.off[-1] = (self.off[-1][0], next_seq())
        elif not yes and self.enabled:
            self.off.append((next_seq(), None))

    def blocks(self, node: Node) -> bool:
        """Whether a node was recorded while tangents were off."""
        return any([first < node.seq and (last is None or node.seq < last) for first, last in self.off])


forward_mode = _ForwardMode()


class OpNode(Node):
    """A recorded operator. ``saved`` follows its plan: inputs, outputs, hidden outputs."""

    __slots__ = ("entry", "plan", "saved", "versions", "mask")
    entry: Entry
    plan: Plan
    saved: Any  # None once freed
    versions: Any
    mask: tuple[bool, ...]
    quiet = True
    undefined = False  # whether it sends no gradient on

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """As of any node; one that is several of torch's operators shows those between."""
        pairs = super().next_functions
        chain = getattr(self.entry.call.grad_name, "chain", None)
        if chain is None:
            return pairs
        if self.extra is None:
            self.extra = {}
        if "shown" not in self.extra:  # kept: who walks the graph knows nodes by their identity
            self.extra["shown"] = chain(pairs, tuple(a.shape for a in self.entry.inputs if not isinstance(a, type)), _step_between)
        found: tuple[tuple[Any, int], ...] = self.extra["shown"]
        return found

    def _mask(self) -> tuple[bool, ...]:
        return shown_inputs(self.entry, self.mask)

    @property
    def outs(self) -> Any:
        return self.entry.outs

    def release(self) -> None:
        if self.plan.once:
            self.saved = self.versions = None
        if self.extra is not None:
            self.extra.pop("inputs", None)
            self.extra.pop("packed", None)

    def repack(self) -> None:
        """Backward is done and the graph stays: what hooks unpacked goes, and is unpacked again next time."""
        found = self.extra.pop("packed", None)
        if found is not None:
            self.saved = found

    def check(self, cts: Any = ()) -> None:
        """RuntimeError if what backward needs was freed or written in place since. What a checkpoint forgot is computed again."""
        while self.saved.__class__ is not tuple and self.saved is not None:
            self.saved = self.saved.fill(self, cts)
        if self.saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
                "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
                "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors after calling backward."
            )
        v = self.versions
        for i in range(0, len(v), 2):
            if v[i].version != v[i + 1]:
                self._look_again(i)

    def _look_again(self, i: int) -> None:
        """The memory of what ``versions[i]`` stands for was, or may have been, written since. RuntimeError if that was counted; else backward reads what it holds."""
        if forward_mode.on:  # torch computed the tangent when the operator ran, of what there was then
            return
        place, version = self.versions[i], self.versions[i + 1]
        if place.__class__ is Watched:
            s = place.ref()
            if s is not None and written_since(s, version):
                raise RuntimeError(_modified(self, s, place.aval or s.value.aval, place.aval is not None, version, place.at))
            return
        k = [j for j, x in enumerate(self.saved) if x.__class__ is Value][i >> 1]
        if self._is_unsaved(k):
            return
        view, s = (place, place.s) if isinstance(place, View) else (None, place)
        if written_since(s, version):
            raise RuntimeError(_modified(self, s, s.value.aval if view is None else view.aval, view is not None, version, self._place_of_saved(i >> 1)))
        if view is None and was_detached_since(s, version) and self._was_inner(self._place_of_saved(i >> 1)):
            raise RuntimeError(DETACHED)
        old = self.saved[k]
        leaf = self._leaf(self._place_of_saved(i >> 1))
        if leaf is not None and origin_of(leaf._s) is not origin_of(s):  # a leaf that was given other data: torch saved the very tensor
            view, s = leaf._view, leaf._s
        if s.host is not None and same_memory(view, s, old):
            return
        new = s.value if view is None else read_view(view, s)
        if new.aval is old.aval:
            self.saved = (*self.saved[:k], new, *self.saved[k + 1 :])

    def _is_unsaved(self, k: int) -> bool:
        """Whether the k-th saved value is an input that torch's node would not keep. (saved_tensors.py, which knows their names, writes it.)"""
        raise NotImplementedError

    def _place_of_saved(self, n: int) -> int:
        """Which input (output: ~i) the n-th saved tensor is."""
        inputs = [i for i in self.plan.saved_in if not isinstance(self.entry.inputs[i], type)]
        return inputs[n] if n < len(inputs) else ~self.plan.saved_out[n - len(inputs)]

    def _edge_of(self, at: int) -> Any:
        """Where the gradient of the input ``at`` goes; None if it is an output, or needs none."""
        return self.edges[2 * self.plan.targets.index(at)] if at in self.plan.targets else None

    def _leaf(self, at: int) -> Any:
        edge = self._edge_of(at)
        return edge.variable if edge.__class__ is AccumulateGrad else None

    def _was_inner(self, at: int) -> bool:
        edge = self._edge_of(at)
        return edge is not None and edge.__class__ is not AccumulateGrad

    def pull(self, ct: Value) -> list[Value]:
        """As :meth:`apply`, for a node of one output: written straight down for ordinary passes."""
        if self.saved.__class__ is not tuple:
            self.check((ct,))
        v = self.versions
        for i in range(0, len(v), 2):
            if v[i].version != v[i + 1]:
                self._look_again(i)
        plan = self.plan
        entry = plan.direct
        tr = state.trace
        if entry is None or ct.aval is not self.entry.out or entry.device is not tr.device:
            entry, outs = record(plan.backward((True,)), [*self.saved, ct])
            if ct.aval is self.entry.out and not entry.moves:
                plan.direct = entry
            return outs
        refs: list[Any] = [entry]
        known = tr.input_pos
        for x in (*self.saved, ct):
            if x.__class__ is not Value:
                refs.append(add_scalar(tr, x))
            elif x.trace is tr:
                refs.append(x.pos)
            else:
                pos = known.get(x)
                if pos is None:
                    pos = add_input(tr, x)
                    if pos is None or tr.lock is not None:
                        return record(plan.backward((True,)), [*self.saved, ct])[1]
                refs.append(pos)
        made = append(tr, tuple(refs), entry.outs)
        return record(plan.backward((True,)), [*self.saved, ct])[1] if made is None else made

    def apply(self, cts: list[Value | None]) -> list[Value]:
        """Gradients of the inputs that need one, from those of the outputs."""
        self.check(cts)
        plan = self.plan
        wanted = plan.wanted_outs
        given = tuple([cts[i] is not None for i in wanted]) if len(wanted) > 1 else (True,)
        args = [*self.saved, *[cts[i] for i in wanted if cts[i] is not None]]
        return record_multi(plan.backward(given), args)


DETACHED = (
    "Trying to use a saved tensor that has been detached in-place, i.e. with .detach_()."
    "This is not supported, please use out-of-place `.detach()` instead"
)


class _Fixed:
    """Stands in ``versions`` for what nobody can write any more."""

    version = 0


FIXED = _Fixed()


_weakly = weakref.ref


class Watched:
    """Stands in ``versions`` for what torch keeps and this engine's backward does not read: the input ``at`` (output: ~at). It is not held: what nobody else holds, nobody can write."""

    __slots__ = ("at", "ref", "expected", "aval")
    expected: int
    aval: Any  # of a view, else None

    def __init__(self, at: int, t: Tensor) -> None:
        s, view = t._s, t._view
        self.at = at
        self.ref = _weakly(s)
        self.expected = s.version
        self.aval = None if view is None else view.aval

    @property
    def version(self) -> int:
        s = self.ref()
        return self.expected if s is None else int(s.version)


def watched(plan: Plan, args: Any, tensors: Any) -> tuple[Any, ...]:
    """What stands in ``versions`` for the inputs and results that ``plan.kept`` names."""
    found: list[Any] = []
    for i in plan.kept:
        one = Watched(i, args[i] if i >= 0 else tensors[~i])
        found += (one, one.expected)
    return tuple(found)


def _modified(node: OpNode, storage: Any, a: Any, view: bool, expected: int, at: int) -> str:
    now = version_of(storage)
    expected = now - written_since(storage, expected)
    inside = _turned_inside(node, at)
    shape, made = (list(a.shape), _producer(node, view, storage, at)) if not inside else (list(a.shape)[::-1], _made_by("AsStrided"))
    return (
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{type_in_words(a)} {shape}]{made} is at version {now}; expected version {expected} instead. "
        "Hint: enable anomaly detection to find the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )


_OLD_TYPES = frozenset(("Float", "Double", "Half", "Long", "Int", "Short", "Char", "Byte"))


def type_in_words(a: Any) -> str:
    """How torch's C++ prints a tensor's type: the oldest ones as Python names them."""
    return f"torch.{tensor_type(a)}" if a.dtype.legacy in _OLD_TYPES else f"{a.device.type.upper()}{a.dtype.legacy}Type"


def tensor_type(a: Any) -> str:
    return ("" if a.device.type == "cpu" else f"{a.device.type}.") + f"{a.dtype.legacy}Tensor"


def _turned_inside(node: OpNode, at: int) -> bool:
    """Whether torch keeps the input ``at`` transposed, which the node shows as a step between (``linear`` its weight)."""
    edge = node._edge_of(at)
    if edge is None or getattr(node.entry.call.grad_name, "chain", None) is None:
        return False
    steps = [step for step, _ in node.next_functions]
    for step in steps:
        if isinstance(step, StepBetween):
            after = [x for x, _ in step.next_functions]
            if step.__class__.__name__ == "TBackward0" and edge in after:
                return True
            steps += after
    return False


def _made_by(name: str, nr: int = 0) -> str:
    return f", which is output {nr} of {name},"


def _producer(node: OpNode, view: bool, storage: Any, at: int) -> str:
    """Which operator the changed tensor comes from: the node itself for a saved result, else what wrote or made the input. A view is taken again from what was written."""
    edge = node._edge_of(at) if at >= 0 else node if node.entry.differentiable[~at] else None
    if edge is None:
        return ""
    if view:
        return _made_by("AsStrided")
    ref, _ = getattr(storage, "wrote", None) or (None, 0)
    writer = ref() if ref is not None and at >= 0 else None
    if writer is None and edge.__class__ is AccumulateGrad:
        return ""
    if writer is None:
        writer = edge
    return _made_by(short_name(writer), ~at if at < 0 else 0)


def short_name(node: Node) -> str:
    """``Exp`` for ``ExpBackward0``, ``Max1`` for ``MaxBackward1``: how torch's messages name a node."""
    return re.sub(r"Backward0?(?=\d*$)", "", node.name())


def node_class(name: str) -> type:
    """The subclass of OpNode that shows as ``<AddBackward0 object at ...>``."""
    found = _classes.get(name)
    if found is None:
        shown = {"name": lambda self: "torch::autograd::CopyBackwards"} if name == "CopyBackwards" else {}
        found = _classes[name] = type(name, (OpNode,), {"__slots__": (), "__module__": "torch.autograd.graph", "__repr__": node_repr, **shown})
    return found


def node_repr(self: Any) -> str:
    return f"<{self.__class__.__name__} object at {hex(id(self))}>"


class AccumulateGrad(Node):
    """The end of the graph at a leaf: adds what arrives to ``leaf.grad``."""

    __slots__ = ("ref", "aval")
    ref: Callable[[], Tensor | None]
    aval: Any  # of the leaf, once asked for; None before

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    @property
    def variable(self) -> Any:
        return self.ref()

    @property
    def next_functions(self) -> tuple[Any, ...]:
        return ()

    def __repr__(self) -> str:
        return node_repr(self)


class StepBetween(Node):
    """An operator of torch's inside one of this engine's, as ``next_functions`` shows it: to be looked at; the gradient goes past it."""

    __slots__ = ("shown",)
    shown: tuple[tuple[Any, int], ...]

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return self.shown

    def register_hook(self, fn: Any) -> Any:
        not_implemented(f"hooks on {self.name()} inside one operator", "register them on the nodes before and after it")

    register_prehook = register_hook

    def __call__(self, *grads: Any) -> Any:
        not_implemented(f"calling {self.name()} inside one operator", "call the node before it")


def _step_between(name: str, edges: Any) -> tuple[Any, int]:
    key = f"{name} between"
    found = _classes.get(key)
    if found is None:
        found = _classes[key] = type(name, (StepBetween,), {"__slots__": (), "__module__": "torch.autograd.graph", "__repr__": node_repr})
    made: Any = _new(found)
    made.edges, made.seq, made.hooks, made.extra, made.shown = (), next_seq(), None, None, tuple(edges)
    return made, 0


def leaf_edge(t: Tensor) -> AccumulateGrad:
    """A node that collects the gradient of ``t``; stored in ``t._edge`` by who asks."""
    acc = _new(AccumulateGrad)
    acc.ref = weakref.ref(t)
    acc.edges, acc.seq, acc.hooks, acc.extra = (), 1 << 62, None, None
    acc.aval = None
    return acc


def class_of(entry: Entry) -> Any:
    """The class of the nodes of an entry."""
    name = entry.call.grad_name
    by_shapes = getattr(name, "by_shapes", None)
    if by_shapes is not None:
        name = by_shapes(tuple(a.shape for a in entry.inputs if not isinstance(a, type)))
    found = node_class(name) if name not in CLASSES_OF else CLASSES_OF[name](entry.call.name)
    op = entry.call.op
    if op is not None and op.undefined is not None and op.undefined(structure_of(entry.call)):
        found = _undefined_class(found)
    entry.node_class = found
    return found


@functools.cache
def _undefined_class(plain: type) -> type:
    """Nodes that send no gradient on."""

    def nothing(self: OpNode, *_: Any) -> list[None]:
        return [None] * len(self.plan.targets)

    return type(plain.__name__, (plain,), {"__slots__": (), "__module__": "torch.autograd.graph", "pull": nothing, "apply": nothing, "undefined": True})


CLASSES_OF: dict[str, Callable[[str], type]] = {}  # a node's name to what makes its class of the operator's name, where that is not a plain one
