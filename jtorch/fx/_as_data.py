"""Graphs as plain data: what files of programs hold, so that reading one runs nothing of the file's.

Numbers, texts, types and tensors stand for themselves; all else is a dictionary of one entry that says what it is. A function is written by its name, and what is read is a function of tensors by that
name: one that torch's operators are made of, one of Python's operators, or an overload of ``torch.ops``.
"""

from __future__ import annotations

import builtins
import keyword
import math
import operator
from collections.abc import Callable
from typing import Any

from jtorch import _device, _dtypes
from jtorch._core.storage.bare_tensor import Tensor
from jtorch._errors import not_implemented
from jtorch._public import torch

from ._naming import as_torch, resolve, torch_name
from .graph import Graph
from .node import Node

__all__ = ["graph_as_data", "graph_from_data", "members_as_data", "members_from_data"]

_OPERATORS = frozenset(operator.__all__) - {"attrgetter", "itemgetter", "methodcaller", "call"}
_SIGNS = frozenset(f"__{r}{name.strip('_')}__" for name in _OPERATORS for r in ("", "r"))  # a + b as a method
_MATH = frozenset(name for name in vars(math) if not name.startswith("_"))
_BUILTINS = frozenset(("abs", "bool", "float", "getattr", "int", "len", "max", "min", "pow", "round", "sum"))
_PYTHON: dict[str, tuple[Any, frozenset[str]]] = {"_operator": (operator, _OPERATORS), "math": (math, _MATH), "builtins": (builtins, _BUILTINS)}
_OF_OTHERS = frozenset(("get", "items", "keys", "values"))  # methods of what is no tensor
_WITH_FUNCTIONS = frozenset(("apply_", "map_", "map2_", "register_hook", "register_post_accumulate_grad_hook"))
_SPACES = ("torch.nn.functional", "torch.functional", "torch")
_NUMBERS: tuple[Any, ...] = (int, float, str, bytes, complex)
_PLAIN = (int, float, str, bool, type(None), bytes, complex)


def _refuse(what: str) -> Any:
    raise RuntimeError(f"the file's program has {what}")


def _is_name(name: Any) -> bool:
    return type(name) is str and name.isidentifier() and not keyword.iskeyword(name)


def is_operator(fn: Any) -> bool:
    """Whether a function is one of those that torch's namespaces have for tensors."""
    return callable(fn) and not isinstance(fn, type) and (hasattr(fn, "jtorch_ops") or hasattr(fn, "jtorch_public"))


def function_as_data(fn: Any) -> dict[str, Any]:
    """A function by its name. NotImplementedError for one that has none that could be read again."""
    from jtorch.library.operators import OpOverload

    if isinstance(fn, OpOverload):
        space, _, rest = fn.name().partition("::")
        return {"op": [space, *rest.split(".")]}
    module, name = as_torch(getattr(fn, "__module__", None) or ""), getattr(fn, "__qualname__", None) or getattr(fn, "__name__", "")
    for path in filter(None, (torch_name(fn), (module, name), *((space, name) for space in _SPACES))):
        made = {"function": list(path)}
        try:
            if function_from_data(made) is fn:
                return made
        except RuntimeError:
            continue
    return not_implemented(f"{module}.{name} in a file of a program", "it is no function of torch's for tensors, and would be read by a name of the file's choosing")  # type: ignore[no-any-return]


def function_from_data(data: Any) -> Callable[..., Any]:
    """The function of this name. RuntimeError for anything that is no function of tensors or of numbers."""
    if type(data) is dict and len(data) == 1:
        (kind, path), *_ = data.items()
        if type(path) is list and path and all(type(part) is str for part in path):
            found: Any = None
            if kind == "op" and len(path) in (2, 3) and all(map(_is_name, path)):
                found = _overload(*path)
            elif kind == "function" and len(path) == 2:
                space, names = _PYTHON.get(path[0], (None, frozenset()))
                if space is not None:
                    found = getattr(space, path[1]) if path[1] in names else None
                else:
                    found = _of_torch(*path)
            if found is not None:
                return found  # type: ignore[no-any-return]
    return _refuse(f"a function that it may not name: {str(data)[:100]}")  # type: ignore[no-any-return]


def _overload(space: str, packet: str, overload: str = "default") -> Any:
    from jtorch.library.aten import AtenPacket
    from jtorch.library.operators import OpOverload, OpOverloadPacket

    try:
        home = getattr(torch.ops, space)
        if space == "aten" and (packet not in dir(home) or packet == "from_file"):  # what else the namespace finds is no operator; and this one opens files
            return None
        found = getattr(home, packet)
        if not isinstance(found, (OpOverloadPacket, AtenPacket)):
            return None
        found = getattr(found, overload)
    except (AttributeError, RuntimeError, NotImplementedError, ImportError):
        return None
    return found if isinstance(found, OpOverload) else None


def _of_torch(module: str, name: str) -> Any:
    if not (module == "torch" or module.startswith("torch.")) or not all(_is_name(part) for part in (*module.split("."), *name.split("."))):
        return None
    for path in (f"{module}.{name}", _public(module, name)):
        found = resolve(path) if path else None
        if found is not None and is_operator(found):
            return found
    return None


