"""``torch.jit._get_trace_graph``: one call as a graph of torch's own operators, as libraries that count operations read it.

Each operator that the call reaches is a node ``aten::...`` whose inputs are those of its published signature, in their order; numbers are ``prim::Constant`` nodes and lists
``prim::ListConstruct``. Numbers that came from shapes are constants. A function that torch composes in Python and that has no operator of its own is one node of its name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from jtorch._core.dispatch.torch_function import enter_mode, exit_mode
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._dtypes import dtype as _dtype
from jtorch._public import torch
from jtorch.fx._naming import is_python_in_torch, method_name, torch_name
from jtorch.library import jit_types as types
from jtorch.library.binding import bind
from jtorch.library.jit_types import ListType, TensorType, TupleType, Type

from ._trace import Scopes, tracing

__all__ = ["OperatorGraph", "OperatorNode", "Value", "operator_graph"]

_CONVOLUTIONS = {f"conv{t}{d}d": (d, bool(t)) for d in (1, 2, 3) for t in ("", "_transpose")}
_RENAMED = {"cross_entropy": "cross_entropy_loss", "__getitem__": "index"}
_ALIASES = {"self": "input", "train": "training", "indices": "input"}
_FIXED = {"cudnn_enabled": True, "cudnn_enable": True}
_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}
_ASKED = frozenset("__get__ size dim stride numel shape __len__ is_floating_point is_complex data_ptr storage_offset is_contiguous requires_grad_ __repr__ __format__ ndimension nelement".split())
_SIMPLE: tuple[tuple[type, str, Callable[[], Type]], ...] = (
    (bool, "i", types.BoolType.get), (int, "i", types.IntType.get), (float, "f", types.FloatType.get), (complex, "c", types.ComplexType.get), (str, "s", types.StringType.get),
)  # fmt: skip


class Value:
    """What a node gives, or the graph takes."""

    def __init__(self, number: int, kind: Type, node: OperatorNode, held: Any = None) -> None:
        self._number, self._type, self._node, self._held = number, kind, node, held

    def debugName(self) -> str:  # noqa: N802 - torch's names, in this class and the next ones
        """Its name in the printed graph."""
        return str(self._number)

    def unique(self) -> int:
        """Its number."""
        return self._number

    def type(self) -> Type:
        """A tensor's type says its shape and element type."""
        return self._type

    def node(self) -> OperatorNode:
        """What gives it; ``prim::Param`` for what the graph takes."""
        return self._node

    def isCompleteTensor(self) -> bool:  # noqa: N802
        """Whether it is a tensor whose shape is known."""
        return isinstance(self._type, TensorType) and self._type.sizes() is not None

    def requires_grad(self) -> bool:
        """Whether it is a tensor that takes part in a gradient."""
        return isinstance(self._type, TensorType) and self._type.requires_grad()

    def toIValue(self) -> Any:  # noqa: N802
        """A constant's value; None for others."""
        return self._held

    def __str__(self) -> str:
        return f"{self._number} defined in ({self._node})"


class OperatorNode:
    """An operator's call."""

    def __init__(self, kind: str, inputs: list[Value], scope: str, attributes: dict[str, tuple[str, Any]] | None = None) -> None:
        self._kind, self._inputs, self._scope, self._attributes = kind, inputs, scope, attributes or {}
        self._outputs: list[Value] = []

    def kind(self) -> str:
        """``aten::linear``."""
        return self._kind

    def inputs(self) -> Any:
        """The values it takes."""
        return iter(self._inputs)

    def outputs(self) -> Any:
        """The values it gives."""
        return iter(self._outputs)

    def inputsSize(self) -> int:  # noqa: N802
        """How many it takes."""
        return len(self._inputs)

    def outputsSize(self) -> int:  # noqa: N802
        """How many it gives."""
        return len(self._outputs)

    def inputsAt(self, i: int) -> Value:  # noqa: N802
        """One that it takes."""
        return self._inputs[i]

    def outputsAt(self, i: int) -> Value:  # noqa: N802
        """One that it gives."""
        return self._outputs[i]

    def output(self) -> Value:
        """The one that it gives."""
        return self._outputs[0]

    def scopeName(self) -> str:  # noqa: N802
        """The scopes that were pushed while it ran."""
        return self._scope

    def attributeNames(self) -> list[str]:  # noqa: N802
        """``value`` of a constant."""
        return list(self._attributes)

    def hasAttribute(self, name: str) -> bool:  # noqa: N802
        """Whether it has an attribute."""
        return name in self._attributes

    def kindOf(self, name: str) -> str:  # noqa: N802
        """An attribute's kind: the method that reads it."""
        return self._attributes[name][0]

    def i(self, name: str) -> Any:
        """An attribute."""
        return self._attributes[name][1]

    f = c = s = t = ival = i

    def __str__(self) -> str:
        given = ", ".join(f"%{v.debugName()} : {_shown(v.type())}" for v in self._outputs)
        value = "".join(f"[{k}={_written(v)}]" for k, (_, v) in self._attributes.items())
        return f"{given} = {self._kind}{value}({', '.join(f'%{v.debugName()}' for v in self._inputs)})\n"

    __repr__ = __str__


