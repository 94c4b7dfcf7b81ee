"""What stands for a value while a program is traced: every use of it becomes a node."""

from __future__ import annotations

import bisect
import collections
import copy
import dis
import enum
import inspect
import operator
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from types import FrameType
from typing import Any

from jtorch.nn.parameter import Parameter
from jtorch.utils._pytree import tree_leaves

from . import traceback as fx_traceback
from ._codegen import magic_methods, reflectable_magic_methods
from ._compatibility import compatibility
from ._naming import is_python_in_torch, method_name, torch_name
from .graph import Graph
from .node import Argument, Node, Target, base_types, map_arg
from .operator_schemas import check_for_mutable_operation

__all__ = [
    "TracerBase", "GraphAppendingTracer", "TraceError", "Proxy", "MetaProxy", "Attribute", "ParameterProxy", "Scope", "ScopeContextManager",
]  # fmt: skip


class Scope:
    """A module that is being called: its path and class."""

    def __init__(self, module_path: str, module_type: Any) -> None:
        self.module_path, self.module_type = module_path, module_type


class ScopeContextManager:
    """Inside, ``scope`` is ``current_scope``."""

    def __init__(self, scope: Scope, current_scope: Scope) -> None:
        self._before = scope.module_path, scope.module_type
        scope.module_path, scope.module_type = current_scope.module_path, current_scope.module_type
        self._scope = scope

    def __enter__(self) -> Scope:
        return self._scope

    def __exit__(self, *_: object) -> None:
        self._scope.module_path, self._scope.module_type = self._before


_COPIED_META = (
    "nn_module_stack", "torch_fn", "source_fn_stack", "original_aten", "recompute", "ac_graph_id", "has_backward_hook", "from_node", "quantization_tag",
    "_numeric_debug_handle", "custom", "partitioner_tag",
)  # fmt: skip


