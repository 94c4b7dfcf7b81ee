"""A graph of operations, in the order in which they run."""

from __future__ import annotations

import contextlib
import copy
import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from jtorch._public import torch
from jtorch.nn.modules.module import Module
from jtorch.nn.parameter import Parameter

from ._codegen import CodeGen as CodeGen  # noqa: I001  (public under this module, too)
from ._codegen import PythonCode as PythonCode
from ._codegen import TransformCodeFunc as TransformCodeFunc
from ._codegen import _BoxedCodeGen as _BoxedCodeGen
from ._codegen import _custom_builtins as _custom_builtins
from ._codegen import _CustomBuiltin as _CustomBuiltin
from ._codegen import _format_target as _format_target
from ._codegen import _PyTreeCodeGen as _PyTreeCodeGen
from ._codegen import _PyTreeInfo as _PyTreeInfo
from ._codegen import _register_custom_builtin as _register_custom_builtin
from ._codegen import inplace_methods as inplace_methods
from ._codegen import magic_methods as magic_methods
from ._codegen import reflectable_magic_methods as reflectable_magic_methods
from ._compatibility import compatibility
from ._naming import Namespace as _Namespace  # noqa: F401
from ._naming import in_torch, target_to_str
from .immutable_collections import immutable_dict
from .node import Argument, Node, Target, map_arg
from .node import _get_qualified_name as _get_qualified_name
from .node import _type_repr as _type_repr

__all__ = ["PythonCode", "CodeGen", "Graph"]

_OPS = ("call_function", "call_method", "get_attr", "call_module", "placeholder", "output")


def _is_from_torch(obj: Any) -> bool:
    return in_torch(obj) is not None


class _node_list:
    """The nodes in order; nodes may be erased and inserted while it is gone through."""

    def __init__(self, graph: Graph, direction: str = "_next") -> None:
        self.graph, self.direction = graph, direction

    def __len__(self) -> int:
        return self.graph._len

    def _walk(self, direction: str) -> Iterator[Node]:
        root = self.graph._root
        node = getattr(root, direction)
        while node is not root:
            if not node._erased:
                yield node
            node = getattr(node, direction)

    def __iter__(self) -> Iterator[Node]:
        return self._walk(self.direction)

    def __reversed__(self) -> Iterator[Node]:
        return self._walk("_prev" if self.direction == "_next" else "_next")


class _FindNodesLookupTable:
    """The nodes by what they do."""

    def __init__(self) -> None:
        self.table: dict[Any, dict[Node, None]] = {}

    @staticmethod
    def _key(node: Node) -> Any:
        return node.op, node.target if node.op == "call_function" else None

    def __contains__(self, node: Node) -> bool:
        return node in self.table.get(self._key(node), ())

    def insert(self, node: Node) -> None:
        self.table.setdefault(self._key(node), {})[node] = None

    def remove(self, node: Node) -> None:
        self.table[self._key(node)].pop(node)

    def find_nodes(self, *, op: str, target: Target | None = None) -> list[Node]:
        """The nodes of an op, and of a target if one is given."""
        if op == "call_function":
            assert target is not None, "target must not be None for call_function op"
            return [*self.table.get((op, target), ())]
        return [n for n in self.table.get((op, None), ()) if target is None or n.target == target]


class _InsertPoint:
    """Where new nodes go; as a context manager, only inside."""

    def __init__(self, graph: Graph, insert: Callable[[Node], None]) -> None:
        self.graph, self.before = graph, graph._insert
        graph._insert = insert

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.graph._insert = self.before