class OperatorGraph:
    """The nodes of one call in the order in which they ran."""

    def __init__(self) -> None:
        self._param = OperatorNode("prim::Param", [], "")
        self._outputs: list[Value] = []
        self._nodes: list[OperatorNode] = []

    def nodes(self) -> Any:
        """All nodes."""
        return iter(self._nodes)

    def inputs(self) -> Any:
        """The call's tensors, then the module's."""
        return self._param.outputs()

    def outputs(self) -> Any:
        """The results."""
        return iter(self._outputs)

    def findAllNodes(self, kind: str, recurse: bool = True) -> list[OperatorNode]:  # noqa: N802
        """The nodes of one kind."""
        return [n for n in self._nodes if n.kind() == kind]

    findNode = findAllNodes  # noqa: N815

    def __str__(self) -> str:
        given = ",\n      ".join(f"%{v.debugName()} : {_shown(v.type())}" for v in self.inputs())
        return f"graph({given}):\n" + "".join(f"  {n}" for n in self._nodes) + f"  return ({', '.join(f'%{v.debugName()}' for v in self._outputs)})\n"

    __repr__ = __str__


def _shown(kind: Type) -> str:
    if not isinstance(kind, TensorType) or kind.sizes() is None:
        return str(kind)
    strides = kind.strides()
    parts = [*map(str, kind.sizes() or ()), *([f"strides={strides}"] if strides else []), f"requires_grad={int(kind.requires_grad())}", f"device={kind.device()}"]
    return f"{kind.scalarType()}({', '.join(parts)})"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f'"{value}"' if isinstance(value, str) else "{" + str(value.tolist()) + "}" if isinstance(value, Tensor) else str(value)