def _public(module: str, name: str) -> str | None:
    """Where a function of torch's C++ part is here."""
    homes = {"torch._C._nn": ("torch.nn.functional.", ""), "torch._C._linalg": ("torch.linalg.", "linalg_"), "torch._C._fft": ("torch.fft.", "fft_"), "torch._C._special": ("torch.special.", "special_")}
    if module not in homes:
        return None
    home, start = homes[module]
    return home + {"log_sigmoid": "logsigmoid"}.get(name, name.removeprefix(start))


def as_data(x: Any) -> Any:
    """An argument."""
    if isinstance(x, Node):
        return {"node": x.name}
    if isinstance(x, Tensor) or x is None or isinstance(x, (torch.dtype, torch.device, torch.layout)):
        return x
    if isinstance(x, torch.memory_format):
        return {"memory_format": str(x).removeprefix("torch.")}
    if isinstance(x, bool):
        return bool(x)
    for kind in _NUMBERS:
        if isinstance(x, kind):
            return kind(x)  # of a class of its own, the plain one
    if isinstance(x, tuple):
        return {"tuple": [as_data(y) for y in x]}
    if isinstance(x, list):
        return [as_data(y) for y in x]
    if isinstance(x, dict):
        return {"dict": [[as_data(k), as_data(v)] for k, v in x.items()]}
    if isinstance(x, slice):
        return {"slice": [as_data(y) for y in (x.start, x.stop, x.step)]}
    if x is Ellipsis:
        return {"ellipsis": None}
    return function_as_data(x)


def from_data(x: Any, nodes: dict[str, Any]) -> Any:
    """What :func:`as_data` wrote."""
    kind = type(x)
    if kind in _PLAIN or isinstance(x, (Tensor, _dtypes.dtype, _device.device, torch.layout)):
        return x
    if kind is list:
        return [from_data(y, nodes) for y in x]
    if kind is not dict or len(x) != 1:
        return _refuse(f"an argument that is none: {kind.__name__}")
    ((word, inner),) = x.items()
    if word == "node":
        return nodes[inner]
    if word == "tuple":
        return tuple(from_data(y, nodes) for y in inner)
    if word == "dict":
        return {from_data(k, nodes): from_data(v, nodes) for k, v in inner}
    if word == "slice":
        return slice(*(from_data(y, nodes) for y in inner))
    if word == "ellipsis":
        return ...
    if word == "memory_format":
        found = getattr(torch, inner) if _is_name(inner) else None
        return found if isinstance(found, torch.memory_format) else _refuse("a memory format that there is not")
    return function_from_data(x)


def graph_as_data(graph: Graph, target: Callable[[Any], Any] = function_as_data) -> list[Any]:
    """The nodes in their order: op, name, target, arguments. ``target`` writes functions."""
    return [[n.op, n.name, target(n.target) if n.op == "call_function" else n.target, as_data(tuple(n.args)), as_data(dict(n.kwargs))] for n in graph.nodes]


def graph_from_data(data: Any, target: Callable[[Any], Any] = function_from_data) -> tuple[Graph, dict[str, Node]]:
    """The graph, and its nodes by the names that they had. RuntimeError for what is no graph, or calls what it may not."""
    graph = Graph()
    nodes: dict[str, Node] = {}
    try:
        for op, name, called, args, kwargs in data:
            if not _is_name(name):
                _refuse(f"a node's name that is none: {str(name)[:100]!r}")
            given, named = from_data(args, nodes), from_data(kwargs, nodes)
            if op == "call_function":
                called = target(called)
                if called is getattr and not (len(given) > 1 and type(given[1]) is str and _is_name(given[1]) and not given[1].startswith("_")):
                    _refuse("an attribute that is not public")
            elif op == "call_method":
                public = _is_name(called) and (not called.startswith("_") or called in _SIGNS) and called not in _WITH_FUNCTIONS
                if not public or not (called in _OF_OTHERS or hasattr(Tensor, called)):
                    _refuse(f"a method that tensors do not have: {str(called)[:100]!r}")
            elif op == "placeholder":
                if not _is_name(called.lstrip("*")):
                    _refuse("an argument's name that is none")
            elif op == "get_attr":
                if not all(part.isidentifier() or part.isdigit() for part in called.split(".")):
                    _refuse("an attribute's name that is none")
            elif op != "output":
                _refuse(f"a node of a kind that is not read: {str(op)[:100]!r}")
            if not all(map(_is_name, named)):
                _refuse("an argument's name that is none")
            nodes[name] = graph.create_node(op, called, given, named, name)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, AssertionError) as error:
        raise RuntimeError(f"the file's program is malformed ({type(error).__name__}: {str(error)[:200]})") from error
    return graph, nodes


def members_as_data(module: Any) -> list[Any]:
    """Parameters and buffers with their paths."""
    return [[n, t] for n, t in (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))]


def members_from_data(data: Any) -> Any:
    """A module that has them. RuntimeError for what are none."""
    holder = torch.nn.Module()
    for path, t in data if type(data) is list else _refuse("no members"):
        if type(path) is not str or not isinstance(t, Tensor) or not all(part.isidentifier() or part.isdigit() for part in path.split(".")):
            _refuse("a member that is no tensor with a name")
        at = holder
        *above, name = path.split(".")
        for part in above:
            if part not in at._modules:
                at.add_module(part, torch.nn.Module())
            at = at._modules[part]
        if isinstance(t, torch.nn.Parameter):
            at.register_parameter(name, t)
        else:
            at.register_buffer(name, t)
    return holder