@compatibility(is_backward_compatible=True)
class TracerBase:
    """Makes nodes of what happens to proxies."""

    graph: Graph
    record_stack_traces: bool = False
    _record_forward_stack_traces_only: bool = False
    check_mutable_operations: bool = False
    trace_asserts: bool = False
    proxy_buffer_attributes: bool = False
    traced_func_name: str = "forward"
    scope: Scope
    module_stack: collections.OrderedDict[str, tuple[str, Any]]
    node_name_to_scope: dict[str, tuple[str, type]]

    @compatibility(is_backward_compatible=True)
    def create_node(self, kind: str, target: Target, args: tuple[Argument, ...], kwargs: dict[str, Argument], name: str | None = None, type_expr: Any = None) -> Node:
        """A node of the graph, that remembers where it was recorded."""
        if kind == "call_function" and self.check_mutable_operations:
            check_for_mutable_operation(target, args, kwargs)  # type: ignore[arg-type]
        node = self.graph.create_node(kind, target, args, kwargs, name, type_expr)
        self.node_name_to_scope[node.name] = (self.scope.module_path, self.scope.module_type)
        if fx_traceback.has_preserved_node_meta():
            meta = fx_traceback.get_current_meta()
            if meta.get("stack_trace"):
                node.stack_trace = meta["stack_trace"]
            node.meta.update({key: copy.copy(meta[key]) for key in _COPIED_META if key in meta})
        elif self.module_stack:
            node.meta["nn_module_stack"] = copy.copy(self.module_stack)
        if self.record_stack_traces and not node.stack_trace:
            frames = self._filter_traceback_frames(traceback.extract_stack())
            if frames:
                node.stack_trace = "".join(frames.format()).strip()
        return node

    def _filter_traceback_frames(self, user_stack_summary: traceback.StackSummary) -> traceback.StackSummary:
        """The frames of the program, from its first ``forward`` on."""
        frames = [f for f in user_stack_summary if not f.filename.startswith(_HERE)]
        if self._record_forward_stack_traces_only:
            frames = [f for f in frames if f.name == "forward"]
        else:
            start = next((i for i, f in enumerate(frames) if f.name == "forward"), len(frames))
            frames = frames[start:]
        return traceback.StackSummary.from_list(frames)

    @compatibility(is_backward_compatible=True)
    def proxy(self, node: Node) -> Proxy:
        """What stands for a node's value."""
        return Proxy(node, self)

    @compatibility(is_backward_compatible=True)
    def create_proxy(
        self, kind: str, target: Target, args: tuple[Any, ...], kwargs: dict[str, Any], name: str | None = None, type_expr: Any = None,
        proxy_factory_fn: Callable[[Node], Proxy] | None = None,
    ) -> Proxy:  # fmt: skip
        """A node of these arguments, in which proxies may stand, and what stands for its value."""
        node = self.create_node(kind, target, self.create_arg(args), self.create_arg(kwargs), name, type_expr)
        return proxy_factory_fn(node) if proxy_factory_fn else self.proxy(node)

    def _find_user_frame(self) -> FrameType | None:
        frame = inspect.currentframe()
        while frame and frame.f_code.co_filename.startswith(_HERE):
            frame = frame.f_back
        return frame

    @compatibility(is_backward_compatible=True)
    def create_arg(self, a: Any) -> Argument:
        """An argument as nodes hold it. NotImplementedError for what no graph can hold."""
        if isinstance(a, Proxy):
            return a.node
        if hasattr(a, "__fx_create_arg__"):
            return a.__fx_create_arg__(self)
        if isinstance(a, tuple):
            parts = [self.create_arg(x) for x in a]
            return type(a)(*parts) if hasattr(a, "_fields") else type(a)(parts) if type(a) is not tuple else tuple(parts)
        if isinstance(a, list):
            return [self.create_arg(x) for x in a]
        if isinstance(a, dict):
            return {self._key(k): self.create_arg(v) for k, v in a.items()}
        if isinstance(a, slice):
            return slice(self.create_arg(a.start), self.create_arg(a.stop), self.create_arg(a.step))
        if isinstance(a, range):
            return range(self.create_arg(a.start), self.create_arg(a.stop), self.create_arg(a.step))
        if hasattr(a, "_schema") and callable(a):  # an operator's overload
            return a
        if is_dataclass(a) and not isinstance(a, type):
            return self.create_node("call_function", a.__class__, (), {f.name: self.create_arg(getattr(a, f.name)) for f in fields(a)})
        if a is None or a is ... or isinstance(a, (*base_types, enum.Enum)):
            return a
        raise NotImplementedError(f"argument of type: {type(a)}")

    def _key(self, key: Any) -> Any:
        if isinstance(key, str):
            return key

        def refuse(n: Node) -> Any:
            raise RuntimeError(f"Keys for dictionaries used as an argument cannot contain a Node. Got key: {n}")

        key = self.create_arg(key)
        map_arg(key, refuse)
        return key

    @compatibility(is_backward_compatible=True)
    def to_bool(self, obj: Proxy) -> bool:
        """What ``bool(proxy)`` gives; TraceError, unless a subclass knows better."""
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    @compatibility(is_backward_compatible=True)
    def iter(self, obj: Proxy) -> Iterator[Any]:
        """What ``iter(proxy)`` gives; TraceError, unless a subclass knows better."""
        raise TraceError(
            "Proxy object cannot be iterated. This can be attempted when the Proxy is used in a loop or as a *args or **kwargs function argument. See the "
            "torch.fx docs on pytorch.org for a more detailed explanation of what types of control flow can be traced, and check out the Proxy docstring "
            "for help troubleshooting Proxy iteration errors"
        )

    @compatibility(is_backward_compatible=True)
    def keys(self, obj: Proxy) -> Any:
        """What ``**proxy`` asks for."""
        return Attribute(obj, "keys")()


_HERE = __file__.rpartition("proxy")[0]