class _Recorder(Scopes):
    """A mode that sees every function that is called with tensors, and writes down the operator that it is."""

    def __init__(self) -> None:
        self.graph, self.count = OperatorGraph(), 0
        self.values: dict[int, tuple[Any, Value]] = {}  # id to (the tensor, kept alive, and what stands for it)

    def value(self, kind: Type, node: OperatorNode, held: Any = None) -> Value:
        """A new one."""
        self.count += 1
        made = Value(self.count - 1, kind, node, held)
        node._outputs.append(made)
        return made

    def given(self, tensor: Any, node: OperatorNode) -> Value:
        """A new value for a tensor."""
        made = self.value(TensorType.create_from_tensor(tensor), node)
        self.values[id(tensor)] = tensor, made
        return made

    def add(self, kind: str, inputs: list[Value], attributes: dict[str, tuple[str, Any]] | None = None) -> OperatorNode:
        """A new node."""
        node = OperatorNode(kind, inputs, self.current_scope(), attributes)
        self.graph._nodes.append(node)
        return node

    def constant(self, kind: Type, letter: str, held: Any) -> Value:
        """A value that does not depend on the call."""
        return self.value(kind, self.add("prim::Constant", [], {} if held is None else {"value": (letter, held)}), held)

    def taken(self, held: Any) -> Value:
        """What stands for an argument."""
        if isinstance(held, Tensor):
            known = self.values.get(id(held))
            if known is not None and known[0] is held:
                return known[1]
            made = self.constant(TensorType.create_from_tensor(held), "t", held)
            self.values[id(held)] = held, made
            return made
        if held is None:
            return self.constant(types.NoneType.get(), "", None)  # type: ignore[attr-defined]
        if isinstance(held, (list, tuple)):
            parts = [self.taken(v) for v in held]
            return self.value(ListType(parts[0].type() if parts and not isinstance(parts[0].type(), TensorType) else TensorType.get() if parts else types.IntType.get()), self.add("prim::ListConstruct", parts))
        for cls, letter, kind in _SIMPLE:
            if isinstance(held, cls):
                return self.constant(kind(), letter, held if cls is bool else cls(held))
        if isinstance(held, _dtype):
            return self.constant(types.IntType.get(), "i", held)
        return self.constant(types.DeviceObjType.get() if isinstance(held, torch.device) else types.PyObjectType.get(), "ival", held)  # type: ignore[attr-defined]

    def put(self, node: OperatorNode, result: Any) -> None:
        """A node's results."""
        if isinstance(result, Tensor):
            self.given(result, node)
        elif isinstance(result, list) or (isinstance(result, tuple) and type(result) is tuple and node._kind in _LISTS):
            held = self.value(ListType(TensorType.get()), node)
            unpacked = self.add("prim::ListUnpack", [held])
            for part in result:
                self.put(unpacked, part)
        elif isinstance(result, tuple):
            for part in result:
                self.put(node, part)

    def __torch_function__(self, func: Any, classes: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        method = method_name(func)
        name = method or (torch_name(func) or ("", getattr(func, "__name__", "")))[1]
        if name in _ASKED or func in (torch.is_tensor,):
            return func(*args, **kwargs)
        kind, arguments = _operator(func, _RENAMED.get(name, name), args, kwargs)
        inputs = [self.taken(v) for v in arguments]  # before the call: an operator in place gives the tensor that it took
        result = func(*args, **kwargs)
        self.put(self.add(f"aten::{kind}", inputs), result)
        return result


_LISTS = frozenset(f"aten::{name}" for name in "chunk split split_with_sizes unbind tensor_split hsplit vsplit dsplit unsafe_chunk unsafe_split meshgrid broadcast_tensors where nonzero_numpy".split())


def _operator(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, list[Any]]:
    """(torch's name of the operator, its arguments in the order of its signature)."""
    if is_python_in_torch(func) or name in _CONVOLUTIONS:
        try:
            bound = inspect.signature(func).bind(*args, **kwargs)
        except (TypeError, ValueError):
            return name, [*args, *kwargs.values()]
        bound.apply_defaults()
        named = dict(bound.arguments)
        for parameter in bound.signature.parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:  # einsum, meshgrid, ...: an equation, then tensors or a list of them
                given = named.pop(parameter.name)
                named["tensors"] = _tensors(given)
                if given and isinstance(given[0], str):
                    named["equation"] = given[0]
            elif parameter.kind is parameter.VAR_KEYWORD:
                named.update(named.pop(parameter.name))
        if name in _CONVOLUTIONS:
            return _convolution(name, named)
        if named.pop("inplace", False):
            name += "_"
        for schema in _schemas(name):
            found = _by_name(schema, named)
            if found is not None:
                return name, found
        return name, list(named.values())
    for schema in _schemas(name):
        wrapped = args
        if schema.overload_name == "Tensor" and len(args) > 1 and isinstance(args[1], (int, float, complex)):
            wrapped = (args[0], torch.tensor(args[1]), *args[2:])
        several = len(schema._positional) > 1 and isinstance(schema._positional[1].type, ListType) and len(args) > 2 and all(isinstance(a, int) for a in args[1:])
        if several:  # x.view(2, 3)
            wrapped = (args[0], list(args[1:]))
        try:
            by_position, by_name = bind(schema, wrapped, {k if k != "input" else "self": v for k, v in kwargs.items()})
        except RuntimeError:
            continue
        return name, [*by_position, *by_name.values()]
    return name, [*args, *kwargs.values()]


def _schemas(name: str) -> list[Any]:
    packet = getattr(torch.ops.aten, name, None)
    try:
        found = [] if packet is None else [op.schema for op in packet._overloads.values()]
    except AttributeError:
        return []
    return sorted((s for s in found if not s.is_vararg and not any(a.is_out for a in s.arguments)), key=lambda s: s.overload_name != "Tensor")


def _by_name(schema: Any, named: dict[str, Any]) -> list[Any] | None:
    """A signature's arguments out of those of torch's function in Python; None where one is missing."""
    found = []
    taken = set()
    for argument in schema.arguments:
        name = argument.name if argument.name in named else _ALIASES.get(argument.name, argument.name)
        if name in named:
            taken.add(name)
            value = named[name]
            found.append(_REDUCTIONS.get(value, value) if name == "reduction" and isinstance(value, str) else value)
        elif name in _FIXED:
            found.append(_FIXED[name])
        elif argument.has_default_value():
            found.append(argument.default_value)
        else:
            return None
    for argument, value in zip(schema.arguments, found, strict=True):
        if isinstance(argument.type, ListType) and argument.type.size and not isinstance(value, (list, tuple)):  # one number for all dims, or the default
            found[schema.arguments.index(argument)] = argument.default_value or [] if value is None else [value] * argument.type.size
    return found


def _convolution(name: str, named: dict[str, Any]) -> tuple[str, list[Any]]:
    dims, transposed = _CONVOLUTIONS[name]
    each = lambda v: [v] * dims if isinstance(v, int) else list(v)
    stride, dilation, groups = each(named["stride"]), each(named["dilation"]), named["groups"]
    start = [named["input"], named["weight"], named["bias"], stride]
    if isinstance(named["padding"], str):
        return "_convolution_mode", [*start, named["padding"], dilation, groups]
    return "_convolution", [*start, each(named["padding"]), dilation, transposed, each(named.get("output_padding", 0)), groups, False, False, True, True]


def operator_graph(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[OperatorGraph, Any]:
    """(the graph of one call, its result)."""
    recorder = _Recorder()
    for held in (*_tensors((args, kwargs)), *(fn.state_dict(keep_vars=True).values() if isinstance(fn, torch.nn.Module) else ())):
        if id(held) not in recorder.values:
            recorder.given(held, recorder.graph._param)
    with tracing(recorder):
        enter_mode(recorder)
        try:
            result = fn(*args, **kwargs)
        finally:
            exit_mode()
    found = [recorder.taken(t) for t in _tensors(result)]
    if len(found) != 1:
        found = [recorder.value(TupleType([v.type() for v in found]), recorder.add("prim::TupleConstruct", found))]
    recorder.graph._outputs = found
    return recorder.graph, result


def _tensors(held: Any) -> list[Any]:
    if isinstance(held, Tensor):
        return [held]
    parts = held.values() if isinstance(held, dict) else held if isinstance(held, (list, tuple)) else ()
    return [t for part in parts for t in _tensors(part)]
