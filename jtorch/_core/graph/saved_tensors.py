"""Hooks on what the graph saves (``torch.autograd.graph.saved_tensors_hooks``), and what a node saved as attributes (``grad_fn._saved_self``).

A node's saved values are what this engine's backward reads: the operator's inputs and outputs, and hidden outputs where it keeps some. While hooks are on, each
goes through ``pack`` when it is recorded, and what ``pack`` gave through ``unpack`` when backward comes to the node.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

from jtorch._engine.recording.call import structure_of
from jtorch._engine.recording.trace import record_multi
from jtorch._engine.values.thread_state import GRAD, SAVED_HOOKS, state
from jtorch._engine.values.values import Value

from jtorch._core.graph.node import AccumulateGrad, OpNode
from jtorch._core.storage.bare_tensor import Storage, Tensor, alias_of, new_tensor
from jtorch._core.storage.view_steps import View, read
from jtorch._core.storage.write_counts import written_since

__all__ = ["Hooks", "pop", "push", "pack_node", "packed", "unpacked", "settings", "SavedTensor"]

_AGAIN = (
    "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to "
    "backward through the graph a second time or if you need to access saved tensors after calling backward."
)
FREED = "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). " + _AGAIN
INFERENCE_SAVED = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation tracked by autograd. To work around this, "
    "you can make a clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
)

Hooks = tuple[Callable[[Any], Any], Callable[[Any], Any]]


class _Settings(threading.local):
    def __init__(self) -> None:
        self.stack: list[Hooks] = []
        self.disabled: str | None = None
        self.written: Tensor | None = None  # what the operator that is being recorded writes in place


settings = _Settings()


def push(pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> None:
    """Switch on a pair of hooks; the one that was switched on last is asked. RuntimeError with the text that forbids it."""
    if settings.disabled is not None:
        raise RuntimeError(settings.disabled)
    settings.stack.append((pack, unpack))
    state.mode |= SAVED_HOOKS


def pop() -> None:
    """Switch off the pair that was switched on last."""
    settings.stack.pop()
    if not settings.stack:
        state.mode &= ~SAVED_HOOKS


def packed(t: Tensor, pack: Callable[[Any], Any]) -> Any:
    """What ``pack`` makes of a tensor."""
    mode, version = state.mode, t._s.version
    state.mode = mode & ~(GRAD | SAVED_HOOKS)
    try:
        out = pack(t)
    finally:
        state.mode = mode
    if written_since(t._s, version):
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot be modified by in-place "
            "operations as this can lead to unexpected side-effects. Please open an issue if you need to perform in-place operations on the "
            "input to a pack hook."
        )
    return out


def unpacked(x: Any, unpack: Callable[[Any], Any]) -> Tensor:
    """The tensor that ``unpack`` makes of what was packed."""
    mode = state.mode
    state.mode = mode & ~(GRAD | SAVED_HOOKS)
    try:
        out = unpack(x)
    finally:
        state.mode = mode
    if not isinstance(out, Tensor):
        raise TypeError(f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(out).__name__}")
    return out


class _Packed:
    """Stands in a node for what it saved: (what was packed, its hook), or (a value, None) for each."""

    __slots__ = ("items",)

    def __init__(self, items: list[tuple[Any, Any]]) -> None:
        self.items = items

    def fill(self, node: OpNode, cts: Any) -> tuple[Any, ...]:
        """The values again. The node forgets them after this pass, if it keeps its graph."""
        found = tuple([x if unpack is None else read(unpacked(x, unpack)) for x, unpack in self.items])
        if node.extra is None:
            node.extra = {}
        node.extra["packed"] = self
        return found


def pack_node(node: OpNode, args: Any, tensors: Any) -> None:
    """Hand what a new node saved to the hooks. What it needs of Python numbers is no tensor and stays."""
    pack, unpack = settings.stack[-1]
    plan = node.plan
    known = [*[args[i] for i in plan.saved_in], *[tensors[i] for i in plan.saved_out]]
    items: list[tuple[Any, Any]] = []
    for j, v in enumerate(node.saved):
        if not isinstance(v, Value):
            items.append((v, None))
            continue
        t = known[j] if j < len(known) and isinstance(known[j], Tensor) and known[j] is not settings.written else new_tensor(v)  # torch saves a copy of what is written
        items.append((packed(t, pack), unpack))
    if items:
        node.saved, node.versions = _Packed(items), ()


def written(t: Tensor, fn: Callable[..., Any], *args: Any) -> Any:
    """``fn(*args)``, an operator whose result is then written into ``t``."""
    before, settings.written = settings.written, t
    try:
        return fn(*args)
    finally:
        settings.written = before


# Saved values as attributes ---------------------------------------------------------------------------------------------------


def _names(node: OpNode) -> dict[str, Any]:
    """Where each saved value is, by torch's name: ``self`` for the first input, ``result`` for an output, else the parameter."""
    call, plan = node.entry.call, node.plan
    found: dict[str, Any] = {}
    if call.op is not None:
        flat = 0
        for d, p in zip(call.key, call.op.fn_params, strict=True):
            name = "self" if p.name == "input" else p.name
            if d[0] == "V":
                found[name] = ("constant", d[2])
                continue
            width = sum(d[1]) if d[0] == "L" else 1
            at = [plan.saved_in.index(i) for i in range(flat, flat + width) if i in plan.saved_in]
            if at:
                found[name] = ("list", at) if d[0] == "L" else ("saved", at[0])
            flat += width
    for k, i in enumerate(plan.saved_out):
        name = "result" if len(node.entry.outs) == 1 else call.fields[i] if call.fields else f"result{i}"
        found[name] = ("saved", len(plan.saved_in) + k)
    return found