@compatibility(is_backward_compatible=True)
class GraphAppendingTracer(TracerBase):
    """Appends to a graph that is there."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.scope = Scope("", None)
        self.module_stack = collections.OrderedDict()
        self.node_name_to_scope = {}


def assert_fn(x: Any) -> None:
    """``assert`` as a function."""
    assert x, "Assertion failed"


@compatibility(is_backward_compatible=True)
class TraceError(ValueError):
    """The program depends on a value that is not known while it is traced."""


def _instruction(frame: FrameType) -> tuple[list[dis.Instruction], int]:
    """A frame's instructions, and which one it is at."""
    found = list(dis.get_instructions(frame.f_code))
    return found, bisect.bisect_left(found, frame.f_lasti, key=lambda x: x.offset)


def _is_assert(frame: FrameType) -> bool:
    """Whether a frame asks for a truth in order to assert it."""
    found, at = _instruction(frame)
    if "JUMP_IF" not in found[at].opname:
        at += next((i for i, x in enumerate(found[at : at + 4]) if "JUMP_IF" in x.opname), 0)
    following = [x for x in found[at + 1 : at + 4] if x.opname not in ("CACHE", "NOT_TAKEN")]
    if "JUMP_IF_TRUE" not in found[at].opname or not following:
        return False
    raised = following[0]
    return raised.opname == "LOAD_ASSERTION_ERROR" or raised.argval is AssertionError or raised.argval == "AssertionError"


@compatibility(is_backward_compatible=True)
class Proxy:
    """Stands for the value of a node. What is done to it is recorded: operators, torch's functions, methods, attributes."""

    @compatibility(is_backward_compatible=True)
    def __init__(self, node: Node, tracer: TracerBase | None = None) -> None:
        self.tracer = GraphAppendingTracer(node.graph) if tracer is None else tracer
        self.node = node

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, k: str) -> Any:
        return Attribute(self, k)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, d: dict[str, Any]) -> None:
        self.__dict__ = d

    def __deepcopy__(self, memo: dict[int, Any]) -> Proxy:
        held = {}
        for key, value in self.__dict__.items():
            try:
                held[key] = copy.deepcopy(value, memo)
            except Exception:  # a value that can't be copied is shared
                held[key] = copy.copy(value)
        twin = Proxy(held["node"], held["tracer"])
        twin.__dict__.update(held)
        return twin

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Iterator[Any]:
        found, at = _instruction(sys._getframe(1))
        if found[at].opname == "UNPACK_SEQUENCE":
            return (self[i] for i in range(found[at].argval))  # type: ignore[index]
        return self.tracer.iter(self)

    def __abs__(self) -> Any:
        return self.tracer.create_proxy("call_function", operator.abs, (self,), {})

    def __bool__(self) -> bool:
        if self.tracer.trace_asserts and _is_assert(sys._getframe(1)):
            self.tracer.create_proxy("call_function", assert_fn, (self,), {})
            return True
        return self.tracer.to_bool(self)

    @compatibility(is_backward_compatible=True)
    def keys(self) -> Any:
        """What ``**proxy`` asks for."""
        return self.tracer.keys(self)

    def __len__(self) -> int:
        raise RuntimeError("'len' is not supported in symbolic tracing by default. If you want this call to be recorded, please call torch.fx.wrap('len') at module scope")

    @classmethod
    def __torch_function__(cls, orig_method: Any, types: Any, args: Any = None, kwargs: Any = None) -> Any:
        args, kwargs = args or (), kwargs or {}
        tracers = {a.tracer: None for a in tree_leaves((args, kwargs)) if isinstance(a, Proxy)}
        if len(tracers) > 1:
            raise RuntimeError(f"Found multiple different tracers {list(tracers)} while trying to trace operations {orig_method}")
        tracer = next(iter(tracers))
        method = method_name(orig_method)
        if method is not None:
            return tracer.create_proxy("call_method", method, args, kwargs)
        if is_python_in_torch(orig_method):
            args, kwargs = _as_handed_on(orig_method, args, kwargs)
        named = torch_name(orig_method)
        return tracer.create_proxy("call_function", orig_method, args, kwargs, name=tracer.graph._target_to_str(named[1] if named else orig_method.__name__))


_signatures: dict[Any, inspect.Signature] = {}