@compatibility(is_backward_compatible=True)
class Graph:
    """Operations in the order in which they run: placeholders, calls, and an output."""

    @compatibility(is_backward_compatible=True)
    def __init__(self, owning_module: Any = None, tracer_cls: Any = None, tracer_extras: dict[str, Any] | None = None) -> None:
        self._root = Node(self, "", "root", "", (), {})
        self._used_names: dict[str, int] = {}
        self._insert: Callable[[Node], None] = self._root.prepend
        self._len = 0
        self._graph_namespace = _Namespace()
        self._owning_module = owning_module
        self._tracer_cls, self._tracer_extras = tracer_cls, tracer_extras
        self._codegen = CodeGen()
        self._co_fields: dict[str, Any] = {}
        self._find_nodes_lookup_table = _FindNodesLookupTable()

    @property
    def owning_module(self) -> Any:
        """The GraphModule of this graph, if it has one."""
        return self._owning_module

    @owning_module.setter
    def owning_module(self, mod: Any) -> None:
        self._owning_module = mod

    @property
    def nodes(self) -> _node_list:
        """The nodes in order; ``reversed`` works too."""
        return _node_list(self)

    def output_node(self) -> Node:
        """The last node. AssertionError if it isn't the output."""
        last = next(iter(reversed(self.nodes)))
        assert last.op == "output", f"Expected output node, got op={last.op}"
        return last

    def find_nodes(self, *, op: str, target: Target | None = None, sort: bool = True) -> list[Node]:
        """The nodes with this op and target; without ``sort``, in any order."""
        found = self._find_nodes_lookup_table.find_nodes(op=op, target=target)
        return sorted(found) if sort else found

    @compatibility(is_backward_compatible=True)
    def graph_copy(self, g: Graph, val_map: dict[Node, Node], return_output_node: bool = False) -> Any:
        """Append copies of another graph's nodes. ``val_map`` is filled in; what is in it already is not copied. Returns what the output returned."""
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                result = map_arg(node.args[0], lambda n: val_map[n])
                return (result, node) if return_output_node else result
            val_map[node] = self.node_copy(node, lambda n: val_map[n])
        return None

    def __deepcopy__(self, memo: Any = None) -> Graph:
        memo = memo or {}
        g = Graph(tracer_cls=self._tracer_cls)
        copied = g.graph_copy(self, memo, return_output_node=True)
        g._codegen = copy.deepcopy(self._codegen)
        if copied is not None:
            result, old = copied
            g.output(result, type_expr=getattr(old, "type", None)).meta = copy.copy(old.meta)
        return g

    @compatibility(is_backward_compatible=True)
    def create_node(
        self, op: str, target: Target, args: tuple[Argument, ...] | None = None, kwargs: dict[str, Argument] | None = None, name: str | None = None, type_expr: Any = None
    ) -> Node:
        """A new node at the point of insertion."""
        assert op in _OPS, f"op '{op}' is not in _legal_ops"
        assert not args or isinstance(args, tuple), f"args must be a tuple, got {type(args)}"
        assert not kwargs or isinstance(kwargs, dict), f"kwargs must be a dict, got {type(kwargs)}"
        name = self._graph_namespace.create_name(name if name is not None else self._target_to_str(target), None)
        node = Node(self, name, op, target, args or (), kwargs or immutable_dict(), type_expr)
        for hook in getattr(self.owning_module, "_create_node_hooks", None) or ():
            hook(node)
        self._graph_namespace.associate_name_with_obj(name, node)
        self._insert(node)
        self._find_nodes_lookup_table.insert(node)
        self._len += 1
        return node

    def process_inputs(self, *args: Any) -> Any:
        """A call's arguments as the placeholders take them."""
        return self._codegen.process_inputs(*args)

    def process_outputs(self, out: Any) -> Any:
        """The output's value as a call returns it."""
        return self._codegen.process_outputs(out)

    @compatibility(is_backward_compatible=True)
    def erase_node(self, to_erase: Node) -> None:
        """Take a node out. RuntimeError if others use it, or if it isn't here."""
        if to_erase.users:
            raise RuntimeError(f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in the graph: {to_erase.users}!")
        if to_erase.graph != self:
            raise RuntimeError(f"Attempting to remove {to_erase} from wrong graph!")
        if to_erase._erased:
            warnings.warn(f"erase_node({to_erase}) on an already erased node")
            return
        for hook in getattr(self.owning_module, "_erase_node_hooks", None) or ():
            hook(to_erase)
        self._find_nodes_lookup_table.remove(to_erase)
        to_erase._remove_from_list()
        to_erase._erased = True
        self._len -= 1
        nothing = lambda n: None
        to_erase._update_args_kwargs(map_arg(to_erase._args, nothing), map_arg(to_erase._kwargs, nothing))

    @compatibility(is_backward_compatible=True)
    def inserting_before(self, n: Node | None = None) -> _InsertPoint:
        """New nodes go before ``n`` (the graph's beginning)."""
        if n is None:
            return self.inserting_after(self._root)
        assert n.graph == self, "Node to insert before is not in graph."
        return _InsertPoint(self, n.prepend)

    @compatibility(is_backward_compatible=True)
    def inserting_after(self, n: Node | None = None) -> _InsertPoint:
        """New nodes go after ``n`` (the graph's end)."""
        if n is None:
            return self.inserting_before(self._root)
        assert n.graph == self, "Node to insert after is not in graph."
        return _InsertPoint(self, n.append)

    @compatibility(is_backward_compatible=True)
    def placeholder(self, name: str, type_expr: Any = None, default_value: Any = inspect.Signature.empty) -> Node:
        """An input."""
        return self.create_node("placeholder", name, () if default_value is inspect.Signature.empty else (default_value,), type_expr=type_expr)

    @compatibility(is_backward_compatible=True)
    def get_attr(self, qualified_name: str, type_expr: Any = None) -> Node:
        """A parameter, buffer or module of the owning module by its path. Warns if it isn't there."""
        if self.owning_module is not None and not self._has_attr(qualified_name):
            warnings.warn(
                "Attempted to insert a get_attr Node with no underlying reference in the owning GraphModule! Call GraphModule.add_submodule to add the "
                "necessary submodule, GraphModule.add_parameter to add the necessary Parameter, or nn.Module.register_buffer to add the necessary buffer",
                stacklevel=2,
            )
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def _has_attr(self, path: str) -> bool:
        module_path, _, name = path.rpartition(".")
        try:
            module = self.owning_module.get_submodule(module_path)
        except AttributeError:
            warnings.warn(f"Failed to fetch module {module_path}!")
            return False
        found = getattr(module, name, None)
        return isinstance(found, (Module, Parameter)) or name in module._buffers

    @compatibility(is_backward_compatible=True)
    def call_module(self, module_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None) -> Node:
        """A call of a module by its path."""
        if self.owning_module is not None and self.owning_module.get_submodule(module_name) is None:
            warnings.warn(
                "Attempted to insert a call_module Node with no underlying reference in the owning GraphModule! Call GraphModule.add_submodule to add "
                "the necessary submodule"
            )
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    @compatibility(is_backward_compatible=True)
    def call_method(self, method_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None) -> Node:
        """A call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    @compatibility(is_backward_compatible=True)
    def call_function(self, the_function: Callable[..., Any], args: Any = None, kwargs: Any = None, type_expr: Any = None, name: str | None = None) -> Node:
        """A call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, name=name, type_expr=type_expr)

    def _measure(self, node: Node, what: str, *args: Any) -> Node:
        key = "example_value" if "val" not in node.meta and "example_value" in node.meta else "val"
        made = self.call_function(getattr(torch.Tensor, what), (node, *args))
        if key in node.meta:
            made.meta[key] = getattr(node.meta[key], what)(*args)
        return made

    def create_size_node(self, tensor_node: Node, dim: int) -> Node:
        """The size of a value at ``dim``."""
        return self._measure(tensor_node, "size", dim)

    def create_stride_node(self, tensor_node: Node, dim: int) -> Node:
        """The stride of a value at ``dim``."""
        return self._measure(tensor_node, "stride", dim)

    def create_storage_offset_node(self, tensor_node: Node) -> Node:
        """A value's offset in its storage."""
        return self._measure(tensor_node, "storage_offset")

    @compatibility(is_backward_compatible=True)
    def node_copy(self, node: Node, arg_transform: Callable[[Node], Argument] = lambda x: x) -> Node:
        """A copy of another graph's node, whose arguments ``arg_transform`` translates."""
        made = self.create_node(node.op, node.target, map_arg(node.args, arg_transform), map_arg(node.kwargs, arg_transform), node.name, node.type)
        made.meta = copy.copy(node.meta)
        return made

    @compatibility(is_backward_compatible=True)
    def output(self, result: Argument, type_expr: Any = None) -> Node:
        """The end: what the graph returns."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def _target_to_str(self, target: Target) -> str:
        return target_to_str(target)

    @compatibility(is_backward_compatible=True)
    def python_code(
        self, root_module: str, *, verbose: bool = False, include_stride: bool = False, include_device: bool = False, colored: bool = False,
        expanded_def: bool = False, record_func: bool = False, additional_meta: list[str] | None = None,
    ) -> PythonCode:  # fmt: skip
        """The graph as a Python function. ``root_module`` is the name by which its code reaches the module."""
        namespace = _Namespace()
        name_of = lambda n: namespace.create_name(n.name, n)
        before = [(node, node._repr_fn) for node in self.nodes]
        for node, _ in before:
            node._repr_fn = name_of
        try:
            return self._python_code(
                root_module, namespace, verbose=verbose, include_stride=include_stride, include_device=include_device, colored=colored,
                expanded_def=expanded_def, record_func=record_func, additional_meta=additional_meta,
            )  # fmt: skip
        finally:
            for node, fn in before:
                node._repr_fn = fn

    def _python_code(self, root_module: str, namespace: _Namespace, **options: Any) -> PythonCode:
        return self._codegen._gen_python_code(self.nodes, root_module, namespace, **options)

    def __str__(self) -> str:
        placeholders: list[str] = []
        lines = [node.format_node(placeholders) for node in self.nodes]
        return f"graph({', '.join(placeholders)}):" + "".join(f"\n    {line}" for line in lines if line)

    @compatibility(is_backward_compatible=True)
    def print_tabular(self) -> None:
        """Print the nodes as a table. ImportError without the package ``tabulate``."""
        try:
            from tabulate import tabulate
        except ImportError:
            print("`print_tabular` relies on the library `tabulate`, which could not be found on this machine. Run `pip install tabulate` to install the library.")
            raise
        print(tabulate([[n.op, n.name, n.target, n.args, n.kwargs] for n in self.nodes], headers=["opcode", "name", "target", "args", "kwargs"]))

    @compatibility(is_backward_compatible=True)
    def lint(self) -> None:
        """RuntimeError unless nodes are of this graph, named once, made before they are used, and what they name in the module exists."""
        names: set[str] = set()
        values: set[Node] = set()
        for node in self.nodes:
            if node.op not in _OPS:
                raise RuntimeError(f"Node {node} had unknown opcode {node.op}!")
            if node.graph is not self:
                raise RuntimeError(f"Node '{node}' does not belong to this Graph!")
            if node not in self._find_nodes_lookup_table:
                raise RuntimeError(f"Node '{node}' is not added to the side table")
            for arg in node._input_nodes:
                if arg.graph is not self:
                    raise RuntimeError(
                        f"Argument '{arg}' of Node '{node}' does not belong to this Graph, but was used as an argument! If you are copying nodes from "
                        f"another graph, make sure to use ``arg_transform`` on node_copy() to remap values\n{self}"
                    )
                if arg not in values:
                    raise RuntimeError(
                        f"Argument '{arg}' of Node '{node}' was used before it has been defined! Please check that Nodes in the graph are topologically "
                        f"ordered\n{self}"
                    )
            values.add(node)
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            names.add(node.name)
        if self.owning_module:
            for node in self.nodes:
                self._lint_target(node)

    def _lint_target(self, node: Node) -> None:
        wanted = "Callable" if node.op == "call_function" else "str"
        if not (callable(node.target) if wanted == "Callable" else isinstance(node.target, str)):
            raise ValueError(f"Node {node} target {node.target} has type {torch.typename(node.target)} but a {wanted} is expected")
        if node.op not in ("get_attr", "call_module"):
            return
        found = self.owning_module
        parts = node.target.split(".")
        for i, part in enumerate(parts):
            path = ".".join(parts[:i])
            inner = getattr(found, part, None)
            if inner is None:
                raise RuntimeError(f"Node {node} target {node.target} references nonexistent attribute {part} of {path}")
            if node.op == "call_module" and not isinstance(inner, Module):
                raise RuntimeError(f"Node {node} target {node.target} {part} of {path} does not reference an nn.Module")
            found = inner

    @compatibility(is_backward_compatible=True)
    def eliminate_dead_code(self, is_impure_node: Callable[[Node], bool] | None = None) -> bool:
        """Drop nodes that nobody uses and that have no other effect. True if there were any."""
        self.lint()
        impure = is_impure_node if is_impure_node is not None else Node.is_impure
        changed = False
        for node in reversed(self.nodes):
            if not node.users and not impure(node):
                self.erase_node(node)
                changed = True
        if self.owning_module is not None:
            named = {n.target for n in self.find_nodes(op="get_attr")}
            for name, child in self.owning_module.named_children():
                if name in named and isinstance(getattr(child, "_graph", None), Graph):
                    changed |= child.graph.eliminate_dead_code()
                    child.recompile()
        return changed

    def set_codegen(self, codegen: CodeGen) -> None:
        """Write the graph's code by this generator from now on."""
        self._codegen = codegen

    def on_generate_code(self, make_transformer: Callable[[TransformCodeFunc | None], TransformCodeFunc]) -> contextlib.AbstractContextManager[None]:
        """Change the lines of code before they are used. ``make_transformer`` is given the transformer in force. As a context manager, only inside."""
        before = self._codegen._body_transformer
        self._codegen._body_transformer = make_transformer(before)

        @contextlib.contextmanager
        def undo() -> Iterator[None]:
            try:
                yield
            finally:
                self._codegen._body_transformer = before

        return undo()

    def _clear_nodes(self) -> None:
        for node in reversed(self.nodes):
            node.meta.clear()
            self.erase_node(node)