def _is_unsaved(node: OpNode, k: int) -> bool:
    op = node.entry.call.op
    if op is None or not op.unsaved:
        return False
    unsaved = op.unsaved_of(lambda: structure_of(node.entry.call), node.entry.inputs)
    return any([k in (at if kind == "list" else [at]) and kind != "constant" and ("input" if name == "self" else name) in unsaved for name, (kind, at) in _names(node).items()])


OpNode._is_unsaved = _is_unsaved  # type: ignore[method-assign,assignment]


def _tensor(node: OpNode, k: int) -> Any:
    kept = node.saved
    node.check()
    v = node.saved[k]
    if state.backward is None and kept.__class__ is not tuple:  # who looks outside of a pass lets it be unpacked, or computed, each time
        node.saved = kept
        if node.extra is not None:
            node.extra.pop("packed", None)
    if not isinstance(v, Value):
        return v
    plan = node.plan
    if k >= len(plan.saved_in):
        t = _in_its_memory(node, k, v)
        if k < len(plan.saved_in) + len(plan.saved_out):
            t._edge, t._nr = node, plan.saved_out[k - len(plan.saved_in)]
        return t
    i = plan.saved_in[k]
    if i not in plan.targets:
        return _in_its_memory(node, k, v)
    at = 2 * plan.targets.index(i)
    edge, nr = node.edges[at : at + 2]
    leaf = edge.ref() if edge.__class__ is AccumulateGrad else None
    if leaf is not None and leaf._view is None and leaf._s.value is v:
        return leaf
    t = _in_its_memory(node, k, v)
    t._edge, t._nr = edge, nr
    return t


def _in_its_memory(node: OpNode, k: int, v: Value) -> Tensor:
    """A saved value as a tensor: where the node remembers the memory that it saved, it shares it, and its version."""
    at = 2 * sum(x.__class__ is Value for x in node.saved[:k]) if node.versions else 0
    place = node.versions[at] if at < len(node.versions) and k < len(node.plan.saved_in) + len(node.plan.saved_out) else None
    if isinstance(place, View):
        return alias_of(place.s, place)
    if isinstance(place, Storage) and place.value is v:
        return alias_of(place, None)
    return new_tensor(v)


