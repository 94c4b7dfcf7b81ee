"""Tracing: a function or module is run once on examples, and what it did to tensors is a program of its own from then on.

The record is a graph of torch.fx. Numbers that are read from a tensor are constants of the program, and a warning says so; sizes are not: an int that came
from a shape is recorded with what is computed of it, so that other sizes than the examples' may come.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import warnings
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

from jtorch._core.dispatch.torch_function import MODES
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._engine.values.thread_state import FUNCTION_MODE, state
from jtorch._types import Size
from jtorch.fx._naming import library, method_name
from jtorch.fx.graph import Graph
from jtorch.fx.graph_module import GraphModule, _copy_attr
from jtorch.fx.node import Node, map_aggregate
from jtorch.nn.modules.module import Module
from jtorch.nn.parameter import Parameter
from jtorch.utils._pytree import tree_flatten, tree_unflatten

__all__ = ["TracerWarning", "Recorder", "graph_of", "is_tracing", "record"]


class TracerWarning(Warning):
    """A trace may be wrong for other inputs."""

    @staticmethod
    def ignore_lib_warnings() -> None:
        """Nothing to silence: the library's own code does not run under the tracer's eyes."""


TracerWarning.__module__ = "torch.jit"


class Scopes:
    """What torch calls the state of tracing: a tracer, with the scopes that a program pushed."""

    _scopes: tuple[str, ...] = ()

    def push_scope(self, name: str) -> None:
        """Nodes from here on are in this scope."""
        self._scopes = (*self._scopes, name)

    def pop_scope(self) -> None:
        """The innermost scope ends."""
        self._scopes = self._scopes[:-1]

    def current_scope(self) -> str:
        """All scopes, outermost first."""
        return "/".join(self._scopes)


_active: list[Scopes] = []


@contextlib.contextmanager
def tracing(tracer: Scopes) -> Iterator[None]:
    """Inside, ``is_tracing`` is true."""
    _active.append(tracer)
    try:
        yield
    finally:
        _active.remove(tracer)


def tracing_state() -> Scopes | None:
    """The tracer at work, if there is one."""
    return _active[-1] if _active else None


def is_tracing() -> bool:
    """Whether something is being traced."""
    return bool(_active)


_CONSTANT = (
    "Converting a tensor to a {} might cause the trace to be incorrect. We can't record the data flow of Python values, so this value will be treated as a "
    "constant in the future. This means that the trace might not generalize to other inputs!"
)
_LENGTH = (
    "Using len to get tensor shape might cause the trace to be incorrect. Recommended usage would be tensor.shape[0]. Passing a tensor of different shape "
    "might lead to errors or silently give incorrect results."
)
_ITERATION = (
    "Iterating over a tensor might cause the trace to be incorrect. Passing a tensor of different shape won't change the number of iterations executed (and "
    "might lead to errors or silently give incorrect results)."
)
_FACTORY = (
    "torch.tensor results are registered as constants in the trace. You can safely ignore this warning if you use this function to create tensors out of "
    "constant variables that would be the same every time you call this function. In any other case, this might cause the trace to be incorrect."
)


def active() -> Recorder | None:
    """The recorder at work in this moment, if there is one."""
    return _active[-1] if _active and isinstance(_active[-1], Recorder) and _active[-1] in MODES else None


class TracedInt(int):
    """A number that came from a size: an int, with the node that computes it."""

    node: Node
    recorder: Recorder

    def __new__(cls, value: int, node: Node, recorder: Recorder) -> TracedInt:
        made = super().__new__(cls, value)
        made.node, made.recorder = node, recorder
        return made

    def __reduce__(self) -> Any:
        return int, (int(self),)


def _number(name: str, swap: bool) -> Any:
    apply = getattr(operator, name)

    def method(self: TracedInt, other: Any) -> Any:
        if not isinstance(other, (int, float)) or not self.recorder.on:
            return getattr(int, f"__{'r' if swap else ''}{name}__")(int(self), other)
        mine, theirs = int(self), int(other) if isinstance(other, TracedInt) else other
        value = apply(theirs, mine) if swap else apply(mine, theirs)
        args = (other, self) if swap else (self, other)
        return self.recorder.number(value, apply, args)

    return method


for _name in ("add", "sub", "mul", "floordiv", "mod", "pow", "truediv"):
    setattr(TracedInt, f"__{_name}__", _number(_name, False))
    setattr(TracedInt, f"__r{_name}__", _number(_name, True))
TracedInt.__neg__ = lambda self: self.recorder.number(-int(self), operator.neg, (self,)) if self.recorder.on else -int(self)  # type: ignore[attr-defined,method-assign]


class Recorder(Scopes):
    """Writes down what is done to tensors. As a mode it sees every function of torch; what leaves the tensors for Python, it sees by standing in Tensor."""

    def __init__(self, root: Any, followed: bool = False) -> None:
        self.root = root
        self.followed = followed  # whether gradients go on to tensors that the program found, as they are those of the function
        self.graph = Graph()
        self.on = False
        self.nodes: dict[int, tuple[Any, Any]] = {}  # id to (the tensor, kept alive, and its node)
        self.members = {id(t): (t, name) for name, t in (*root.named_parameters(), *root.named_buffers())}
        self.holder = Module()

    # -- values ---------------------------------------------------------------------------------------------------------------------

    def bind(self, value: Any, node: Node) -> None:
        """Say that a value is a node's: a tensor, or a container of them."""
        if isinstance(value, Tensor):
            self.nodes[id(value)] = value, node
        elif isinstance(value, (tuple, list)):
            for i, part in enumerate(value):
                if isinstance(part, (Tensor, tuple, list)) and not isinstance(part, Size):
                    self.bind(part, self.graph.call_function(operator.getitem, (node, i)))
        elif isinstance(value, dict):
            for key, part in value.items():
                if isinstance(part, (Tensor, tuple, list, dict)):
                    self.bind(part, self.graph.call_function(operator.getitem, (node, key)))

    def node_of(self, t: Any) -> Any:
        """A tensor's node; one that nobody recorded becomes an attribute of the program."""
        known = self.nodes.get(id(t))
        if known is not None and known[0] is t:
            return known[1]
        member = self.members.get(id(t))
        if member is not None:
            name = member[1]
            _copy_attr(self.root, self.holder, name)
        else:
            name = f"_constant{sum(1 for n in self.graph.nodes if n.op == 'get_attr')}"
            value = t.detach() if t.requires_grad and not isinstance(t, Parameter) and not self.followed else t  # type: ignore[attr-defined]
            if isinstance(value, Parameter):
                self.holder.register_parameter(name, value)
            else:
                self.holder.register_buffer(name, value)
        node = self.graph.get_attr(name)
        self.nodes[id(t)] = t, node
        return node

    def arg(self, value: Any) -> Any:
        """An argument as the graph holds it."""

        def one(v: Any) -> Any:
            if isinstance(v, Tensor):
                return self.node_of(v)
            if isinstance(v, TracedInt):
                return v.node
            return v.item() if isinstance(v, np.generic) else v

        return map_aggregate(tuple(value) if isinstance(value, Size) else value, one)

    def number(self, value: Any, fn: Any, args: Any) -> Any:
        """A number computed from sizes."""
        node = self.graph.call_function(fn, tuple(a.node if isinstance(a, TracedInt) else a for a in args))
        return TracedInt(value, node, self) if isinstance(value, int) else value

    def whole(self, fn: Any, args: Any, kwargs: Any) -> Any:
        """A call that is recorded as one, whatever it does."""
        call_args, call_kwargs = self.arg(tuple(args)), self.arg(dict(kwargs))
        with self.paused():
            result = fn(*map_aggregate(tuple(args), _plain), **map_aggregate(dict(kwargs), _plain))
        self.bind(result, self.graph.call_function(fn, call_args, dict(call_kwargs)))
        return result

    # -- what is seen ---------------------------------------------------------------------------------------------------------------

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inner = getattr(func, "__wrapped__", None)
        if inner is not None and any([isinstance(v, FunctionType | Module) for v in (*args, *kwargs.values())]):  # what a graph cannot hold: the call is what it calls
            with self.watching():
                return inner(*args, **kwargs)
        call_args, call_kwargs = self.arg(tuple(args)), self.arg(dict(kwargs))
        result = func(*map_aggregate(tuple(args), _plain), **map_aggregate(dict(kwargs), _plain))
        name = getattr(func, "__name__", "")
        if name == "tensor" and func is library().tensor:
            warnings.warn(_FACTORY, TracerWarning, stacklevel=3)
            return result
        method = method_name(func)
        if method == "__setitem__":
            self.graph.call_function(operator.setitem, call_args)
            return result
        if method is not None:
            node = self.graph.call_method(method, call_args, dict(call_kwargs))
        else:
            node = self.graph.call_function(func, call_args, dict(call_kwargs))
        self.bind(result, node)
        return result

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Inside, all that this thread does to tensors is recorded."""
        saved = {name: vars(Tensor)[name] for name in _WATCHED if name in vars(Tensor)}
        self.on = True
        for name in saved:
            setattr(Tensor, name, _watch(self, name, saved[name]))
        try:
            with self.watching(), tracing(self):
                yield
        finally:
            for name, value in saved.items():
                setattr(Tensor, name, value)
            self.on = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, torch's functions come by here."""
        MODES.append(self)
        state.mode |= FUNCTION_MODE
        try:
            yield
        finally:
            MODES.remove(self)
            if not MODES:
                state.mode &= ~FUNCTION_MODE

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, nothing is recorded."""
        here = self in MODES
        if here:
            MODES.remove(self)
            if not MODES:
                state.mode &= ~FUNCTION_MODE
        try:
            yield
        finally:
            if here:
                MODES.append(self)
                state.mode |= FUNCTION_MODE

    def sizes(self, t: Any, shape: Any) -> Any:
        """A shape whose numbers know where they are from."""
        node = self.node_of(t)
        return Size([TracedInt(n, self.graph.call_method("size", (node, i)), self) for i, n in enumerate(shape)])


def _plain(v: Any) -> Any:
    return int(v) if isinstance(v, TracedInt) else v


_WATCHED = {
    "__bool__": "Python boolean", "__int__": "Python integer", "__float__": "Python float", "item": "Python number",
    "tolist": "Python list", "numpy": "NumPy array", "__array__": "NumPy array", "__len__": "", "__iter__": "", "size": "", "shape": "",
}  # fmt: skip


def _watch(recorder: Recorder, name: str, original: Any) -> Any:
    """What stands in Tensor while a trace is made: it warns, or records a size."""
    if name == "shape":
        return property(lambda self: recorder.sizes(self, original.__get__(self)) if recorder in MODES else original.__get__(self))

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if recorder not in MODES:
            return original(self, *args, **kwargs)
        if name == "size":
            dim = args[0] if args else kwargs.get("dim")
            found = original(self, *args, **kwargs)
            if dim is None:
                return recorder.sizes(self, found)
            node = recorder.graph.call_method("size", (recorder.node_of(self), dim))
            return TracedInt(found, node, recorder)
        warned = {"__len__": _LENGTH, "__iter__": _ITERATION}.get(name) or _CONSTANT.format(_WATCHED[name])
        warnings.warn(warned, TracerWarning, stacklevel=2)
        if name == "__iter__":
            return iter([self[i] for i in range(original_len(self))])
        with recorder.paused():
            return original(self, *args, **kwargs)

    def original_len(t: Any) -> int:
        with recorder.paused():
            return int(t._s and t.dim() and _sizes_of(t)[0])

    return method


def _sizes_of(t: Any) -> Any:
    from jtorch._core.storage.view_steps import aval_of

    return aval_of(t).shape


def record(fn: Callable[..., Any], root: Any, inputs: tuple[Any, ...], names: list[str], strict: bool, kwargs: dict[str, Any], followed: bool = False) -> tuple[GraphModule, Any]:
    """Run a function on examples: (the program, the result)."""
    recorder = Recorder(root, followed)
    given: list[Any] = []
    for name, value in zip(names, inputs, strict=False):
        node = recorder.graph.placeholder(name)
        fresh = map_tensors(value, lambda t: t.detach().requires_grad_(t.requires_grad) if isinstance(t, Tensor) else t)
        recorder.bind(fresh, node)
        given.append(fresh)
    named = {}
    for name, value in kwargs.items():
        node = recorder.graph.placeholder(name)
        recorder.bind(value, node)
        named[name] = value
    with recorder.recording():
        result = fn(*given, **named)
    _check_output(result, strict)
    recorder.graph.output(recorder.arg(result))
    _drop_unused(recorder.graph)
    return GraphModule(recorder.holder, recorder.graph, "Traced"), result


def graph_of(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[GraphModule, Callable[[Any], Any]]:
    """The graph of one call: its placeholders are the tensors among the arguments, its output a tuple of the tensors in the result; and what puts such a tuple into the result's place."""
    given, spec = tree_flatten((args, kwargs))
    at = [i for i, x in enumerate(given) if isinstance(x, Tensor)]
    shape: list[Any] = []

    def run(*tensors: Any) -> Any:
        leaves = list(given)
        for i, t in zip(at, tensors, strict=True):
            leaves[i] = t
        a, k = tree_unflatten(leaves, spec)
        out, form = tree_flatten(fn(*a, **k))
        shape[:] = [[None if isinstance(x, Tensor) else (x,) for x in out], form]
        return tuple(x for x in out if isinstance(x, Tensor))

    root = fn if isinstance(fn, Module) else Module()
    graph, _ = record(run, root, tuple(given[i] for i in at), [f"l_{n}_" for n in range(len(at))], False, {}, True)

    def build(results: Any) -> Any:
        rest = iter(results if isinstance(results, (tuple, list)) else (results,))
        return tree_unflatten([next(rest) if x is None else x[0] for x in shape[0]], shape[1])

    return graph, build