def _as_handed_on(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call as torch's Python functions hand it to ``__torch_function__``: what they require by position, everything else by name."""
    signature = _signatures.get(fn)
    if signature is None:
        signature = _signatures[fn] = inspect.signature(fn)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        return args, kwargs
    bound.apply_defaults()
    by_position: list[Any] = []
    by_name: dict[str, Any] = {}
    for name, param in signature.parameters.items():
        if param.kind is param.VAR_POSITIONAL:
            by_position += bound.arguments[name]
        elif param.kind is param.VAR_KEYWORD:
            by_name.update(bound.arguments[name])
        elif param.default is param.empty:
            by_position.append(bound.arguments[name])
        else:
            by_name[name] = bound.arguments[name]
    if fn.__name__ == "l1_loss" and by_name.get("weight") is None:  # torch doesn't hand it on
        by_name.pop("weight", None)
    if fn.__name__ == "multi_head_attention_forward":  # handed on in another order
        names = list(by_name)
        names.insert(names.index("attn_mask") + 1, names.pop(names.index("is_causal")))
        by_name = {name: by_name[name] for name in names}
    return tuple(by_position), by_name


class MetaProxy(Proxy):
    """A proxy that also computes, with the stand-ins in its node's ``meta["val"]``."""

    def __init__(self, node: Node, tracer: TracerBase | None = None, fake_mode: Any = None) -> None:
        super().__init__(node, tracer)
        self.fake_mode = fake_mode

    def __repr__(self) -> str:
        return f"MetaProxy({self.node.name})"

    @classmethod
    def __torch_function__(cls, orig_method: Any, types: Any, args: Any = None, kwargs: Any = None) -> Any:
        args, kwargs = args or (), kwargs or {}
        first = next((a for a in args if isinstance(a, MetaProxy)), None)
        assert first is not None, "No MetaProxy found in arguments, but one is expected."
        made = super().__torch_function__(orig_method, types, args, kwargs)
        with first.fake_mode:
            made.node.meta["val"] = orig_method(*[a.node.meta["val"] if isinstance(a, Proxy) else a for a in args], **kwargs)
        return MetaProxy(made.node, made.tracer, first.fake_mode)


@compatibility(is_backward_compatible=True)
class Attribute(Proxy):
    """An attribute of a proxy: a method if it is called, else recorded as ``getattr`` when it is first used."""

    @compatibility(is_backward_compatible=True)
    def __init__(self, root: Proxy, attr: str) -> None:
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]
        """The node, made now if it wasn't yet."""
        if self._node is None:
            self._node = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {}).node
        return self._node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


class ParameterProxy(Proxy):
    """A parameter whose shape is that of now."""

    def __init__(self, tracer: TracerBase, node: Node, name: str, param: Any) -> None:
        super().__init__(node, tracer)
        assert isinstance(param, Parameter), f"Expected Parameter, got {type(param)}"
        self.param, self.name = param, name

    def __repr__(self) -> str:
        return f"ParameterProxy({self.name})"

    @property
    def shape(self) -> Any:
        return self.param.shape

    @property
    def ndim(self) -> int:
        return self.param.ndim

    def size(self) -> Any:
        return self.param.size()

    def dim(self) -> int:
        return self.param.dim()

    def numel(self) -> int:
        return self.param.numel()

    def nelement(self) -> int:
        return self.param.nelement()


def _operators() -> None:
    def forward(target: Any) -> Any:
        return lambda *args, **kwargs: args[0].tracer.create_proxy("call_function", target, args, kwargs)

    def reflected(target: Any) -> Any:
        return lambda self, rhs: self.tracer.create_proxy("call_function", target, (rhs, self), {})

    for name in magic_methods:
        target = getattr(operator, name, None)
        if target is None:  # Python 3 has no div
            continue
        plain = name.strip("_")
        setattr(Proxy, f"__{plain}__", forward(target))
        if name in reflectable_magic_methods:
            setattr(Proxy, f"__r{plain}__", reflected(target))
    # __eq__ was set after the class was made, so that its hash is still by identity.


_operators()