class SavedTensor:
    """One saved value of a node, as it is kept (``grad_fn._raw_saved_self``). Nodes make it."""

    _node: Any  # that of an operator, or of a Function
    _k: int

    def __init_subclass__(cls) -> None:
        cls.__name__ = cls.__qualname__ = "SavedTensor"

    @classmethod
    def of(cls, node: Any, k: int) -> Any:
        """The k-th that ``node`` saved."""
        made = object.__new__(cls)
        made._node, made._k = node, k
        return made

    def __new__(cls) -> Any:
        raise RuntimeError(
            "Trying to create a SavedTensor object from Python is forbidden."
        )

    def _register(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        raise NotImplementedError

    def register_hooks(self, *given: Any) -> None:
        """Give ``pack_hook`` what is saved now, ``unpack_hook`` what that gave, in backward. RuntimeError if it has hooks already, is freed or is None."""
        if len(given) != 2 or not all(map(callable, given)):
            raise TypeError(
                "register_hooks(): incompatible function arguments. The following argument types are supported:\n"
                "    1. (self: torch._C._autograd.SavedTensor, arg0: Callable, arg1: Callable) -> None\n\n"
                f"Invoked with: {', '.join(map(repr, (self, *given)))}"
            )
        self._register(*given)


HOOKED = "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of hooks is allowed at a time."


class SavedByNode(SavedTensor):
    """That of an operator's node."""

    def _register(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        node: OpNode = self._node
        if node.saved.__class__ is _Packed:
            if node.saved.items[self._k][1] is not None:
                raise RuntimeError(HOOKED)
        elif node.saved is None:
            raise RuntimeError("Calling register_hooks on a saved tensor after it has been freed. " + _AGAIN)
        t = _tensor(node, self._k)
        if node.saved.__class__ is tuple:
            node.saved, node.versions = _Packed([(v, None) for v in node.saved]), ()
        node.saved.items[self._k] = (packed(t, pack_hook), unpack_hook)


_NOT_THERE = object()
_SHAPES = ("self_sym_sizes", "self_sizes", "self_sym_numel", "self_numel", "self_dim", "self_scalar_type")
_OTHER_NAMES = {"mat2": "other", "weight": "weight", "vec": "other"}


def _beside(node: OpNode, name: str) -> Any:
    """What torch's node keeps and this engine's need not: sizes, results that are computed again, and operands that no gradient needs (None)."""
    entry, plan = node.entry, node.plan
    first = next((a for a in entry.inputs if not isinstance(a, type)), None)
    if name in _SHAPES and first is not None:
        kinds = {"self_sym_sizes": tuple(first.shape), "self_sizes": tuple(first.shape), "self_dim": len(first.shape), "self_scalar_type": first.dtype}
        return kinds[name] if name in kinds else math.prod(first.shape)
    fields = entry.call.fields or (("result",) if len(entry.outs) == 1 else ())
    if name in fields and plan.saved_in == tuple(range(len(entry.inputs))):
        node.check()
        at = fields.index(name)
        t = new_tensor(record_multi(entry.call, list(node.saved[: len(entry.inputs)]))[at])
        if not at:
            t._edge = node
        return t
    params = {"self" if p.name == "input" else p.name: p for p in entry.call.op.fn_params}
    if name in _OTHER_NAMES and _OTHER_NAMES[name] in params and name not in params:
        kind, what = _names(node).get(_OTHER_NAMES[name], (None, None))
        return _tensor(node, what) if kind == "saved" else None
    if name in params and any(p.name == params[name].name and p.kind in ("Tensor", "Tensor|Scalar") for p in entry.call.op.signatures[0].params):
        if node.saved is None:
            node.check()
        return None
    return _NOT_THERE


def attribute(node: OpNode, name: str) -> Any:
    """``node._saved_x`` and ``node._raw_saved_x``. AttributeError for what this engine's backward does not read."""
    raw = name.startswith("_raw_saved_")
    if raw or name.startswith("_saved_"):
        wanted = name[11:] if raw else name[7:]
        kind, what = _names(node).get(wanted, (None, None))
        if kind is None and not raw and node.entry.call.op is not None:
            found = _beside(node, wanted)
            if found is not _NOT_THERE:
                return found
        if kind == "constant" and not raw:
            return what
        if kind == "saved":
            return SavedByNode.of(node, what) if raw else _tensor(node, what)
        if kind == "list":
            return tuple(SavedByNode.of(node, k) if raw else _tensor(node, k) for k in what)
    raise AttributeError(f"'{type(node).__name__}' object has no attribute '{name}'")


def _listed(node: OpNode) -> list[str]:
    names = sorted(_names(node).items()) if node.entry.call.op is not None else []
    return [*object.__dir__(node), *(f"_saved_{name}" for name, _ in names), *(f"_raw_saved_{name}" for name, (kind, _) in names if kind != "constant")]


OpNode.__getattr__ = attribute  # type: ignore[attr-defined]
OpNode.__dir__ = _listed  # type: ignore[method-assign,assignment]
