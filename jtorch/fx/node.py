"""One operation of a graph. Nodes form a list, know their arguments, and know who uses them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from jtorch._core.storage.bare_tensor import Tensor
from jtorch._dtypes import dtype as _dtype
from jtorch._public import torch

from ._compatibility import compatibility
from ._naming import get_qualified_name as _get_qualified_name
from ._naming import type_repr as _type_repr
from .immutable_collections import immutable_dict, immutable_list

__all__ = ["Node", "map_arg", "map_aggregate", "has_side_effect"]

Target = Callable[..., Any] | str
Argument = Any

base_types: tuple[type, ...] = (str, int, float, bool, complex, _dtype, Tensor, torch.device, torch.memory_format, torch.layout)
"""What may stand in a node's arguments beside nodes and containers."""

_legal_ops = dict.fromkeys(["placeholder", "call_method", "call_module", "call_function", "get_attr", "output", "root"])
_side_effectful_functions: set[Callable[..., Any]] = {operator.setitem}


@compatibility(is_backward_compatible=False)
def has_side_effect(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn``, whose calls are not to be dropped by ``Graph.eliminate_dead_code`` from now on."""
    _side_effectful_functions.add(fn)
    return fn


def is_impure_call(target: Any, impure_random: bool = True) -> bool:
    """Whether a call does more than give a value: it writes into an argument, or moves a generator."""
    try:
        if target in _side_effectful_functions:
            return True
    except TypeError:  # not hashable
        return False
    schema = getattr(target, "_schema", None)
    if schema is not None and getattr(schema, "is_mutable", False):
        return True
    return impure_random and bool(getattr(target, "_nondeterministic_seeded", False))


def _format_arg(arg: Any, max_list_len: float = float("inf")) -> str:
    if hasattr(arg, "_custom_fx_repr_fn"):
        return arg._custom_fx_repr_fn()  # type: ignore[no-any-return]
    if isinstance(arg, (list, tuple)):
        shown = ", ".join(_format_arg(a) for i, a in enumerate(arg) if i < max_list_len)
        rest = "" if len(arg) < max_list_len + 1 else f", ...[total_len={len(arg)}]"
        if isinstance(arg, list):
            return f"[{shown}{rest}]"
        return f"({shown}{',' if len(arg) == 1 else ''}{rest})"
    if isinstance(arg, dict):
        return "{" + ", ".join(f"{k}: {_format_arg(v)}" for k, v in arg.items()) + "}"
    return f"%{arg}" if isinstance(arg, Node) else str(arg)


def _sizes(shape: Any) -> str:
    return f"[{', '.join(str(n) for n in shape)}]"


def short_dtype(dtype: Any) -> str:
    """``f32``, ``i64``, ...: types as annotations of readable code have them."""
    return _SHORT.get(str(dtype).removeprefix("torch."), str(dtype))


_SHORT = {
    "bfloat16": "bf16", "float64": "f64", "float32": "f32", "float16": "f16", "float8_e4m3fn": "f8e4m3fn", "float8_e5m2": "f8e5m2",
    "float8_e4m3fnuz": "f8e4m3fnuz", "float8_e5m2fnuz": "f8e5m2fnuz", "float8_e8m0fnu": "f8e8m0fnu", "complex32": "c32", "complex64": "c64",
    "complex128": "c128", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "bool": "b8", "uint8": "u8", "uint16": "u16", "uint32": "u32",
    "uint64": "u64",
}  # fmt: skip


@compatibility(is_backward_compatible=True)
class Node:
    """An operation.

    ``op`` is one of "placeholder" (an input; ``target`` its name, ``args`` its default), "get_attr" (a parameter, buffer or module by its path), "call_function"
    (``target`` the function), "call_module" (by its path), "call_method" (``target`` the method's name, ``args[0]`` the object) and "output" (``args[0]`` the
    result). ``users`` holds the nodes that have this one among their arguments; ``meta`` is for passes.
    """

    graph: Any
    name: str
    op: str
    target: Any
    type: Any
    meta: dict[str, Any]
    users: dict[Node, None]
    _input_nodes: dict[Node, None]
    _args: Any
    _kwargs: Any
    _erased: bool
    _repr_fn: Any
    _sort_key: Any
    _prev: Node
    _next: Node

    @compatibility(is_backward_compatible=True)
    def __init__(self, graph: Any, name: str, op: str, target: Target, args: tuple[Argument, ...], kwargs: dict[str, Argument], return_type: Any = None) -> None:
        if op == "call_function":
            if not callable(target):
                raise ValueError(f"Node [graph = {graph}, name = '{name}'] target {target} has type {torch.typename(target)} but a Callable is expected")
        else:
            if op not in _legal_ops:
                raise AssertionError(f"op '{op}' is not in _legal_ops")
            if not isinstance(target, str):
                raise ValueError(f"Node [graph = {graph}, name = '{name}'] target {target} has type {torch.typename(target)} but a str is expected")
        plain = self.__dict__
        plain.update(
            graph=graph, name=name, op=op, target=target, type=return_type, meta={}, users={}, _input_nodes={}, _args=(), _kwargs={}, _erased=False,
            _repr_fn=None, _sort_key=(),
        )  # fmt: skip
        plain["_prev"] = plain["_next"] = self
        self._update_args_kwargs(args, kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    # -- the list -----------------------------------------------------------------------------------------------------------------

    @property
    def next(self) -> Node:
        """The node after this one."""
        return self._next

    @property
    def prev(self) -> Node:
        """The node before this one."""
        return self._prev

    @compatibility(is_backward_compatible=True)
    def prepend(self, x: Node) -> None:
        """Move or put ``x``, a node of the same graph, before this one."""
        assert self.graph is x.graph, "Attempting to move a Node into a different Graph"
        if x is self:
            return
        x._remove_from_list()
        before = self._prev
        before.__dict__["_next"], x.__dict__["_prev"] = x, before
        self.__dict__["_prev"], x.__dict__["_next"] = x, self
        x.__dict__["_sort_key"] = _between(before._sort_key, self._sort_key)

    _prepend = prepend

    @compatibility(is_backward_compatible=True)
    def append(self, x: Node) -> None:
        """Move or put ``x``, a node of the same graph, after this one."""
        self._next.prepend(x)

    def _remove_from_list(self) -> None:
        before, after = self._prev, self._next
        before.__dict__["_next"], after.__dict__["_prev"] = after, before

    def __lt__(self, other: Node) -> bool:
        return self._sort_key < other._sort_key  # type: ignore[no-any-return]

    def __gt__(self, other: Node) -> bool:
        return self._sort_key > other._sort_key  # type: ignore[no-any-return]

    def __le__(self, other: Node) -> bool:
        return self is other or self < other

    def __ge__(self, other: Node) -> bool:
        return self is other or self > other

    # -- arguments ----------------------------------------------------------------------------------------------------------------

    @property
    def args(self) -> tuple[Argument, ...]:
        """The positional arguments; assign to change them."""
        return self._args  # type: ignore[no-any-return]

    @args.setter
    def args(self, a: tuple[Argument, ...]) -> None:
        self._update_args_kwargs(a, self._kwargs)

    @property
    def kwargs(self) -> dict[str, Argument]:
        """The keyword arguments; assign to change them."""
        return self._kwargs  # type: ignore[no-any-return]

    @kwargs.setter
    def kwargs(self, k: dict[str, Argument]) -> None:
        self._update_args_kwargs(self._args, k)

    def _update_args_kwargs(self, args: Any, kwargs: Any) -> None:
        for used in self._input_nodes:
            used.users.pop(self, None)
        found: dict[Node, None] = {}

        def note(a: Any) -> Any:
            if isinstance(a, Node):
                found[a] = None
                a.users.setdefault(self)
            return a

        plain = self.__dict__
        plain["_args"] = map_aggregate(tuple(args), note)
        plain["_kwargs"] = map_aggregate(dict(kwargs), note)
        plain["_input_nodes"] = found

    @property
    def all_input_nodes(self) -> list[Node]:
        """The nodes among the arguments, each once, in order."""
        return list(self._input_nodes)

    @compatibility(is_backward_compatible=True)
    def update_arg(self, idx: int, arg: Argument) -> None:
        """Replace a positional argument."""
        args = list(self.args)
        args[idx] = arg
        self.args = tuple(args)

    @compatibility(is_backward_compatible=True)
    def insert_arg(self, idx: int, arg: Argument) -> None:
        """Put a positional argument before the one at ``idx``. AssertionError out of range."""
        if not 0 <= idx <= len(self.args):
            raise AssertionError(f"insert_args index must be between 0 and len(self.args), got {idx}")
        self.args = (*self.args[:idx], arg, *self.args[idx:])

    @compatibility(is_backward_compatible=True)
    def update_kwarg(self, key: str, arg: Argument) -> None:
        """Set a keyword argument."""
        self.kwargs = {**self.kwargs, key: arg}

    @property
    def stack_trace(self) -> str | None:
        """Where in the program the node was recorded, if that was kept."""
        return self.meta.get("stack_trace", None)

    @stack_trace.setter
    def stack_trace(self, trace: str | None) -> None:
        self.meta["stack_trace"] = trace

    def _hooks(self) -> Any:
        return getattr(self.graph.owning_module, "_replace_hooks", None) or ()

    @compatibility(is_backward_compatible=True)
    def replace_all_uses_with(self, replace_with: Node, delete_user_cb: Callable[[Node], bool] | None = None, *, propagate_meta: bool = False) -> list[Node]:
        """Put another node in this one's place in all users that ``delete_user_cb`` allows; these are returned."""
        if propagate_meta:
            if replace_with.meta:
                raise AssertionError("Called node.replace_all_uses_with(replace_with, propagate_meta=True), but replace_with already has .meta keys")
            replace_with.meta.update(self.meta)
        changed = []
        for user in list(self.users):
            if delete_user_cb is not None and not delete_user_cb(user):
                continue
            changed.append(user)
            for hook in self._hooks():
                hook(old=self, new=replace_with.name, user=user)
            user._replace_input_with(self, replace_with)
        return changed

    def _replace_input_with(self, old: Node, new: Node) -> None:
        swap = lambda n: new if n is old else n
        self._update_args_kwargs(map_arg(self._args, swap), map_arg(self._kwargs, swap))

    @compatibility(is_backward_compatible=True)
    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Put one node in another's place among the arguments."""
        for hook in self._hooks():
            hook(old=old_input, new=new_input.name, user=self)
        self._replace_input_with(old_input, new_input)

    @compatibility(is_backward_compatible=False)
    def is_impure(self, impure_random: bool = True) -> bool:
        """Whether the node may not be dropped although nobody uses it."""
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_module":
            assert self.graph.owning_module is not None, "self.graph.owning_module not set for purity check"
            return bool(getattr(self.graph.owning_module.get_submodule(self.target), "_is_impure", False))
        return self.op == "call_function" and is_impure_call(self.target, impure_random)

    @compatibility(is_backward_compatible=False)
    def normalized_arguments(self, root: Any, arg_types: Any = None, kwarg_types: Any = None, normalize_to_only_use_kwargs: bool = False) -> Any:
        """(args, kwargs) with defaults filled in, or None where the callee's signature isn't known."""
        from .operator_schemas import normalize_function, normalize_module

        if self.op == "call_function":
            return normalize_function(self.target, self.args, self.kwargs, arg_types, kwarg_types, normalize_to_only_use_kwargs)
        if self.op == "call_module":
            return normalize_module(root, self.target, self.args, self.kwargs, normalize_to_only_use_kwargs)
        return None

    # -- text ---------------------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return self._repr_fn(self) if self._repr_fn else self.name  # type: ignore[no-any-return]

    @staticmethod
    def _pretty_print_target(target: Any) -> str:
        if isinstance(target, str):
            return target
        module, name = getattr(target, "__module__", None), getattr(target, "__name__", None)
        if name is not None and module in ("builtins", "_operator"):
            return f"{module.lstrip('_')}.{name}"
        return _get_qualified_name(target)

    @compatibility(is_backward_compatible=True)
    def format_node(self, placeholder_names: list[str] | None = None, maybe_return_typename: list[str] | None = None, *, include_tensor_metadata: bool = False) -> str | None:
        """A line about the node. With ``placeholder_names``, those of inputs are appended there and None is returned for them."""
        kind = f"{_type_repr(self.type)} " if self.type else ""
        head = f"%{self.name} : {kind}[num_users={len(self.users)}] = {self.op}[target={self._pretty_print_target(self.target)}]"
        if self.op == "placeholder":
            if placeholder_names:
                # torch doubles the name here where there is a type
                placeholder_names.append(self.target + (f"{self.target}: {_type_repr(self.type)}" if self.type else ""))
                return None
            return head + (f"(default={self.args[0]})" if self.args else "")
        if self.op == "get_attr":
            return head
        if self.op == "output":
            if self.type and maybe_return_typename:
                maybe_return_typename[0] = f" -> {_type_repr(self.type)}"
            return f"return {self.args[0]}"
        seen = self.meta.get("val", self.meta.get("tensor_meta", self.meta.get("example_value")))
        if include_tensor_metadata and isinstance(seen, Tensor):
            kind = f'Tensor "{short_dtype(seen.dtype)}{_sizes(seen.shape)}{_sizes(seen.stride())}{seen.device}"'
            head = f"%{self.name} : {kind}[num_users={len(self.users)}] = {self.op}[target={self._pretty_print_target(self.target)}]"
        return f"{head}(args = {_format_arg(self.args)}, kwargs = {_format_arg(self.kwargs)})"

    def _rename(self, candidate: str) -> None:
        if candidate != self.name:
            self.name = self.graph._graph_namespace.create_name(candidate, None)
            self.graph._graph_namespace._rename_object(self, self.name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "name":
            for user in self.users:
                for hook in self._hooks():
                    hook(old=self, new=value, user=user)
        table = getattr(self.graph, "_find_nodes_lookup_table", None) if name in ("op", "target") else None
        listed = table is not None and self in table
        if listed:
            table.remove(self)  # type: ignore[union-attr]
        object.__setattr__(self, name, value)
        if listed:
            table.insert(self)  # type: ignore[union-attr]


def _between(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    """A key of order between two neighbours' (the list's own end has the empty one)."""
    if len(before) > len(after):
        at = len(after)
        return (*before[:at], before[at] + 1)
    if len(before) < len(after):
        at = len(before)
        return (*after[:at], after[at] - 1)
    return (*before, 0)


@compatibility(is_backward_compatible=True)
def map_arg(a: Argument, fn: Callable[[Node], Argument]) -> Argument:
    """``a`` with ``fn`` applied to each node in it."""
    if not callable(fn):
        raise AssertionError("torch.fx.map_arg(a, fn): fn must be a callable")
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


@compatibility(is_backward_compatible=True)
def map_aggregate(a: Argument, fn: Callable[[Argument], Argument]) -> Argument:
    """``a`` with ``fn`` applied to each leaf of its lists, tuples, dicts and slices; lists and dicts become unchangeable."""
    if isinstance(a, tuple):
        parts = tuple([map_aggregate(x, fn) for x in a])
        return type(a)(*parts) if hasattr(a, "_fields") else parts
    if isinstance(a, list):
        return immutable_list([map_aggregate(x, fn) for x in a])
    if isinstance(a, dict):
        return immutable_dict((k, map_aggregate(v, fn)) for k, v in a.items())
    if isinstance(a, slice):
        return slice(map_aggregate(a.start, fn), map_aggregate(a.stop, fn), map_aggregate(a.step, fn))
    return fn(a)