def map_tensors(value: Any, fn: Callable[[Any], Any]) -> Any:
    """A nested value with ``fn`` applied to its leaves; containers stay what they are."""
    if isinstance(value, tuple):
        parts = [map_tensors(v, fn) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list):
        return [map_tensors(v, fn) for v in value]
    if isinstance(value, dict):
        return {k: map_tensors(v, fn) for k, v in value.items()}
    return fn(value)


def _check_output(result: Any, strict: bool) -> None:
    if isinstance(result, dict) and strict:
        raise RuntimeError(
            "Encountering a dict at the output of the tracer might cause the trace to be incorrect, this is only valid if the container structure does not "
            "change based on the module's inputs. Consider using a constant container instead (e.g. for `list`, use a `tuple` instead. for `dict`, use a "
            "`NamedTuple` instead). If you absolutely need this and know the side effects, pass strict=False to trace() to allow this behavior."
        )
    if not isinstance(result, (Tensor, tuple, list, dict)):
        raise RuntimeError("Only tensors, lists, tuples of tensors, or dictionary of tensors can be output from traced functions")


def _drop_unused(graph: Graph) -> None:
    """Sizes and parts that nobody used; what writes into a tensor stays."""
    for node in reversed(graph.nodes):
        unused = not node.users and node.op not in ("placeholder", "output")
        pure = node.op == "get_attr" or node.target == "size" or getattr(node.target, "__module__", "") == "_operator"
        if unused and pure and node.target is not operator.setitem:
            graph.erase_node(node)


